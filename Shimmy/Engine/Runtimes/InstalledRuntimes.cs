namespace Shimmy.Engine.Runtimes;

/// <summary>The runtimes of this machine: the folder that the user names, and those in <c>runtimes</c> beside the executable.</summary>
internal static class InstalledRuntimes
{
    private const string VersionMark = "llama.cpp-v";

    private static string Root => Path.Combine(AppContext.BaseDirectory, "runtimes");

    /// <summary>
    /// All, in the order in which a model tries them: the one that <see cref="RuntimeDirectory.Variable"/> names, whatever is in it; then
    /// the newest llama.cpp; then LLamaSharp's.
    /// </summary>
    public static IReadOnlyList<LlamaRuntime> All
    {
        get
        {
            var beside = Directory.Exists(Root)
                ? Directory.EnumerateDirectories(Root).Select(Of).Where(runtime => runtime.Find("llama") is not null).ToList()
                : [];
            var ordered = beside.OrderBy(runtime => runtime.Name == LlamaRuntime.LLamaSharp)
                .ThenByDescending(VersionOf).ThenBy(runtime => runtime.Name, StringComparer.Ordinal);
            return Given is { } given ? [given, .. ordered.Where(runtime => runtime.Directory != given.Directory)] : [.. ordered];
        }
    }

    /// <summary>The one that <see cref="RuntimeDirectory.Variable"/> names; null where it names none.</summary>
    public static LlamaRuntime? Given =>
        Environment.GetEnvironmentVariable(RuntimeDirectory.Variable) is { Length: > 0 } folder ? Of(folder) : null;

    /// <summary>Where a runtime of that name would lie.</summary>
    public static string DirectoryOf(string name) => Path.Combine(Root, name);

    /// <summary>The runtime in a folder, which need not exist.</summary>
    public static LlamaRuntime Of(string directory)
    {
        var path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory));
        return new LlamaRuntime(Path.GetDirectoryName(path) == Path.TrimEndingDirectorySeparator(Path.GetFullPath(Root))
            ? Path.GetFileName(path)
            : path, path);
    }

    private static Version VersionOf(LlamaRuntime runtime) =>
        runtime.Name.StartsWith(VersionMark, StringComparison.Ordinal)
            && Version.TryParse(runtime.Name[VersionMark.Length..], out var version) ? version : new Version(0, 0);
}
