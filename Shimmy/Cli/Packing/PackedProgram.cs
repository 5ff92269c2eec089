using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Shimmy.Cli.Setup;
using Shimmy.Cli.Terminal;
using Shimmy.Cli.Terminal.Native;
using Shimmy.Models.Discovery;

namespace Shimmy.Cli.Packing;

/// <summary>
/// A program with its libraries and a model behind it, in one file that runs as it is: for machines to which files are copied.
/// <code>
///   executable, magic │ file │ file │ … │ index: a line a file │ trailer: magic, where the index is, its SHA-256
/// </code>
/// Each file begins at a multiple of <see cref="Alignment"/>. The magic behind the executable says of a file without a trailer that it was
/// cut; what others put behind an executable, as signatures, does not begin with it. The first start unpacks all of it into the cache
/// folder, under the hash of the index, and every start runs the program there, where all files of the index are, in their lengths. Nothing
/// is mapped where it lies in here: the system loads libraries from files of their own, and llama.cpp takes a model as a path, without a
/// place in the file (<c>llama_model_load_from_file</c>), and maps the whole file from offset 0 (<c>llama_mmap</c>), where the executable
/// is.
/// </summary>
internal static class PackedProgram
{
    /// <summary>Where a file may begin, in bytes: a page.</summary>
    public const int Alignment = 4096;

    /// <summary>How a file or folder is called that is not complete.</summary>
    public const string Partial = ".partial";

    private const int TrailerLength = 64;
    private const int LongestIndex = 1 << 20;
    private const string Program = "shimmy";
    private const string Lock = ".unpacking";

    // What moves the cache folder (HostEnvironment.CacheFolder).
    private static string Elsewhere =>
        (OperatingSystem.IsWindows() ? "LOCALAPPDATA" : OperatingSystem.IsMacOS() ? "HOME" : "XDG_CACHE_HOME") + " names another folder";

    private static ReadOnlySpan<byte> Magic => "SHIMMY.PACKED.1\n"u8;

