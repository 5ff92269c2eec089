namespace Shimmy.Models.Discovery;

/// <summary>A plain folder of GGUF files, entered to a bounded depth.</summary>
/// <param name="origin">Short name of the place.</param>
/// <param name="folder">Full path; need not exist.</param>
/// <param name="maxDepth">Levels of folders below it that are entered.</param>
internal sealed class FolderSource(string origin, string folder, int maxDepth = FolderSource.MaxDepth) : IModelSource
{
    /// <summary>Levels of folders below a plain folder that are entered.</summary>
    public const int MaxDepth = 4;

    /// <inheritdoc/>
    public string Origin => origin;

    /// <inheritdoc/>
    public IReadOnlyList<string> Places => [folder];

    /// <inheritdoc/>
    public IEnumerable<ModelCandidate> Find(Action<SkippedFile> skipped, CancellationToken cancellation)
    {
        var walk = new FolderWalk(maxDepth, ModelFileName.IsGguf, (path, reason) =>
            skipped(new SkippedFile(path, origin, reason)));
        return walk.Files(folder, cancellation).Select(file => ModelCandidate.Of(file, origin));
    }
}
