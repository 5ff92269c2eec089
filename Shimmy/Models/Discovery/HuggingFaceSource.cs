using Shimmy.Gguf;

namespace Shimmy.Models.Discovery;

/// <summary>
/// The Hugging Face hub cache: <c>models--ORG--NAME/snapshots/COMMIT/…</c>, where <c>refs/main</c> has the commit and the files are links
/// into <c>blobs</c>. The <c>hf</c> command, transformers and llama.cpp's <c>-hf</c> share it.
/// (huggingface.co/docs/huggingface_hub/guides/manage-cache)
/// </summary>
internal sealed class HuggingFaceSource(HostEnvironment host) : IModelSource
{
    /// <summary>The prefix of the name of a model's folder.</summary>
    public const string Prefix = "models--";

    /// <inheritdoc/>
    public string Origin => "huggingface";

    /// <inheritdoc/>
    public IReadOnlyList<string> Places => [RootOf(host)];

    /// <summary>The cache's folder.</summary>
    public static string RootOf(HostEnvironment host) =>
        host.Folder("HF_HUB_CACHE") ?? host.Folder("HUGGINGFACE_HUB_CACHE") ?? host.Join(HomeOf(host), "hub");

    /// <summary>The folder of Hugging Face's tools, where the token lies as well.</summary>
    public static string HomeOf(HostEnvironment host) =>
        host.Folder("HF_HOME") ?? (host.Folder("XDG_CACHE_HOME") is { } cache ? host.Join(cache, "huggingface") : null)
        ?? host.Join(host.Home, ".cache", "huggingface");

    /// <summary>The folder of the snapshot that a path is, or lies in; null for one elsewhere.</summary>
    public static string? SnapshotOf(string path)
    {
        for (var folder = path; Path.GetDirectoryName(folder) is { } above; folder = above)
        {
            if (Path.GetFileName(above) == "snapshots" && Path.GetFileName(Path.GetDirectoryName(above))
                ?.StartsWith(Prefix, StringComparison.Ordinal) == true)
            {
                return folder;
            }
        }
        return null;
    }

    /// <inheritdoc/>
    public IEnumerable<ModelCandidate> Find(Action<SkippedFile> skipped, CancellationToken cancellation)
    {
        foreach (var folder in Folders(RootOf(host), Prefix + "*", skipped))
        {
            var repository = Path.GetFileName(folder)[Prefix.Length..].Replace("--", "/", StringComparison.Ordinal);
            if (repository.Length > 0)
            {
                foreach (var file in Files(folder, skipped, cancellation))
                    yield return ModelCandidate.Of(file, Origin) with { Repository = repository };
                if (Snapshots(folder, static _ => { }).FirstOrDefault(TensorFolder.IsOne) is { } snapshot)
                    yield return TensorFolder.Candidate(snapshot, Origin) with { Repository = repository };
            }
        }
    }

    // The files of the first snapshot that has each: files that a newer revision dropped stay usable, and so do those of a download that
    // was not finished. A model in shards comes from one snapshot, the first that has all of them.
    private List<WalkedFile> Files(string repository, Action<SkippedFile> skipped, CancellationToken cancellation)
    {
        var found = new Dictionary<string, List<WalkedFile>>(StringComparer.Ordinal);
        var complete = new HashSet<string>(StringComparer.Ordinal);
        foreach (var snapshot in Snapshots(repository, skipped))
        {
            var walk = new FolderWalk(FolderSource.MaxDepth, ModelFileName.IsGguf, (path, reason) =>
                skipped(new SkippedFile(path, Origin, reason)));
            foreach (var model in walk.Files(snapshot, cancellation).GroupBy(file => ModelOf(snapshot, file), StringComparer.Ordinal))
            {
                var files = model.ToList();
                var shards = ModelFileName.Parse(Path.GetFileName(files[0].Path)).ShardCount;
                if (complete.Contains(model.Key))
                    continue;
                if (files.Count >= shards)
                    complete.Add(model.Key);
                if (files.Count >= shards || !found.ContainsKey(model.Key))
                    found[model.Key] = files;
            }
        }

        return [.. found.Values.SelectMany(files => files)];
    }

    // The path below the snapshot, the same for all shards.
    private static string ModelOf(string snapshot, WalkedFile file)
    {
        var name = ModelFileName.Parse(Path.GetFileName(file.Path));
        return Path.Join(Path.GetRelativePath(snapshot, Path.GetDirectoryName(file.Path)!), $"{name.Stem}|{name.ShardCount}");
    }

    // That of refs/main first, then the others, the newest first: a ref may be missing (after downloading a fixed revision, or that of a
    // pull request), or name a snapshot that was cleared away.
    private List<string> Snapshots(string repository, Action<SkippedFile> skipped)
    {
        var snapshots = Path.Join(repository, "snapshots");
        var reference = Path.Join(repository, "refs", "main");
        try
        {
            var commit = Commit();
            List<DirectoryInfo> all = Directory.Exists(snapshots) ? [.. new DirectoryInfo(snapshots).EnumerateDirectories()] : [];
            if (all.Count == 0 && commit is not null)
                skipped(new SkippedFile(reference, Origin, "names a snapshot that does not exist"));
            return [.. all.OrderByDescending(snapshot => snapshot.Name == commit)
                .ThenByDescending(snapshot => (snapshot.LastWriteTimeUtc, snapshot.Name)).Select(snapshot => snapshot.FullName)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            skipped(new SkippedFile(repository, Origin, $"cannot be read: {e.Message}"));
            return [];
        }

        string? Commit()
        {
            try
            {
                return File.Exists(reference) ? SmallFile.ReadText(reference).Trim() : null;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                skipped(new SkippedFile(reference, Origin, $"cannot be read: {e.Message}"));
                return null;
            }
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
