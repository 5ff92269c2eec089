using System.Globalization;
using System.Text;

namespace Shimmy.Gguf;

/// <summary>
/// Where the bytes of a GGUF lie: in the file of its path, or within a packed program, which a short text in its place names. So the model
/// is read and mapped where it is, and not written a second time.
/// <code>
///   SHIMMY.GGUF.AT.1 │ offset length size written path: of the packed program its size in bytes and its time of the last write in ticks
/// </code>
/// A program of another size or time is another one, whose models may lie elsewhere. Only a text where <c>UnpackedProgram</c> writes it, on
/// Linux, counts: a file that somebody downloads leads nowhere.
/// </summary>
/// <param name="Path">The file that holds it.</param>
/// <param name="Offset">Where it begins there, in bytes.</param>
/// <param name="Length">Its length in bytes.</param>
internal sealed record GgufPlace(string Path, long Offset, long Length)
{
    /// <summary>No text that stands for a GGUF is longer, in bytes: a path has at most 4,096.</summary>
    private const int Longest = 4096 + 128;

    private static ReadOnlySpan<byte> Magic => "SHIMMY.GGUF.AT.1 "u8;

    /// <summary>Whether the GGUF is only a part of its file.</summary>
    public bool IsPart => Offset > 0;

    /// <summary>The text that stands for the GGUF, as its file is now. Throws <see cref="IOException"/> where that is not there.</summary>
    public string Text()
    {
        var file = new FileInfo(Path);
        return string.Create(CultureInfo.InvariantCulture,
            $"{Encoding.ASCII.GetString(Magic)}{Offset} {Length} {file.Length} {file.LastWriteTimeUtc.Ticks} {Path}\n");
    }

    /// <summary>
    /// Where the GGUF of a path lies. Throws <see cref="IOException"/> or <see cref="UnauthorizedAccessException"/> where that cannot be
    /// read, or is no longer where the text says.
    /// </summary>
    public static GgufPlace Of(string path)
    {
        using var stream = Open(path, out var place);
        return place;
    }

    /// <summary>Opens the file that holds the GGUF of a path, at its first byte. Throws as <see cref="Of"/> does.</summary>
    public static FileStream Open(string path, out GgufPlace place)
    {
        var stream = Shared(path);
        try
        {
            // A pipe has neither length nor places.
            if (!stream.CanSeek)
                throw new IOException($"{path} is no regular file");
            if (!MayStand(path) || stream.Length > Longest || Read(stream) is not { } part)
            {
                stream.Position = 0;
                place = new GgufPlace(path, 0, stream.Length);
                return stream;
            }
            var (where, size, written) = part;
            stream.Dispose();
            // Asked before it is opened: it may be a device by now.
            if (new FileInfo(where.Path) is not { Exists: true } file || file.Length != size || file.LastWriteTimeUtc.Ticks != written
                || where.Offset <= 0 || where.Length < 0 || where.Offset > size - where.Length)
            {
                throw new IOException(
                    $"{path} is within {where.Path}, which was moved or is another file now; start the packed program again where it is");
            }
            stream = Shared(where.Path);
            stream.Position = where.Offset;
            place = where;
            return stream;
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    /// <summary>The length of the GGUF of a path whose own file is so long; that where it cannot be read.</summary>
    public static long LengthOf(string path, long fileLength)
    {
        try
        {
            return fileLength > Longest || !MayStand(path) ? fileLength : Of(path).Length;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return fileLength;
        }
    }

    /// <summary>Whether a path is one at which a text may stand: below <c>shimmy/packed/ID/models</c>, on Linux.</summary>
    public static bool MayStand(string path) => OperatingSystem.IsLinux()
        && path.Split('/') is [.., "shimmy", "packed", { Length: > 0 }, "models", { Length: > 0 }];

    private static (GgufPlace Where, long Size, long Written)? Read(FileStream stream)
    {
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        if (!bytes.AsSpan().StartsWith(Magic))
            return null;
        var words = Encoding.UTF8.GetString(bytes.AsSpan(Magic.Length)).TrimEnd('\n').Split(' ', 5);
        var numbers = Array.ConvertAll(words[..^1],
            word => long.TryParse(word, CultureInfo.InvariantCulture, out var number) ? number : -1);
        return numbers is [>= 0 and var offset, >= 0 and var length, >= 0 and var size, >= 0 and var written] && words[4].StartsWith('/')
            ? (new GgufPlace(words[4], offset, length), size, written)
            : null;
    }

    // Unbuffered, since those that read have buffers of their own; shared, so that other tools can replace or delete the file meanwhile.
    private static FileStream Shared(string path) =>
        new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
}
