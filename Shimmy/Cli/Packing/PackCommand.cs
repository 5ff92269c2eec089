using Shimmy.Cli.Commands;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;

namespace Shimmy.Cli.Packing;

/// <summary>The command <c>pack</c>.</summary>
internal static class PackCommand
{
    // The files and folders of a published program.
    private static readonly string[] PackedBeside =
        ["runtimes", "licences", "LICENSE", "THIRD-PARTY-NOTICES.txt", "shimmy.config.schema.json", "shimmy.cdx.json"];

    /// <summary>Runs it.</summary>
    public static async Task RunAsync(CommandOptions options, CancellationToken cancellation)
    {
        if (options.Verifies)
        {
            var checkedFile = Path.GetFullPath(options.Name ?? throw new UsageException("NAME is missing: the file to verify"));
            var (files, bytes) = PackedProgram.Verify(checkedFile);
            Printer.Line($"{checkedFile}: {files} files, {ByteCount.Megabytes(bytes)} MB, all as they were packed");
            if (UnpackedProgram.Verify(checkedFile, UnpackedProgram.Root) is { } folder)
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
        // llama.cpp opens the shards of a model by itself, as files.
        var model = shards.Count == 1 ? $"models/{FileNameOf(entry.Name)}.gguf" : null;
        foreach (var shard in shards)
            parts.Add((model ?? $"models/{Path.GetFileName(shard)}", shard));
        if (entry.Projector is { } projector)
            parts.Add(($"models/{FileNameOf(entry.Name)}.mmproj.gguf", projector));

        Directory.CreateDirectory(Path.GetDirectoryName(output)!);
        await PackedProgram.WriteAsync(output, executable, parts, model,
            (done, all) => Printer.Progress(
                $"packing: {ByteCount.Megabytes(done)} of {ByteCount.Megabytes(all)} MB", (float)done / all), cancellation);
        Printer.ClearProgress();
        Printer.Line($"{output}: {ByteCount.Megabytes(new FileInfo(output).Length)} MB, {entry.Name} in it; {output} serve");
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
    /// What an archive has beside its executable and is packed with it, without the models, and without what only people read: nothing
    /// else that lies there, which may be the user's.
    /// </summary>
    internal static List<(string Path, string File)> Beside(string executable)
    {
        var home = Path.GetDirectoryName(executable)!;
        return
        [
            .. PackedBeside.Select(name => Path.Join(home, name))
                .SelectMany(place => Directory.Exists(place) ? Directory.EnumerateFiles(place, "*", SearchOption.AllDirectories)
                    : File.Exists(place) ? [place] : [])
                .Order(StringComparer.Ordinal).Select(file => (Path.GetRelativePath(home, file).Replace('\\', '/'), file)),
        ];
    }

    private static string FileNameOf(string name) => string.Concat(name.Select(letter =>
        char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_' or '.' ? letter : '-'));
}
