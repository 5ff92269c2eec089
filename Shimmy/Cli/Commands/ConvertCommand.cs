using System.Diagnostics;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Engine.Workers;
using Shimmy.SafeTensors;
using Shimmy.SafeTensors.Files;

namespace Shimmy.Cli.Commands;

/// <summary>The command <c>convert</c>.</summary>
internal static class ConvertCommand
{
    /// <summary>Runs it.</summary>
    public static async Task RunAsync(CommandOptions options, CancellationToken cancellation)
    {
        if (string.IsNullOrEmpty(options.Name))
            throw new UsageException("NAME is missing: the folder to convert");

        var folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(options.Name));
        var output = Path.GetFullPath(options.Output ?? Path.GetFileName(folder) + ".gguf");
        if (Directory.Exists(output))
            throw new UsageException($"--output: {output} is a folder");

        try
        {
            var started = Stopwatch.GetTimestamp();
            var conversion = FolderConversion.Of(folder, options.ConvertType);
            foreach (var warning in conversion.Warnings)
                Printer.Notice("convert", warning);

            Directory.CreateDirectory(Path.GetDirectoryName(output)!);
            await Task.Run(() => conversion.WriteFile(output, new Shown(), QuantizingWorker.Start, cancellation), cancellation);
            Printer.ClearProgress();
            Printer.Line($"{output}: {conversion.Header.Tensors.Count} tensors, {ByteCount.Megabytes(new FileInfo(output).Length)} MB, "
                + $"in {Stopwatch.GetElapsedTime(started).TotalSeconds:F1} s");
        }
        catch (SafeTensorsException refused)
        {
            Printer.ClearProgress();
            throw new CommandException(ExitCode.CannotLoad, $"{folder}: {refused.Message}");
        }
    }

    private sealed class Shown : IProgress<float>
    {
        public void Report(float value) => Printer.Progress("converting", value);
    }
}
