using Shimmy.Gguf;

namespace Shimmy.Models.Discovery;

/// <summary>
/// The Hugging Face hub cache: <c>models--ORG--NAME/snapshots/COMMIT/…</c>, where <c>refs/main</c> has the commit and the files are links
/// into <c>blobs</c>. The <c>hf</c> command, transformers and llama.cpp's <c>-hf</c> share it.
/// (huggingface.co/docs/huggingface_hub/guides/manage-cache)
/// </summary>
internal sealed class HuggingFaceSource(HostEnvironment host) : IModelSource
{
    private const string Prefix = "models--";
    private const int MaxCommitLength = 128;

    /// <inheritdoc/>
    public string Origin => "huggingface";

    /// <inheritdoc/>
    public IReadOnlyList<string> Places => [Root];

    private string Root =>
        host.Folder("HF_HUB_CACHE")
        ?? host.Folder("HUGGINGFACE_HUB_CACHE")
        ?? (host.Folder("HF_HOME") is { } home ? host.Join(home, "hub") : null)
        ?? (host.Folder("XDG_CACHE_HOME") is { } cache ? host.Join(cache, "huggingface", "hub") : null)
        ?? host.Join(host.Home, ".cache", "huggingface", "hub");

    /// <inheritdoc/>
    public IEnumerable<ModelCandidate> Find(Action<SkippedFile> skipped, CancellationToken cancellation)
    {
        foreach (var folder in Folders(Root, Prefix + "*", skipped))
        {
            var repository = Path.GetFileName(folder)[Prefix.Length..].Replace("--", "/", StringComparison.Ordinal);
            if (repository.Length == 0 || Snapshot(folder, skipped) is not { } snapshot)
                continue;

            var walk = new FolderWalk(FolderSource.MaxDepth, ModelFileName.IsGguf, (path, reason) =>
                skipped(new SkippedFile(path, Origin, reason)));
            foreach (var file in walk.Files(snapshot, cancellation))
                yield return ModelCandidate.Of(file, Origin) with { Repository = repository };
        }
    }

    // The snapshot of refs/main, or the newest one where there is no such ref (after downloading a fixed revision).
    private string? Snapshot(string repository, Action<SkippedFile> skipped)
    {
        var snapshots = Path.Join(repository, "snapshots");
        var reference = Path.Join(repository, "refs", "main");
        try
        {
            if (File.Exists(reference))
            {
                var commit = SmallFile.ReadText(reference).Trim();
                var snapshot = Path.Join(snapshots, commit);
                if (commit.Length is 0 or > MaxCommitLength
                    || !commit.All(char.IsAsciiLetterOrDigit)
                    || !Directory.Exists(snapshot))
                {
                    skipped(new SkippedFile(reference, Origin, "names a snapshot that does not exist"));
                    return null;
                }

                return snapshot;
            }

            return Directory.Exists(snapshots)
                ? new DirectoryInfo(snapshots).EnumerateDirectories()
                    .MaxBy(snapshot => (snapshot.LastWriteTimeUtc, snapshot.Name))?.FullName
                : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            skipped(new SkippedFile(reference, Origin, $"cannot be read: {e.Message}"));
            return null;
        }
    }

    private List<string> Folders(string folder, string pattern, Action<SkippedFile> skipped)
    {
        try
        {
            return Directory.Exists(folder)
                ? [.. Directory.EnumerateDirectories(folder, pattern).Order(StringComparer.Ordinal)]
                : [];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            skipped(new SkippedFile(folder, Origin, $"cannot be read: {e.Message}"));
            return [];
        }
    }
}
