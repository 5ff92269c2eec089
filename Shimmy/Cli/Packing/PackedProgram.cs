using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Shimmy.Cli.Terminal;
using Shimmy.Cli.Terminal.Native;
using Shimmy.Models.Discovery;

namespace Shimmy.Cli.Packing;

/// <summary>
/// A program with its libraries and a model behind it, in one file that runs as it is: for machines to which files are copied.
/// <code>
///   executable │ file │ file │ … │ index: a line a file │ trailer: magic, where the index is, its SHA-256
/// </code>
/// Each file begins at a multiple of <see cref="Alignment"/>. The first start unpacks all of it into the cache folder, under the hash of
/// the index, and every start runs the program there, where all files of the index are, in their lengths. Nothing is mapped where it lies
/// in here: the system loads libraries from files of their own, and llama.cpp takes a model as a path, without a place in the file
/// (<c>llama_model_load_from_file</c>), and maps the whole file from offset 0 (<c>llama_mmap</c>), where the executable is.
/// </summary>
internal static class PackedProgram
{
    /// <summary>Where a file may begin, in bytes: a page.</summary>
    public const int Alignment = 4096;

    private const int TrailerLength = 64;
    private const int LongestIndex = 1 << 20;
    private const string Program = "shimmy";
    private const string Partial = ".partial";
    private const string Lock = ".unpacking";

    // What moves the cache folder (HostEnvironment.CacheFolder).
    private static string Elsewhere =>
        (OperatingSystem.IsWindows() ? "LOCALAPPDATA" : OperatingSystem.IsMacOS() ? "HOME" : "XDG_CACHE_HOME") + " names another folder";

    private static ReadOnlySpan<byte> Magic => "SHIMMY.PACKED.1\n"u8;

    /// <summary>A file of it: where its bytes are, what they hash to, and whether it runs.</summary>
    private sealed record Part(long Offset, long Length, bool Runs, string Hash, string Path);

    /// <summary>
    /// Runs what this executable carries, where it carries something; null where it is a plain one. On Unix it does not return, since the
    /// process becomes the unpacked program.
    /// </summary>
    public static int? Start(string[] arguments)
    {
        if (Environment.ProcessPath is not { } path)
            return null;
        try
        {
            if (!IsPacked(path))
                return null;
            var host = HostEnvironment.Current();
            return Unpack(path, host.Join(host.CacheFolder(), "shimmy", "packed")) is { } program
                ? ProcessImage.Become(program, arguments)
                : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CommandException)
        {
            Console.Error.WriteLine($"{Path.GetFileName(path)}: {e.Message}");
            return ExitCode.Failed;
        }
    }

    /// <summary>Writes one, whole or not at all.</summary>
    /// <param name="output">The file to write.</param>
    /// <param name="executable">The program.</param>
    /// <param name="files">Paths inside, with slashes, and the files that they are.</param>
    /// <param name="progress">Receives the bytes that are written so far, and all.</param>
    /// <param name="cancellation">Ends it; nothing is left behind.</param>
    public static Task WriteAsync(string output, string executable, IReadOnlyList<(string Path, string File)> files,
        Action<long, long> progress, CancellationToken cancellation) =>
        Task.Run(() => Write(output, executable, files, progress, cancellation), cancellation);

    private static void Write(string output, string executable, IReadOnlyList<(string Path, string File)> files,
        Action<long, long> progress, CancellationToken cancellation)
    {
        var partial = output + Partial;
        var all = files.Sum(file => new FileInfo(file.File).Length) + new FileInfo(executable).Length;
        try
        {
            using (var target = new FileStream(partial, FileMode.Create, FileAccess.ReadWrite, FileShare.None, 1 << 20))
            {
                var index = new StringBuilder();
                var done = 0L;
                foreach (var (path, source) in files.Prepend((Path.GetFileName(Program + Path.GetExtension(executable)), executable)))
                {
                    target.Position = (target.Position + Alignment - 1) / Alignment * Alignment;
                    var offset = target.Position;
                    using var from = new FileStream(source, FileMode.Open, FileAccess.Read, FileShare.Read, 1);
                    var (hash, length) = Copy(from, long.MaxValue, target, count => progress(done += count, all), cancellation);
                    index.Append(CultureInfo.InvariantCulture, $"{offset} {length} {(RunsAs(path) ? 1 : 0)} {hash} {path}\n");
                }
                var bytes = Encoding.UTF8.GetBytes(index.ToString());
                var trailer = new byte[TrailerLength];
                Magic.CopyTo(trailer);
                BinaryPrimitives.WriteInt64LittleEndian(trailer.AsSpan(16), target.Position);
                BinaryPrimitives.WriteInt64LittleEndian(trailer.AsSpan(24), bytes.Length);
                SHA256.HashData(bytes, trailer.AsSpan(32));
                target.Write(bytes);
                target.Write(trailer);
            }
            if (!OperatingSystem.IsWindows())
                File.SetUnixFileMode(partial, Mode(true));
            File.Move(partial, output, overwrite: true);
        }
        catch
        {
            File.Delete(partial);
            throw;
        }
    }

