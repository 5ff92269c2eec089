using System.IO.Enumeration;

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

        string path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(root));
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

                string entryPath = Path.Join(folder.Path, entry.Name);
                if (entry.IsLink)
                {
                    if (Follow(entryPath, folder.Depth) is { } linked)
                    {
                        yield return linked;
                    }
                }
                else if (entry.IsFolder)
                {
                    bool plain = ReferenceEquals(folder.Path, folder.RealPath);
                    Enter(entryPath, plain ? entryPath : Path.Join(folder.RealPath, entry.Name), folder.Depth + 1);
                }
                else
                {
                    string real = ReferenceEquals(folder.Path, folder.RealPath)
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
                string real = RealPath.Of(link);
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
            string name = entry.FileName.ToString();
            bool isLink = (entry.Attributes & FileAttributes.ReparsePoint) != 0;
            return isLink || entry.IsDirectory
                ? new Entry(name, entry.IsDirectory, isLink, 0, default)
                : new Entry(name, IsFolder: false, IsLink: false, entry.Length, entry.LastWriteTimeUtc.UtcDateTime);
        }
    }
}
