using System.IO.Enumeration;
using Shimmy.Gguf;

namespace Shimmy.Models.Discovery;

/// <summary>A file found by a <see cref="FolderWalk"/>.</summary>
/// <param name="Path">Full path below the walked folder; may contain links.</param>
/// <param name="RealPath">Full path with all links resolved.</param>
/// <param name="SizeBytes">Size in bytes.</param>
/// <param name="ModifiedUtc">Time of the last write.</param>
internal readonly record struct WalkedFile(string Path, string RealPath, long SizeBytes, DateTime ModifiedUtc);

/// <summary>
/// Walks a folder breadth-first, to a maximum depth and number of entries. Follows links, and enters each real folder once, so that link
/// loops end. Broken links and folders that cannot be read are reported and skipped.
/// </summary>
/// <param name="maxDepth">Levels of folders below the root to enter; 0: only the root.</param>
/// <param name="wants">Whether a file of this name is wanted.</param>
/// <param name="skipped">Receives path and reason of everything skipped.</param>
internal sealed class FolderWalk(int maxDepth, Func<ReadOnlySpan<char>, bool> wants, Action<string, string> skipped)
{
    /// <summary>Most entries of a walk. Folders of models have fewer; this one may be a home folder or a whole disk.</summary>
    public const int MaxEntries = 200_000;

    private readonly HashSet<string> _entered = new(StringComparer.Ordinal);
    private int _seen;

    private readonly record struct Entry(string Name, bool IsFolder, bool IsLink, long SizeBytes, DateTime ModifiedUtc);

    /// <summary>Enumerates the wanted files, folder by folder, in the order of their names. A missing root gives none.</summary>
    public IEnumerable<WalkedFile> Files(string root, CancellationToken cancellation)
    {
        if (!Directory.Exists(root))
            yield break;

        var path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(root));
        var folders = new Queue<(string Path, string RealPath, int Depth)>();
        EnterLink(path, depth: 0);
        while (folders.TryDequeue(out var folder))
        {
            cancellation.ThrowIfCancellationRequested();
            foreach (var entry in List(folder.Path))
            {
                if (++_seen > MaxEntries)
                {
                    skipped(path, $"more than {MaxEntries} files: scan stopped, the rest was skipped");
                    yield break;
                }

                var entryPath = Path.Join(folder.Path, entry.Name);
                if (entry.IsLink)
                {
                    if (Follow(entryPath, folder.Depth) is { } linked)
                        yield return linked;
                }
                else if (entry.IsFolder)
                {
                    var plain = ReferenceEquals(folder.Path, folder.RealPath);
                    Enter(entryPath, plain ? entryPath : Path.Join(folder.RealPath, entry.Name), folder.Depth + 1);
                }
                else
                {
                    var real = ReferenceEquals(folder.Path, folder.RealPath)
                        ? entryPath
                        : Path.Join(folder.RealPath, entry.Name);
                    yield return new WalkedFile(entryPath, real, entry.SizeBytes, entry.ModifiedUtc);
                }
            }
        }

        void EnterLink(string folder, int depth)
        {
            try
            {
                Enter(folder, RealPath.Of(folder), depth);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                skipped(folder, $"cannot be read: {e.Message}");
            }
        }

        void Enter(string folder, string real, int depth)
        {
            if (depth <= maxDepth && _entered.Add(real))
                folders.Enqueue((folder, real == folder ? folder : real, depth));
        }

        WalkedFile? Follow(string link, int depth)
        {
            try
            {
                var real = RealPath.Of(link);
                if (Directory.Exists(real))
                {
                    Enter(link, real, depth + 1);
                }
                else if (wants(Path.GetFileName(link.AsSpan())))
                {
                    var file = new FileInfo(real);
                    if (file.Exists)
                        return new WalkedFile(link, real, file.Length, file.LastWriteTimeUtc);

                    skipped(link, $"broken link to {real}");
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                skipped(link, $"cannot follow link: {e.Message}");
            }

            return null;
        }
    }