    /// <summary>
    /// Reads one through and compares every file's SHA-256. Throws <see cref="CommandException"/> where one differs or the file is none.
    /// </summary>
    /// <returns>The number of its files and the length of all.</returns>
    public static (int Files, long Bytes) Verify(string path)
    {
        using var file = File.OpenRead(path);
        var packed = ReadIndex(file) ?? throw new CommandException(ExitCode.Failed, $"{path} is no packed program");
        foreach (var part in packed.Parts)
            Copy(file, part, Stream.Null);
        return (packed.Parts.Count, packed.Parts.Sum(part => part.Length));
    }

    /// <summary>Whether a file ends as one does; what is before its end is not looked at.</summary>
    public static bool IsPacked(string path)
    {
        using var file = File.OpenRead(path);
        Span<byte> trailer = stackalloc byte[TrailerLength];
        return ReadTrailer(file, trailer);
    }

    /// <summary>
    /// Unpacks one below a folder, unless it is there already with all its files. Throws <see cref="CommandException"/> where that fails,
    /// or where others could have changed what is there.
    /// </summary>
    /// <returns>The program in there; null where the file carries nothing.</returns>
    public static string? Unpack(string path, string root)
    {
        using var file = File.OpenRead(path);
        return ReadIndex(file) is { } packed ? Path.Join(Unpack(file, packed, root), packed.Parts[0].Path) : null;
    }

    private static bool ReadTrailer(FileStream file, Span<byte> trailer)
    {
        if (file.Length < TrailerLength)
            return false;
        file.Position = file.Length - TrailerLength;
        file.ReadExactly(trailer);
        return trailer.StartsWith(Magic);
    }

    private static (string Id, List<Part> Parts)? ReadIndex(FileStream file)
    {
        Span<byte> trailer = stackalloc byte[TrailerLength];
        if (!ReadTrailer(file, trailer))
            return null;
        var offset = BinaryPrimitives.ReadInt64LittleEndian(trailer[16..]);
        var length = BinaryPrimitives.ReadInt64LittleEndian(trailer[24..]);
        if (length is <= 0 or > LongestIndex || offset < 0 || offset + length != file.Length - TrailerLength)
            throw Damaged();
        var bytes = new byte[length];
        file.Position = offset;
        file.ReadExactly(bytes);
        if (!SHA256.HashData(bytes).AsSpan().SequenceEqual(trailer[32..]))
            throw Damaged();
        var parts = new List<Part>();
        foreach (var line in Encoding.UTF8.GetString(bytes).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            var words = line.Split(' ', 5);
            if (words.Length != 5 || !long.TryParse(words[0], CultureInfo.InvariantCulture, out var first)
                || !long.TryParse(words[1], CultureInfo.InvariantCulture, out var count) || first < 0 || count < 0 || first > offset - count
                || words[4].Split('/').Any(name => name is "" or "." or ".." || name.AsSpan().ContainsAny('\\', ':')))
            {
                throw Damaged();
            }
            parts.Add(new Part(first, count, words[2] == "1", words[3], words[4]));
        }
        return parts.Count == 0 ? throw Damaged() : (Convert.ToHexStringLower(trailer[32..48]), parts);
    }

    private static CommandException Damaged() => new(ExitCode.Failed, "the file was damaged or cut on its way; copy it again");

