using Shimmy.Cli.Commands;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;

namespace Shimmy.Cli.Packing;

/// <summary>The command <c>pack</c>.</summary>
internal static class PackCommand
{
    /// <summary>Runs it.</summary>
    public static async Task RunAsync(CommandOptions options, CancellationToken cancellation)
    {
        if (options.Verifies)
        {
            var checkedFile = Path.GetFullPath(options.Name ?? throw new UsageException("NAME is missing: the file to verify"));
            var (files, bytes) = PackedProgram.Verify(checkedFile);
            Printer.Line($"{checkedFile}: {files} files, {bytes >> 20} MB, all as they were packed");
            if (PackedProgram.VerifyUnpacked(checkedFile, PackedProgram.Root) is { } folder)
                Printer.Line($"{folder}: unpacked, and as they were packed");
            return;
        }
        var executable = Environment.ProcessPath!;
        var home = Path.GetDirectoryName(executable)!;
        if (!Directory.Exists(Path.Join(home, "runtimes")) || File.Exists(Path.ChangeExtension(executable, ".dll")))
            throw new CommandException(ExitCode.Failed, "only a published executable can be packed, with its runtimes beside it (publish.sh)");

        var models = ModelContext.Create(options);
        var entry = string.IsNullOrEmpty(options.Name)
            ? await models.OnlyAsync("NAME", cancellation)
            : await models.FindAsync(options.Name, cancellation);
        if (Directory.Exists(entry.Path))
            throw new CommandException(ExitCode.Failed, $"{entry.Path} is a folder of SafeTensors; shimmy convert makes a GGUF of it, which can be packed");
        var output = Path.GetFullPath(options.Output ?? $"shimmy-{FileNameOf(entry.Name)}{Path.GetExtension(executable)}");
        RefuseToReplace(output);

        var parts = Beside(executable);
        var shards = entry.Shards.Count > 0 ? entry.Shards : [entry.Path];
        foreach (var shard in shards)
            parts.Add(($"models/{(shards.Count == 1 ? FileNameOf(entry.Name) + ".gguf" : Path.GetFileName(shard))}", shard));
        if (entry.Projector is { } projector)
            parts.Add(($"models/{FileNameOf(entry.Name)}.mmproj.gguf", projector));

        Directory.CreateDirectory(Path.GetDirectoryName(output)!);
        await PackedProgram.WriteAsync(output, executable, parts,
            (done, all) => Printer.Progress($"packing: {done >> 20} of {all >> 20} MB", (float)done / all), cancellation);
        Printer.ClearProgress();
        Printer.Line($"{output}: {new FileInfo(output).Length >> 20} MB, {entry.Name} in it; {output} serve");
    }

    /// <summary>
    /// Refuses an output that is there and is not an earlier one: a model, the executable, or whatever else it would take the place of.
    /// </summary>
    internal static void RefuseToReplace(string output)
    {
        if (Directory.Exists(output))
            throw new UsageException($"--output: {output} is a folder");
        if (File.Exists(output) && !PackedProgram.IsPacked(output) && !PackedProgram.WasCut(output))
            throw new UsageException($"--output: {output} is there and is no packed program; remove it, or name another file");
    }

    /// <summary>
    /// What lies beside an executable and is packed with it: without the models there, what only people read, and what was packed before
    /// or is being packed. The model follows, under its name, so that it is the one that there is.
    /// </summary>
    internal static List<(string Path, string File)> Beside(string executable)
    {
        var home = Path.GetDirectoryName(executable)!;
        var parts = new List<(string, string)>();
        foreach (var file in Directory.EnumerateFiles(home, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
        {
            var path = Path.GetRelativePath(home, file).Replace('\\', '/');
            if (file != executable && path.Split('/')[0] is not ("models" or "share")
                && !file.EndsWith(PackedProgram.Partial, StringComparison.Ordinal)
                && !PackedProgram.IsPacked(file) && !PackedProgram.WasCut(file))
            {
                parts.Add((path, file));
            }
        }
        return parts;
    }

    private static string FileNameOf(string name) => string.Concat(name.Select(letter =>
        char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_' or '.' ? letter : '-'));
}