    private List<Entry> List(string folder)
    {
        var entries = new List<Entry>();
        try
        {
            // Size and time only for wanted files: each costs a system call.
            var enumeration = new FileSystemEnumerable<Entry>(folder, Transform,
                new EnumerationOptions { IgnoreInaccessible = false, AttributesToSkip = 0 })
            {
                ShouldIncludePredicate = (ref FileSystemEntry entry) =>
                    entry.IsDirectory || (entry.Attributes & FileAttributes.ReparsePoint) != 0 || wants(entry.FileName),
            };
            entries.AddRange(enumeration);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            skipped(folder, $"cannot be read: {e.Message}");
        }

        entries.Sort((a, b) => string.CompareOrdinal(a.Name, b.Name));
        return entries;

        static Entry Transform(ref FileSystemEntry entry)
        {
            var name = entry.FileName.ToString();
            var isLink = (entry.Attributes & FileAttributes.ReparsePoint) != 0;
            return isLink || entry.IsDirectory
                ? new Entry(name, entry.IsDirectory, isLink, 0, default)
                : new Entry(name, IsFolder: false, IsLink: false, entry.Length, entry.LastWriteTimeUtc.UtcDateTime);
        }
    }
}

/// <summary>A plain folder of GGUF files, entered to a bounded depth.</summary>
/// <param name="origin">Short name of the source.</param>
/// <param name="folder">Full path; may be missing.</param>
/// <param name="maxDepth">Levels of folders below it to enter.</param>
/// <param name="isNamedByUser">The user named the folder, so that a missing one is reported.</param>
internal sealed class FolderSource(string origin, string folder, int maxDepth = FolderSource.MaxDepth, bool isNamedByUser = false)
    : IModelSource
{
    /// <summary>Default for the levels of folders below a plain folder to enter.</summary>
    public const int MaxDepth = 4;

    /// <inheritdoc/>
    public string Origin => origin;

    /// <inheritdoc/>
    public IReadOnlyList<string> Places => [folder];

    /// <inheritdoc/>
    public IEnumerable<ModelCandidate> Find(Action<SkippedFile> skipped, CancellationToken cancellation)
    {
        if (isNamedByUser && !Directory.Exists(folder))
            skipped(new SkippedFile(folder, origin, SkippedFile.NoFolder));

        var walk = new FolderWalk(maxDepth,
            name => ModelFileName.IsGguf(name) || name is TensorFolder.Config or TensorFolder.AdapterConfig, (path, reason) =>
            skipped(new SkippedFile(path, origin, reason)));
        var root = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        foreach (var file in walk.Files(folder, cancellation))
        {
            var candidate = ModelFileName.IsGguf(file.Path) ? ModelCandidate.Of(file, origin)
                : Path.GetDirectoryName(file.Path) is { } own && TensorFolder.IsOne(own) ? TensorFolder.Candidate(own, origin)
                : null;
            if (candidate is not null)
                yield return candidate with { Folder = FolderBelow(root, candidate.Path), RootName = Path.GetFileName(root) };
        }
    }

    private static string FolderBelow(string root, string file)
    {
        if (file == root)
            return "";
        var folder = Path.GetRelativePath(root, Path.GetDirectoryName(file)!);
        return folder == "." ? "" : folder.Replace(Path.DirectorySeparatorChar, '/');
    }
}

/// <summary>Resolves links in paths, as realpath(3) does.</summary>
internal static class RealPath
{
    private const int MaxLinks = 40; // the limit of Linux (ELOOP)

    /// <summary>
    /// The full path with all links resolved. Parts that do not exist are kept. Throws <see cref="IOException"/> for a link loop.
    /// </summary>
    public static string Of(string path)
    {
        var full = Path.GetFullPath(path);
        var root = Path.GetPathRoot(full)!;
        var pending = new Stack<string>(Parts(full[root.Length..]).AsEnumerable().Reverse());
        var done = root;
        for (var links = 0; pending.TryPop(out var part);)
        {
            var next = Path.Join(done, part);
            if (new FileInfo(next).LinkTarget is not { } target)
            {
                done = next;
                continue;
            }

            if (++links > MaxLinks)
                throw new IOException($"too many levels of symbolic links in {path}");

            var resolved = Path.GetFullPath(target, done);
            done = Path.GetPathRoot(resolved)!;
            foreach (var step in Parts(resolved[done.Length..]).AsEnumerable().Reverse())
                pending.Push(step);
        }

        return done;
    }

    private static string[] Parts(string path) =>
        path.Split([Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar], StringSplitOptions.RemoveEmptyEntries);
}
