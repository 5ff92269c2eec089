using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Shimmy.Cli.Setup;
using Shimmy.Cli.Terminal;
using Shimmy.Cli.Terminal.Native;
using Shimmy.Gguf;

namespace Shimmy.Cli.Packing;

/// <summary>
/// A program with its libraries and a model behind it, in one file that runs as it is: for machines to which files are copied.
/// <code>
///   executable, magic │ file │ file │ … │ index: a line a file │ trailer: magic, where the index is, its SHA-256
/// </code>
/// Each file begins at a multiple of <see cref="Alignment"/>. The magic behind the executable says of a file without a trailer that it was
/// cut; what others put behind an executable, as signatures, does not begin with it. It runs from where <see cref="UnpackedProgram"/> puts
/// it, since the system loads libraries from files of their own; a model of one file is mapped where it lies in here
/// (<c>llama_model_load_from_file_ptr</c>).
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
    private static ReadOnlySpan<byte> Magic => "SHIMMY.PACKED.1\n"u8;

    /// <summary>What becomes of a file where the program is unpacked; its number stands in the index.</summary>
    public enum PartKind
    {
        /// <summary>It is only read.</summary>
        File,

        /// <summary>It is run.</summary>
        Program,

        /// <summary>A model that may be mapped where it lies.</summary>
        Model,
    }

    /// <summary>A file of it: where its bytes are, what becomes of it, and what its bytes hash to.</summary>
    public sealed record Part(long Offset, long Length, PartKind Kind, string Hash, string Path);

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
            return UnpackedProgram.Of(path, UnpackedProgram.Root) is { } program ? Become(program, arguments) : null;
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
            throw new CommandException(ExitCode.Failed, $"{e.Message} ({UnpackedProgram.Elsewhere})");
        }
    }

    /// <summary>Writes one, whole or not at all.</summary>
    /// <param name="output">The file to write.</param>
    /// <param name="executable">The program.</param>
    /// <param name="files">Paths inside, with slashes, and the files that they are.</param>
    /// <param name="model">The path inside of a model that may be mapped where it lies; null for none.</param>
    /// <param name="progress">Receives the bytes that are written so far, and all.</param>
    /// <param name="cancellation">Ends it; nothing is left behind.</param>
    public static Task WriteAsync(string output, string executable, IReadOnlyList<(string Path, string File)> files, string? model,
        Action<long, long> progress, CancellationToken cancellation) =>
        Task.Run(() => Write(output, executable, files, model, progress, cancellation), cancellation);

    private static void Write(string output, string executable, IReadOnlyList<(string Path, string File)> files, string? model,
        Action<long, long> progress, CancellationToken cancellation)
    {
        var partial = output + Partial;
        var all = files.Sum(file => GgufPlace.Of(file.File).Length) + new FileInfo(executable).Length;
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
                    // A model that a packed program packs again lies in that.
                    using var from = GgufPlace.Open(source, out var place);
                    var (hash, length) = Copy(from, place.Length, target, count => progress(done += count, all), cancellation);
                    var kind = path == model ? PartKind.Model : RunsAs(path) ? PartKind.Program : PartKind.File;
                    index.Append(CultureInfo.InvariantCulture, $"{offset} {length} {(int)kind} {hash} {path}\n");
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
                    File.SetUnixFileMode(partial, Mode(PartKind.Program));
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

    private static bool ReadTrailer(FileStream file, Span<byte> trailer)
    {
        if (file.Length < TrailerLength)
            return false;
        file.Position = file.Length - TrailerLength;
        file.ReadExactly(trailer);
        return trailer.StartsWith(Magic);
    }

    /// <summary>The name and the files of one; null where it is none. Throws <see cref="CommandException"/> where it is damaged.</summary>
    public static (string Id, List<Part> Parts)? ReadIndex(FileStream file)
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
            if (words.Length != 5 || words[2] is not ("0" or "1" or "2")
                || !long.TryParse(words[0], CultureInfo.InvariantCulture, out var first)
                || !long.TryParse(words[1], CultureInfo.InvariantCulture, out var count) || first < 0 || count < 0 || first > offset - count
                || words[4].Split('/').Any(name => name is "" or "." or ".." || name.AsSpan().ContainsAny('\\', ':')))
            {
                throw Damaged();
            }
            parts.Add(new Part(first, count, (PartKind)(words[2][0] - '0'), words[3], words[4]));
        }
        return parts.Count == 0 ? throw Damaged() : (Convert.ToHexStringLower(trailer[32..48]), parts);
    }

    private static CommandException Damaged() => new(ExitCode.Failed, "the file was damaged or cut on its way; copy it again");

    /// <summary>Writes the bytes of a file of one. Throws <see cref="CommandException"/> where they are not what was packed.</summary>
    public static void Copy(FileStream file, Part part, Stream target)
    {
        file.Position = part.Offset;
        if (Copy(file, part.Length, target) != (part.Hash, part.Length))
            throw Damaged();
    }

    /// <summary>Copies at most so many bytes, up to the end; gives their SHA-256 and their number.</summary>
    public static (string Hash, long Length) Copy(
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

    /// <summary>Who may do what with a file.</summary>
    public static UnixFileMode Mode(PartKind kind) => (UnixFileMode)(kind == PartKind.Program ? 0b111_101_101 : 0b110_100_100);
}
