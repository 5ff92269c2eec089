namespace Shimmy.Models.Discovery;

/// <summary>
/// The places that are searched for models, in their order: where two files have one name, the earlier place wins.
/// </summary>
internal static class SearchOrder
{
    /// <summary>The variable that names one model to register by hand; its folder is searched too.</summary>
    public const string BaseGguf = "SHIMMY_BASE_GGUF";

    /// <summary>The variable that adds folders, separated by <c>;</c> on every system.</summary>
    public const string ModelPaths = "SHIMMY_MODEL_PATHS";

    /// <summary>The sources of this machine.</summary>
    /// <param name="host">Where to look.</param>
    /// <param name="modelDirs">Folders of <c>--model-dirs</c>, separated by <c>;</c>; null where the option was not
    /// given.</param>
    public static IReadOnlyList<IModelSource> Sources(HostEnvironment host, string? modelDirs = null)
    {
        var sources = new List<IModelSource>
        {
            new FolderSource("models", host.Join(host.CurrentDirectory, "models")),
            new FolderSource("app", host.Join(host.ExecutableDirectory, "models")),
        };
        if (host.Value(BaseGguf) is { } file)
        {
            // Only what lies right beside it: the file may lie in a home folder.
            sources.Add(new FolderSource("base", host.FolderOf(host.Absolute(file)), maxDepth: 0));
        }

        sources.AddRange(Folders(modelDirs).Concat(Folders(host.Value(ModelPaths))).Select(folder =>
            new FolderSource("dirs", host.Absolute(folder), asked: true)));
        if (host.Folder(OllamaSource.FolderVariable) is { } ollama)
        {
            sources.Add(new OllamaSource(ollama));
        }

        sources.Add(new HuggingFaceSource(host));
        sources.AddRange(OllamaSource.DefaultFolders(host).Select(folder => new OllamaSource(folder)));
        sources.Add(new LmStudioSource(host));
        sources.Add(new LlamaCppCacheSource(host));
        return sources;
    }

    private static string[] Folders(string? list) =>
        list?.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [];
}

/// <summary>One kind of place where models lie. A new kind is a new file beside this one.</summary>
internal interface IModelSource
{
    /// <summary>Its short name, shown by <c>discover</c> and put before a name that two models have.</summary>
    string Origin { get; }

    /// <summary>The folders that it looks into, existing or not, for <c>discover</c> to show.</summary>
    IReadOnlyList<string> Places { get; }

    /// <summary>
    /// Finds its GGUF files. What is absent gives nothing; what is broken or unreadable is reported to
    /// <paramref name="skipped"/>, never thrown.
    /// </summary>
    IEnumerable<ModelCandidate> Find(Action<SkippedFile> skipped, CancellationToken cancellation);
}
