using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;

namespace Shimmy.Packaging;

/// <summary>A file that goes into a package: where it goes, what it holds, and whether it runs; or a link.</summary>
/// <param name="Path">The path inside, with slashes, not beginning with one.</param>
/// <param name="Read">Gives the bytes.</param>
/// <param name="Runs">Whether it is a program.</param>
/// <param name="Target">Where a link leads; null for a file.</param>
/// <param name="IsSecret">Whether its owner alone may read it.</param>
internal sealed record PackedFile(string Path, Func<byte[]> Read, bool Runs = false, string? Target = null, bool IsSecret = false)
{
    /// <summary>The bits of its mode.</summary>
    public UnixFileMode Mode => (UnixFileMode)(
        Target is not null ? 0b111_111_111 : Runs ? 0b111_101_101 : IsSecret ? 0b110_000_000 : 0b110_100_100);

    /// <summary>A file with this text.</summary>
    public static PackedFile OfText(string path, string text, bool runs = false) => new(path, () => System.Text.Encoding.UTF8.GetBytes(text), runs);

    /// <summary>The files of a folder, in the order of their paths; the executable, scripts and the C library's loader run.</summary>
    public static IReadOnlyList<PackedFile> In(string folder, string prefix = "") =>
    [
        .. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
            .Select(file => (File: file, Path: System.IO.Path.GetRelativePath(folder, file).Replace('\\', '/')))
            .OrderBy(one => one.Path, StringComparer.Ordinal)
            .Select(one => new PackedFile(prefix + one.Path, () => File.ReadAllBytes(one.File), IsProgram(one.Path))),
    ];

    // By the whole path: the completion for bash has the program's name.
    private static bool IsProgram(string path) => path is Product.Name or Product.Name + ".exe"
        || path.EndsWith(".sh", StringComparison.Ordinal)
        || System.IO.Path.GetFileName(path).StartsWith("ld-linux-", StringComparison.Ordinal);
}

/// <summary>Containers that come out the same, byte for byte, from the same files: sorted, owned by root, of one time.</summary>
internal static class Packed
{
    /// <summary>
    /// The time of everything in a package: <c>SOURCE_DATE_EPOCH</c> (reproducible-builds.org), which publish.sh sets to the commit's.
    /// </summary>
    public static DateTimeOffset Time { get; } = DateTimeOffset.FromUnixTimeSeconds(
        long.TryParse(Environment.GetEnvironmentVariable("SOURCE_DATE_EPOCH"), out var seconds) ? seconds : 315_532_800);

    /// <summary>A tar of the files and the folders above them.</summary>
    /// <param name="files">The files.</param>
    /// <param name="root">Stands before each path.</param>
    /// <param name="owned">Empty folders beside them, with their modes and the numbers of their owners.</param>
    public static byte[] Tar(
        IEnumerable<PackedFile> files, string root = "", params ReadOnlySpan<(string Path, UnixFileMode Mode, int Owner)> owned)
    {
        var bytes = new MemoryStream();
        using (var tar = new TarWriter(bytes, TarEntryFormat.Gnu, leaveOpen: true))
        {
            var folders = new HashSet<string>(StringComparer.Ordinal);
            foreach (var (path, mode, owner) in owned)
            {
                folders.Add(path);
                var folder = Entry(TarEntryType.Directory, root + path + "/", mode);
                (folder.Uid, folder.Gid) = (owner, owner);
                // By a name, where there is one, would a reader find its owner.
                if (owner != 0)
                    folder.UserName = folder.GroupName = "";
                tar.WriteEntry(folder);
            }
            foreach (var file in files.OrderBy(file => file.Path, StringComparer.Ordinal))
            {
                for (var at = file.Path.IndexOf('/', StringComparison.Ordinal); at >= 0; at = file.Path.IndexOf('/', at + 1))
                {
                    if (folders.Add(file.Path[..at]))
                        tar.WriteEntry(Entry(TarEntryType.Directory, root + file.Path[..at] + "/", (UnixFileMode)0b111_101_101));
                }
                var entry = Entry(file.Target is null ? TarEntryType.RegularFile : TarEntryType.SymbolicLink, root + file.Path, file.Mode);
                if (file.Target is not null)
                    entry.LinkName = file.Target;
                else
                    entry.DataStream = new MemoryStream(file.Read());
                tar.WriteEntry(entry);
            }
        }
        return bytes.ToArray();
    }

    /// <summary>Bytes compressed by gzip, whose header has neither name nor time.</summary>
    public static byte[] Gzip(byte[] bytes)
    {
        var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.SmallestSize, leaveOpen: true))
            gzip.Write(bytes);
        return packed.ToArray();
    }

    /// <summary>A zip of the files, with their modes.</summary>
    public static byte[] Zip(IEnumerable<PackedFile> files)
    {
        var bytes = new MemoryStream();
        using (var zip = new ZipArchive(bytes, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (var file in files.OrderBy(file => file.Path, StringComparer.Ordinal))
            {
                var entry = zip.CreateEntry(file.Path, CompressionLevel.SmallestSize);
                entry.LastWriteTime = Time;
                entry.ExternalAttributes = (0x8000 | (int)file.Mode) << 16;
                using var stream = entry.Open();
                stream.Write(file.Read());
            }
        }
        return bytes.ToArray();
    }

    /// <summary>A SHA-256 in hexadecimal digits.</summary>
    public static string Hash(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    /// <summary>Writes a file, and the folders above it.</summary>
    public static string Write(string path, byte[] bytes)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        File.WriteAllBytes(path, bytes);
        return path;
    }

    // Without the two other times that GNU's headers have room for: they lie where POSIX has the beginning of a name, and BusyBox, Python and
    // Perl read them as that.
    private static GnuTarEntry Entry(TarEntryType type, string name, UnixFileMode mode) => new(type, name)
    {
        Mode = mode,
        ModificationTime = Time,
        UserName = "root",
        GroupName = "root",
    };
}
