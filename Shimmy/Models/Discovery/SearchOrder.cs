namespace Shimmy.Models.Discovery;

/// <summary>
/// The sources that are searched for models, in order: where two models have the same name, the earlier source keeps it.
/// </summary>
internal static class SearchOrder
{
    /// <summary>Environment variable with the path of one model to register; its folder is searched too.</summary>
    public const string BaseGguf = "SHIMMY_BASE_GGUF";

    /// <summary>Environment variable with further folders, separated by <c>;</c> on every system.</summary>
    public const string ModelPaths = "SHIMMY_MODEL_PATHS";

    /// <summary>Makes the sources for a machine.</summary>
    /// <param name="host">The machine's folders and environment variables.</param>
    /// <param name="modelDirs">Folders of <c>--model-dirs</c>, separated by <c>;</c>; null where the option is not given.</param>
    public static IReadOnlyList<IModelSource> Sources(HostEnvironment host, string? modelDirs = null)
    {
        var sources = new List<IModelSource>
        {
            new FolderSource("models", host.Join(host.CurrentDirectory, "models")),
            new FolderSource("app", host.Join(host.ExecutableDirectory, "models")),
        };
        if (host.Value(BaseGguf) is { } file)
        {
            // Without subfolders, since the file may be in a home folder.
            sources.Add(new FolderSource("base", host.FolderOf(host.Absolute(file)), maxDepth: 0));
        }

        sources.AddRange(Folders(modelDirs).Concat(Folders(host.Value(ModelPaths))).Select(folder =>
            new FolderSource("dirs", host.Absolute(folder), isNamedByUser: true)));
        if (host.Folder(OllamaSource.FolderVariable) is { } ollama)
            sources.Add(new OllamaSource(ollama, isNamedByUser: true));

        sources.Add(new HuggingFaceSource(host));
        sources.AddRange(OllamaSource.DefaultFolders(host).Select(folder => new OllamaSource(folder)));
        sources.Add(new LmStudioSource(host));
        sources.Add(new LlamaCppCacheSource(host));
        return sources;
    }

    private static string[] Folders(string? list) =>
        list?.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [];
}

/// <summary>A kind of place where models are found: a folder, Ollama, Hugging Face … A new kind is a new file beside this one.</summary>
internal interface IModelSource
{
    /// <summary>Short name, shown by <c>discover</c> and prefixed to a model's name that is taken already.</summary>
    string Origin { get; }

    /// <summary>The folders that are searched, existing or not, for <c>discover</c> to show.</summary>
    IReadOnlyList<string> Places { get; }

    /// <summary>
    /// Enumerates the GGUF files, without reading their headers. Missing folders give none; files that are broken or cannot be read are
    /// reported to <paramref name="skipped"/>, never thrown.
    /// </summary>
    IEnumerable<ModelCandidate> Find(Action<SkippedFile> skipped, CancellationToken cancellation);
}
