using System.Diagnostics;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using Shimmy.Worker.Model;
using Shimmy.Worker.Native;
using Shimmy.Worker.Sequences;

namespace Shimmy.Worker.Prefixes;

/// <summary>
/// A state as a file: magic and version, what it belongs to, its tokens, its bytes, and a checksum of all of that. A file appears whole or
/// not at all.
/// </summary>
internal static class StateFile
{
    /// <summary>How the files end.</summary>
    public const string Ending = ".state";

    /// <summary>How files end that are being written.</summary>
    public const string Unfinished = ".part";

    private const int Version = 1;
    private const int MostTokens = 1 << 24;

    // What a step takes of a processor is little beside the time of a token.
    private const int Step = 1 << 18;

    private static ReadOnlySpan<byte> Magic => "ShimmySt"u8;

    /// <summary>Writes a state. Throws <see cref="IOException"/> where that fails; then there is no file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="identity">What it belongs to.</param>
    /// <param name="state">The state.</param>
    /// <param name="pace">Called after each step with the time that it took; may wait.</param>
    public static void Write(string path, string identity, SavedState state, Action<TimeSpan>? pace = null)
    {
        var unfinished = $"{path}.{Guid.NewGuid():N}{Unfinished}";
        try
        {
            var options = new FileStreamOptions
            {
                Mode = FileMode.Create,
                Access = FileAccess.Write,
                // Locked until it is renamed: IsBeingWritten asks for the lock. Windows renames no open file that is not shared for that.
                Share = OperatingSystem.IsWindows() ? FileShare.Delete : FileShare.None,
                BufferSize = 0,
            };
            // States tell what was asked.
            if (!OperatingSystem.IsWindows())
                options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            using (var file = new FileStream(unfinished, options))
            {
                var hash = new XxHash128();
                var head = new MemoryStream();
                using (var writer = new BinaryWriter(head, Encoding.UTF8, leaveOpen: true))
                    WriteHead(writer, identity, state);
                Put(head.GetBuffer().AsSpan(0, (int)head.Length));
                using var bytes = state.Buffer.AsStream();
                var step = new byte[Step];
                for (var before = Stopwatch.GetTimestamp(); bytes.Read(step) is > 0 and var count; before = Stopwatch.GetTimestamp())
                {
                    Put(step.AsSpan(0, count));
                    pace?.Invoke(Stopwatch.GetElapsedTime(before));
                }
                file.Write(hash.GetCurrentHash());
                file.Flush(flushToDisk: true);
                File.Move(unfinished, path, overwrite: true);

                void Put(ReadOnlySpan<byte> part)
                {
                    hash.Append(part);
                    file.Write(part);
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            TryDelete(unfinished);
            throw new IOException(e.Message, e);
        }
    }

    /// <summary>
    /// Whether somebody writes this unfinished file. Who does holds a lock on it, which ends with the process; ids of processes say nothing
    /// of those in other containers, and come again.
    /// </summary>
    public static bool IsBeingWritten(string unfinished)
    {
        try
        {
            using var file = new FileStream(unfinished, FileMode.Open, FileAccess.ReadWrite, FileShare.None, 0);
            return false;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return true;
        }
    }

    /// <summary>Reads what a file says of itself. Throws <see cref="InvalidDataException"/> or <see cref="IOException"/>.</summary>
    public static StateHead ReadHead(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, Step);
        using var reader = new BinaryReader(file, Encoding.UTF8);
        return ReadHead(reader, file);
    }

    /// <summary>
    /// Reads a state with all its bytes, and compares the checksum. Throws <see cref="InvalidDataException"/> or <see cref="IOException"/>.
    /// </summary>
    public static SavedState Read(string path, string identity)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, Step);
        using var reader = new BinaryReader(file, Encoding.UTF8);
        var head = ReadHead(reader, file);
        if (head.Identity != identity)
            throw new InvalidDataException("it belongs to another model");
        var begin = file.Position;
        var hash = new XxHash128();
        file.Position = 0;
        hash.Append(reader.ReadBytes((int)begin));
        var buffer = StateBuffer.Create(head.Bytes) ?? throw new IOException("out of memory");
        try
        {
            using var bytes = buffer.AsStream();
            var step = new byte[Step];
            for (var left = head.Bytes; left > 0;)
            {
                var count = (int)Math.Min(left, Step);
                file.ReadExactly(step, 0, count);
                hash.Append(step.AsSpan(0, count));
                bytes.Write(step, 0, count);
                left -= count;
            }
            Span<byte> sum = stackalloc byte[16];
            file.ReadExactly(sum);
            if (!sum.SequenceEqual(hash.GetCurrentHash()))
                throw new InvalidDataException("its checksum is wrong");
            return new SavedState(head.Tokens, [], head.Key, buffer)
            {
                IsCheckpoint = head.IsCheckpoint,
                FirstPosition = head.FirstPosition,
            };
        }
        catch
        {
            buffer.Dispose();
            throw;
        }
    }

    /// <summary>Deletes a file where that is possible.</summary>
    public static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Another process may have it open; the next one that tidies up will try again.
        }
    }

    private static void WriteHead(BinaryWriter writer, string identity, SavedState state)
    {
        writer.Write(Magic);
        writer.Write(Version);
        writer.Write(identity);
        writer.Write(state.IsCheckpoint);
        writer.Write(state.FirstPosition);
        writer.Write(state.Key.Adapters.Scales.Length);
        writer.Write(MemoryMarshal.AsBytes(state.Key.Adapters.Scales));
        writer.Write(state.Key.Client);
        writer.Write(state.Length);
        writer.Write(MemoryMarshal.AsBytes(state.Tokens));
        writer.Write(state.Buffer.Length);
    }

    private static StateHead ReadHead(BinaryReader reader, FileStream file)
    {
        try
        {
            if (!reader.ReadBytes(Magic.Length).AsSpan().SequenceEqual(Magic) || reader.ReadInt32() != Version)
                throw new InvalidDataException("it is not a state file of this version");
            var identity = reader.ReadString();
            var (isCheckpoint, first) = (reader.ReadBoolean(), reader.ReadInt32());
            var scales = Numbers<float>(reader, file);
            var client = reader.ReadString();
            var tokens = Numbers<int>(reader, file);
            var bytes = reader.ReadInt64();
            if (tokens.Length == 0 || bytes <= 0 || file.Length - file.Position != bytes + 16)
                throw new InvalidDataException("its length is wrong");
            return new StateHead(identity, isCheckpoint, first, new PrefixKey(new AdapterSet(scales), client), tokens, bytes);
        }
        catch (Exception e) when (e is EndOfStreamException or FormatException or DecoderFallbackException)
        {
            throw new InvalidDataException("it is cut off", e);
        }
    }

    private static T[] Numbers<T>(BinaryReader reader, FileStream file) where T : unmanaged
    {
        var count = reader.ReadInt32();
        if (count is < 0 or > MostTokens || count * 4L > file.Length - file.Position)
            throw new InvalidDataException("its length is wrong");
        var numbers = new T[count];
        reader.BaseStream.ReadExactly(MemoryMarshal.AsBytes(numbers.AsSpan()));
        return numbers;
    }
}

/// <summary>What the file of a state says of itself.</summary>
/// <param name="Identity">The model, the runtime and the options that it belongs to.</param>
/// <param name="IsCheckpoint">Whether it is a checkpoint.</param>
/// <param name="FirstPosition">The first position that all layers hold.</param>
/// <param name="Key">Who may take it over.</param>
/// <param name="Tokens">Its tokens.</param>
/// <param name="Bytes">Bytes of the state.</param>
internal sealed record StateHead(
    string Identity, bool IsCheckpoint, int FirstPosition, PrefixKey Key, int[] Tokens, long Bytes);
