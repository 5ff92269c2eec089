using System.IO.Enumeration;
using System.Text;
using Shimmy.Gguf;

namespace Shimmy.Models.Discovery;

/// <summary>A file that a walk met.</summary>
/// <param name="Path">Full path by way of the folders walked.</param>
/// <param name="RealPath">Full path without links.</param>
/// <param name="SizeBytes">Its length.</param>
/// <param name="ModifiedUtc">When it was last written.</param>
internal readonly record struct WalkedFile(string Path, string RealPath, long SizeBytes, DateTime ModifiedUtc);

/// <summary>
/// Walks a folder, nearest levels first, within bounds of depth and number. Links to folders are followed, each real folder is
/// entered once, so that loops end. Broken links and folders that cannot be read are reported and passed by.
/// </summary>
/// <param name="maxDepth">Levels of folders below the root that are entered; 0 stays in the root.</param>
/// <param name="wants">Which file names are wanted.</param>
/// <param name="skipped">Takes path and reason of what was passed by.</param>
internal sealed class FolderWalk(int maxDepth, Func<ReadOnlySpan<char>, bool> wants, Action<string, string> skipped)
{
    /// <summary>Entries seen, wanted or not, after which a walk ends: it was pointed at no folder of models.</summary>
    public const int MaxEntries = 200_000;

    private readonly HashSet<string> _entered = new(StringComparer.Ordinal);
    private int _seen;

    private readonly record struct Entry(string Name, bool IsFolder, bool IsLink, long SizeBytes, DateTime ModifiedUtc);

    /// <summary>All wanted files, in the order of their names within each folder.</summary>
    public IEnumerable<WalkedFile> Files(string root, CancellationToken cancellation)
    {
        if (!Directory.Exists(root))
        {
            yield break;
        }

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
                    skipped(path, $"more than {MaxEntries} files: the rest was not looked at");
                    yield break;
                }

                var entryPath = Path.Join(folder.Path, entry.Name);
                if (entry.IsLink)
                {
                    if (Follow(entryPath, folder.Depth) is { } linked)
                    {
                        yield return linked;
                    }
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
            {
                folders.Enqueue((folder, real == folder ? folder : real, depth));
            }
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
                    {
                        return new WalkedFile(link, real, file.Length, file.LastWriteTimeUtc);
                    }

                    skipped(link, $"broken link to {real}");
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                skipped(link, $"link cannot be followed: {e.Message}");
            }

            return null;
        }
    }

    private List<Entry> List(string folder)
    {
        var entries = new List<Entry>();
        try
        {
            // Size and time are asked for only where they are needed: each is a system call.
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

/// <summary>Paths without links, as realpath(3) gives them.</summary>
internal static class RealPath
{
    private const int MaxLinks = 40; // what Linux allows (ELOOP)

    /// <summary>
    /// The path with every link in it followed. What does not exist stays as it is. Throws <see cref="IOException"/> for a loop.
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
            {
                throw new IOException($"too many links on the way to {path}");
            }

            var resolved = Path.GetFullPath(target, done);
            done = Path.GetPathRoot(resolved)!;
            foreach (var step in Parts(resolved[done.Length..]).AsEnumerable().Reverse())
            {
                pending.Push(step);
            }
        }

        return done;
    }

    private static string[] Parts(string path) =>
        path.Split([Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar], StringSplitOptions.RemoveEmptyEntries);
}

/// <summary>Reads files that other tools wrote and that ought to be small.</summary>
internal static class SmallFile
{
    /// <summary>Bytes that such a file may have.</summary>
    public const int MaxBytes = 1 << 20;

    /// <summary>All bytes. Throws <see cref="IOException"/> for a file that is too large or cannot be read.</summary>
    public static byte[] ReadBytes(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete,
            bufferSize: 0);
        if (stream.Length > MaxBytes)
        {
            throw new IOException($"it has {stream.Length} bytes; at most {MaxBytes} were expected");
        }

        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    /// <summary>All text, UTF-8 with or without a mark.</summary>
    public static string ReadText(string path) => Encoding.UTF8.GetString(ReadBytes(path)).TrimStart('\uFEFF');
}
