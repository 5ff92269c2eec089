namespace Shimmy.Models.Discovery;

/// <summary>A plain folder of GGUF files, entered to a bounded depth.</summary>
/// <param name="origin">Short name of the place.</param>
/// <param name="folder">Full path; need not exist.</param>
/// <param name="maxDepth">Levels of folders below it that are entered.</param>
/// <param name="asked">Whether a user named it, who hears where it does not exist.</param>
internal sealed class FolderSource(string origin, string folder, int maxDepth = FolderSource.MaxDepth, bool asked = false) : IModelSource
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
        if (asked && !Directory.Exists(folder))
        {
            skipped(new SkippedFile(folder, origin, "there is no such folder"));
        }

        var walk = new FolderWalk(maxDepth, ModelFileName.IsGguf, (path, reason) =>
            skipped(new SkippedFile(path, origin, reason)));
        return walk.Files(folder, cancellation).Select(file => ModelCandidate.Of(file, origin));
    }
}
