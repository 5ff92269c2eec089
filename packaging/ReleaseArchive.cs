using System.Formats.Tar;
using System.IO.Compression;

namespace Shimmy.Packaging;

/// <summary>A published archive, <c>shimmy-VERSION-RID[-BACKEND]….tar.gz</c> or <c>.zip</c>: one folder of that name inside.</summary>
/// <param name="Path">Where it is.</param>
/// <param name="Version">The product's version.</param>
/// <param name="Platform">What it runs on.</param>
/// <param name="Backend">Its GPU plug-ins, with hyphens between them; empty for none.</param>
internal sealed record ReleaseArchive(string Path, string Version, Platform Platform, string Backend)
{
    private static readonly string[] Backends = ["vulkan", "cuda", "cuda12", "metal"];

    // What the linker leaves for debuggers beside the executable, on Linux, macOS and Windows.
    private static readonly string[] Symbols = [Product.Name + ".dbg", Product.Name + ".dSYM", Product.Name + ".pdb"];

    private const string OfSymbols = "-symbols";

    /// <summary>Its file name.</summary>
    public string FileName => System.IO.Path.GetFileName(Path);

    /// <summary>
    /// The version as deb and rpm write it: a tilde stands before what is earlier than the release (1.2.3~rc.1), where a hyphen would begin
    /// the package's own revision.
    /// </summary>
    public string OrderedVersion => Version.Split('-', 2) is [var release, var before] ? $"{release}~{before.Replace('-', '.')}" : Version;

    /// <summary>
    /// The version as the AUR writes it: letters right behind the release's number stand before what is earlier (1.2.3rc.1). For vercmp, what
    /// begins behind a full stop, an underscore or the like is later.
    /// </summary>
    public string LetteredVersion => Version.Split('-', 2) is [var release, var before]
        ? release + (char.IsAsciiLetter(before[0]) ? "" : "pre") + before.Replace('-', '.')
        : Version;

    /// <summary>The name of the folder inside.</summary>
    public string Folder => FileName[..^Platform.Ending.Length];

    /// <summary>The SHA-256 of the file.</summary>
    public string Hash { get; } = Packed.Hash(File.ReadAllBytes(Path));

    /// <summary>The archives of a folder, by their names.</summary>
    public static IReadOnlyList<ReleaseArchive> In(string dist) =>
        [.. Directory.EnumerateFiles(dist).Order(StringComparer.Ordinal).Select(Of).OfType<ReleaseArchive>()];

    /// <summary>The archives of symbols of a folder, which nothing installs.</summary>
    public static IEnumerable<string> SymbolsIn(string dist) => Directory.EnumerateFiles(dist, $"{Product.Name}-*{OfSymbols}.*");

    /// <summary>Makes one of a published folder, with its <c>.sha256</c> beside it.</summary>
    public static ReleaseArchive Make(string published, string dist, string version, Platform platform, string backend)
    {
        var name = NameOf(version, platform, backend);
        var archive = new ReleaseArchive(
            Write(PackedFile.In(published, name + "/"), System.IO.Path.Combine(dist, name), platform), version, platform, backend);
        File.WriteAllText(archive.Path + ".sha256", $"{archive.Hash}  {archive.FileName}\n");
        return archive;
    }

    /// <summary>
    /// Takes the symbols for debuggers out of a published folder, into an archive of their own beside the one of <see cref="Make"/>; gives
    /// its path, or null where the folder has none.
    /// </summary>
    public static string? TakeSymbols(string published, string dist, string version, Platform platform, string backend)
    {
        var files = PackedFile.In(published).Where(file => Symbols.Contains(file.Path.Split('/')[0])).ToArray();
        if (files.Length == 0)
            return null;
        var path = Write(files, System.IO.Path.Combine(dist, NameOf(version, platform, backend) + OfSymbols), platform);
        foreach (var symbols in Symbols.Select(one => System.IO.Path.Combine(published, one)))
        {
            if (Directory.Exists(symbols))
                Directory.Delete(symbols, recursive: true);
            else
                File.Delete(symbols);
        }
        return path;
    }

    /// <summary>The files inside, without the folder's name.</summary>
    public IReadOnlyList<PackedFile> Files()
    {
        var files = new List<PackedFile>();
        if (Platform.IsWindows)
        {
            using var zip = ZipFile.OpenRead(Path);
            foreach (var entry in zip.Entries.Where(entry => entry.Name.Length > 0))
            {
                using var stream = entry.Open();
                Add(entry.FullName, stream, entry.Name == Platform.Executable);
            }
            return files;
        }
        using var gzip = new GZipStream(File.OpenRead(Path), CompressionMode.Decompress);
        using var tar = new TarReader(gzip);
        while (tar.GetNextEntry() is { } entry)
        {
            if (entry is { EntryType: TarEntryType.RegularFile or TarEntryType.V7RegularFile })
                Add(entry.Name, entry.DataStream ?? Stream.Null, (entry.Mode & UnixFileMode.UserExecute) != 0);
        }
        return files;

        void Add(string name, Stream content, bool runs)
        {
            var copy = new MemoryStream();
            content.CopyTo(copy);
            files.Add(new PackedFile(name[(name.IndexOf('/', StringComparison.Ordinal) + 1)..], copy.ToArray, runs));
        }
    }

    private static string NameOf(string version, Platform platform, string backend) =>
        $"{Product.Name}-{version}-{platform.Rid}{(backend.Length == 0 ? "" : "-" + backend)}";

    private static string Write(IReadOnlyList<PackedFile> files, string name, Platform platform) =>
        Packed.Write(name + platform.Ending, platform.IsWindows ? Packed.Zip(files) : Packed.Gzip(Packed.Tar(files)));

    private static ReleaseArchive? Of(string path)
    {
        var name = System.IO.Path.GetFileName(path);
        const string start = Product.Name + "-";
        foreach (var platform in Product.Platforms)
        {
            if (!name.StartsWith(start, StringComparison.Ordinal) || !name.EndsWith(platform.Ending, StringComparison.Ordinal))
                continue;
            var (stem, rid) = (name[..^platform.Ending.Length], "-" + platform.Rid);
            var at = stem.LastIndexOf(rid, StringComparison.Ordinal);
            if (at <= start.Length)
                continue;
            var backends = stem[(at + rid.Length)..].Split('-');
            if (backends[0].Length == 0 && backends.Skip(1).All(backend => Backends.Contains(backend)))
                return new ReleaseArchive(path, stem[start.Length..at], platform, string.Join('-', backends.Skip(1)));
        }
        return null;
    }
}