    // A folder gets its name when all is written, and may lose files later, to what cleans caches or to a disk that was full. What a start
    // that was killed left behind is taken away.
    private static string Unpack(FileStream file, (string Id, List<Part> Parts) packed, string root)
    {
        var folder = Path.Join(root, packed.Id);
        var partial = $"{folder}.{Guid.NewGuid():N}{Partial}";
        try
        {
            PrivateFile.MakeFolder(root);
            RefuseOthers(root);
            if (Directory.Exists(folder))
            {
                RefuseOthers(folder);
                if (IsWhole(folder, packed.Parts))
                    return folder;
            }
            foreach (var left in Directory.EnumerateDirectories(root, $"{packed.Id}.*{Partial}"))
                RemoveLeft(left);
            Console.Error.WriteLine($"unpacking {packed.Parts.Sum(part => part.Length) >> 20} MB into {folder}, "
                + (Directory.Exists(folder) ? "again, since files in it are missing or were changed" : "once"));
            PrivateFile.MakeFolder(partial);
            using (HoldLock(partial))
            {
                foreach (var part in packed.Parts)
                {
                    var path = Path.Join(partial, part.Path);
                    PrivateFile.MakeFolder(Path.GetDirectoryName(path)!);
                    using var target = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1);
                    Copy(file, part, target);
                    target.Flush(flushToDisk: true);
                    if (!OperatingSystem.IsWindows())
                        File.SetUnixFileMode(path, Mode(part.Runs));
                }
            }
            // Nobody takes the folder away now: it has just been changed.
            File.Delete(Path.Join(partial, Lock));
            if (Directory.Exists(folder) && !IsWhole(folder, packed.Parts))
                PutAside(folder);
            Directory.Move(partial, folder);
        }
        catch (Exception e)
        {
            if (Directory.Exists(partial))
                Directory.Delete(partial, recursive: true);
            if (e is not (IOException or UnauthorizedAccessException))
                throw;
            if (!IsWhole(folder, packed.Parts))
                throw new CommandException(ExitCode.Failed, $"cannot unpack into {folder}: {e.Message} ({Elsewhere})");
            // Another start was first.
            RefuseOthers(folder);
        }
        return folder;
    }

    // By names and lengths: hashes would read the whole model at every start.
    private static bool IsWhole(string folder, List<Part> parts) => parts.TrueForAll(
        part => new FileInfo(Path.Join(folder, part.Path)) is { Exists: true } file && file.Length == part.Length);

    // Under a name that a later start takes away, where a program that still runs from it holds it.
    private static void PutAside(string folder)
    {
        var old = $"{folder}.{Guid.NewGuid():N}{Partial}";
        Directory.Move(folder, old);
        try
        {
            Directory.Delete(old, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // RemoveLeft finds it.
        }
    }

    // Whoever may write there decides what runs here.
    private static void RefuseOthers(string folder)
    {
        if (OperatingSystem.IsWindows())
            return;
        var mode = File.GetUnixFileMode(folder);
        if ((mode & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) != 0)
        {
            throw new CommandException(
                ExitCode.Failed, $"others may write to {folder}, so nothing in it is run; remove it, or chmod go-w it ({Elsewhere})");
        }
        try
        {
            // Only the owner may do this, and it changes nothing.
            File.SetUnixFileMode(folder, mode);
        }
        catch (UnauthorizedAccessException)
        {
            throw new CommandException(ExitCode.Failed, $"{folder} is another user's, so nothing in it is run ({Elsewhere})");
        }
        catch (IOException)
        {
            // A file system that is only read: nobody changes it.
        }
    }

    // The lock says that somebody still writes; the age covers file systems without locks, and the moments before and behind the lock.
    private static void RemoveLeft(string folder)
    {
        if (DateTime.UtcNow - Directory.GetLastWriteTimeUtc(folder) < TimeSpan.FromHours(1))
            return;
        try
        {
            using (HoldLock(folder))
            {
            }
            Directory.Delete(folder, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It is still being written, or another start takes it away.
        }
    }

    private static FileStream HoldLock(string folder) =>
        new(Path.Join(folder, Lock), FileMode.OpenOrCreate, FileAccess.Write, FileShare.None, 1);

    private static void Copy(FileStream file, Part part, Stream target)
    {
        file.Position = part.Offset;
        if (Copy(file, part.Length, target) != (part.Hash, part.Length))
            throw Damaged();
    }

    // At most so many bytes, up to the end; gives their SHA-256 and their number.
    private static (string Hash, long Length) Copy(
        Stream from, long most, Stream to, Action<int>? progress = null, CancellationToken cancellation = default)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[1 << 20];
        var length = 0L;
        for (int count; (count = from.Read(buffer, 0, (int)Math.Min(most - length, buffer.Length))) > 0; length += count)
        {
            cancellation.ThrowIfCancellationRequested();
            hash.AppendData(buffer, 0, count);
            to.Write(buffer, 0, count);
            progress?.Invoke(count);
        }
        return (Convert.ToHexStringLower(hash.GetHashAndReset()), length);
    }

    private static bool RunsAs(string path) => path is Program or Program + ".exe";

    private static UnixFileMode Mode(bool runs) => (UnixFileMode)(runs ? 0b111_101_101 : 0b110_100_100);
}
