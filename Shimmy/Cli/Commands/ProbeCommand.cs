using System.Diagnostics;
using System.Globalization;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Engine.Memory;

namespace Shimmy.Cli.Commands;

/// <summary>The command <c>probe</c>.</summary>
internal static class ProbeCommand
{
    /// <summary>Runs it.</summary>
    public static async Task RunAsync(CommandOptions options, CancellationToken cancellation)
    {
        using var loggers = ConsoleLog.Create(options.LogLevel, options.LogAsJson);
        var models = ModelContext.Create(options);
        await using var model = await models.LoadAsync(options.Name, loggers, cancellation);

        var started = Stopwatch.GetTimestamp();
        var request = new GenerationRequest
        {
            Prompt = Prompt.FromText("Hello"),
            Options = new GenerationOptions { MaxTokens = 1, Temperature = 0, IgnoreEos = true },
        };
        await foreach (var engineEvent in model.GenerateAsync(request, cancellation))
        {
            if (engineEvent.IsToken)
                break;
        }

        var report = ReportOf(model, Stopwatch.GetElapsedTime(started),
            Directory.Exists(model.Spec.Path) ? models.Conversions.Find(model.Spec.Path) : null);
        if (options.Json)
            Printer.Line(CliJson.Of(report));
        else
            Print(report);
    }

    private static ProbeReport ReportOf(ILoadedModel model, TimeSpan firstToken, string? converted) => new()
    {
        Model = model.Spec.Name,
        Path = model.Spec.Path,
        Format = converted is null ? "gguf" : "safetensors",
        Converted = converted,
        Description = model.Facts.Description,
        ParameterCount = model.Facts.ParameterCount,
        ContextLength = model.Facts.ContextLength,
        TrainedContextLength = model.Facts.TrainedContextLength,
        Capabilities =
        [
            model.Facts.CanGenerate ? "completion" : "embedding",
            .. model.Facts.CanSee ? ["vision"] : (string[])[],
            .. model.Facts.CanHear ? ["audio"] : (string[])[],
        ],
        Projector = model.Spec.Projector,
        ProjectorSkipReason = model.Facts.ProjectorSkipReason,
        AudioUnsupportedReason = model.Facts.AudioUnsupportedReason,
        LoadMilliseconds = Math.Round(model.Facts.LoadMilliseconds, 1),
        FirstTokenMilliseconds = Math.Round(firstToken.TotalMilliseconds, 1),
        EstimatedBytes = MemoryEstimate.Of(model.Spec, model.Facts.SizeBytes).Total,
        ResidentBytes = model.Facts.ResidentBytes,
        TensorBytes = model.Facts.SizeBytes,
        Threads = model.Facts.Threads,
        BatchThreads = model.Facts.BatchThreads,
        Backend = model.Facts.Backend,
        GpuLayers = model.Facts.GpuLayers,
        Layers = model.Facts.Layers,
        LayerReason = model.Facts.LayerReason,
        Memory = model.Facts.Memory,
        Devices = model.Facts.Devices,
        Runtime = model.Facts.Runtime,
        RuntimeReason = model.Facts.RuntimeReason,
        LibraryVersion = model.Facts.LibraryVersion,
    };

    private static void Print(ProbeReport report)
    {
        Print("model", $"{report.Model} ({report.Description})");
        Print("file", report.Path);
        Print("format", report.Converted is { } converted ? $"SafeTensors, converted to {converted}" : "GGUF");
        Print("parameters", report.ParameterCount.ToString(CultureInfo.InvariantCulture));
        Print("context", $"{report.ContextLength} tokens (trained with {report.TrainedContextLength})");
        Print("capabilities", string.Join(", ", report.Capabilities) + (report.ProjectorSkipReason is { } skipped ? $" (no projector: {skipped})"
            : report.Projector is { } projector ? $" (projector {projector})" : "")
            + (report.AudioUnsupportedReason is { } unsupported ? $" (no sound: {unsupported})" : ""));
        Print("loaded in", Milliseconds(report.LoadMilliseconds));
        Print("first token in", Milliseconds(report.FirstTokenMilliseconds));
        Print("memory",
            $"{ByteCount.Megabytes(report.ResidentBytes)} MB resident, {ByteCount.Megabytes(report.TensorBytes)} MB of them tensors; "
            + $"in use about {ByteCount.Megabytes(report.EstimatedBytes)} MB");
        Print("threads", $"{report.Threads} to decode, {report.BatchThreads} for prompts");
        Print("backend",
            $"{report.Backend}, {report.GpuLayers} of {report.Layers} layers on GPUs{(report.LayerReason is { } reason ? $" ({reason})" : "")}");
        foreach (var device in report.Memory)
            Print("", device.Describe());
        Print("devices", string.Join(", ", report.Devices.Select(device => $"{device.Name} ({device.Description})")));
        Print("runtime", $"{report.Runtime} (llama.cpp {report.LibraryVersion}): {report.RuntimeReason}");
    }

    private static void Print(string what, string value) => Printer.Line($"{what,-15} {value}");

    private static string Milliseconds(double milliseconds) => milliseconds.ToString("F0", CultureInfo.InvariantCulture) + " ms";
}