    /// <summary>Below which folder this user's programs are unpacked.</summary>
    public static string Root
    {
        get
        {
            var host = HostEnvironment.Current();
            return host.Join(host.CacheFolder(), "shimmy", "packed");
        }
    }

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
            using (var file = File.OpenRead(path))
            {
                if (!ReadTrailer(file, stackalloc byte[TrailerLength]))
                    return WasCut(file) ? throw Damaged() : null;
            }
            // The first hash, which comes now, would end the process.
            if (OpenSslLibrary.WhyMissing() is { } missing)
                throw new CommandException(ExitCode.Failed, missing);
            return Unpack(path, Root) is { } program ? Become(program, arguments) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CommandException)
        {
            Console.Error.WriteLine($"{Path.GetFileName(path)}: {e.Message}");
            return ExitCode.Failed;
        }
    }

    private static int Become(string program, string[] arguments)
    {
        try
        {
            return ProcessImage.Become(program, arguments);
        }
        catch (IOException e)
        {
            // A disk where nothing may be executed, for one.
            throw new CommandException(ExitCode.Failed, $"{e.Message} ({Elsewhere})");
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
        // One that is there and locked is written by another process, which keeps it.
        var target = new FileStream(partial, FileMode.Create, FileAccess.ReadWrite, FileShare.None, 1 << 20);
        try
        {
            using (target)
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
                    if (offset == 0)
                        target.Write(Magic);
                }
                var bytes = Encoding.UTF8.GetBytes(index.ToString());
                var trailer = new byte[TrailerLength];
                Magic.CopyTo(trailer);
                BinaryPrimitives.WriteInt64LittleEndian(trailer.AsSpan(16), target.Position);
                BinaryPrimitives.WriteInt64LittleEndian(trailer.AsSpan(24), bytes.Length);
                SHA256.HashData(bytes, trailer.AsSpan(32));
                target.Write(bytes);
                target.Write(trailer);
                if (!OperatingSystem.IsWindows())
                {
                    // Under the lock, which Windows does not let it be renamed under: another process opens no file of this name before.
                    target.Flush();
                    File.SetUnixFileMode(partial, Mode(true));
                    File.Move(partial, output, overwrite: true);
                }
            }
            if (OperatingSystem.IsWindows())
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
        var packed = ReadIndex(file)
            ?? throw (WasCut(file) ? Damaged() : new CommandException(ExitCode.Failed, $"{path} is no packed program"));
        foreach (var part in packed.Parts)
            Copy(file, part, Stream.Null);
        return (packed.Parts.Count, packed.Parts.Sum(part => part.Length));
    }

    /// <summary>
    /// Compares the SHA-256 of every file that one was unpacked into; a start looks at lengths alone. Throws
    /// <see cref="CommandException"/> where one differs.
    /// </summary>
    /// <returns>The folder; null where it has not been unpacked below the root.</returns>
    public static string? VerifyUnpacked(string path, string root)
    {
        using var file = File.OpenRead(path);
        if (ReadIndex(file) is not { } packed)
            return null;
        var folder = Path.Join(root, packed.Id);
        if (!Directory.Exists(folder))
            return null;
        foreach (var part in packed.Parts)
        {
            var unpacked = Path.Join(folder, part.Path);
            if (!IsAsPacked(unpacked, part))
            {
                throw new CommandException(ExitCode.Failed,
                    $"{unpacked} is not what was packed; remove {folder}, and the next start unpacks it again");
            }
        }
        return folder;
    }

    private static bool IsAsPacked(string path, Part part)
    {
        if (!File.Exists(path))
            return false;
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1);
        return Copy(file, long.MaxValue, Stream.Null) == (part.Hash, part.Length);
    }

    /// <summary>Whether a file ends as one does; what is before its end is not looked at.</summary>
    public static bool IsPacked(string path)
    {
        using var file = File.OpenRead(path);
        Span<byte> trailer = stackalloc byte[TrailerLength];
        return ReadTrailer(file, trailer);
    }

    /// <summary>Whether a file was one: it ends as none, and what follows its executable begins as one.</summary>
    public static bool WasCut(string path)
    {
        using var file = File.OpenRead(path);
        return !ReadTrailer(file, stackalloc byte[TrailerLength]) && WasCut(file);
    }

    private static bool WasCut(FileStream file)
    {
        Span<byte> head = stackalloc byte[Alignment];
        file.Position = 0;
        var end = ImageEnd(head[..file.ReadAtLeast(head, head.Length, throwOnEndOfStream: false)]);
        if (end <= 0 || end > file.Length - Magic.Length)
            return false;
        file.Position = end;
        file.ReadExactly(head[..Magic.Length]);
        return head.StartsWith(Magic);
    }

    // Where an executable ends by its headers, its signature with it. At a wrong place, of a damaged one or of one that others made longer,
    // there is no magic: it counts as a plain one, as all others do.
    private static long ImageEnd(ReadOnlySpan<byte> head)
    {
        // ELF of 64 bits: its table of sections is the last of it.
        if (Number(head, 0, 4) == 0x464C457F)
            return Number(head, 0x28, 8) + (Number(head, 0x3A, 2) * Number(head, 0x3C, 2));
        var end = 0L;
        if (Number(head, 0, 2) == 0x5A4D)
        {
            // PE32+: its sections, and the signature behind them, whose place is that in the file.
            var image = Number(head, 0x3C, 4) + 4;
            var section = image + 20 + Number(head, image + 16, 2);
            end = Number(head, image + 164, 4) + Number(head, image + 168, 4);
            for (var left = Number(head, image + 2, 2); left > 0; left--, section += 40)
                end = Math.Max(end, Number(head, section + 16, 4) + Number(head, section + 20, 4));
        }
        else if (Number(head, 0, 4) == 0xFEEDFACF)
        {
            // Mach-O of 64 bits: its segments; the signature is in the last.
            for (long left = Number(head, 16, 4), command = 32; left > 0 && command < head.Length; left--)
            {
                if (Number(head, command, 4) == 0x19)
                    end = Math.Max(end, Number(head, command + 40, 8) + Number(head, command + 48, 8));
                command += Math.Max(8, Number(head, command + 4, 4));
            }
        }
        return end;
    }

    // Little-endian; zeros behind the end.
    private static long Number(ReadOnlySpan<byte> head, long at, int bytes)
    {
        var number = 0L;
        for (var place = at + bytes - 1; place >= at; place--)
            number = (number << 8) | (place < head.Length ? head[(int)place] : (byte)0);
        return number;
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
            // Of other programs too, which may never start again.
            foreach (var left in Directory.EnumerateDirectories(root, "*" + Partial))
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
        var isTrusted = FileOwner.IsTrusted(folder);
        if (isTrusted == true)
            return;
        try
        {
            // It changes nothing; only the owner may do it, and root, of whom it says nothing.
            File.SetUnixFileMode(folder, mode);
            if (isTrusted is null)
                return;
        }
        catch (UnauthorizedAccessException)
        {
            // Another's.
        }
        catch (IOException)
        {
            // A file system that is only read: nobody changes it.
            return;
        }
        throw new CommandException(ExitCode.Failed, $"{folder} is another user's, so nothing in it is run ({Elsewhere})");
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
