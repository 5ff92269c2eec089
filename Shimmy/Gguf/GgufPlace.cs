using System.Globalization;
using System.Text;

namespace Shimmy.Gguf;

/// <summary>
/// Where the bytes of a GGUF lie: in the file of its path, or within another file that a short text in its place names. So a packed
/// program's model is read and mapped where it is, and not written a second time.
/// <code>
///   SHIMMY.GGUF.AT.1 │ offset length path of the file that holds it, in UTF-8, up to the end of the line
/// </code>
/// </summary>
/// <param name="Path">The file that holds it.</param>
/// <param name="Offset">Where it begins there, in bytes.</param>
/// <param name="Length">Its length in bytes.</param>
internal sealed record GgufPlace(string Path, long Offset, long Length)
{
    /// <summary>No text that stands for a GGUF is longer, in bytes: a path has at most 4,096.</summary>
    private const int Longest = 4096 + 64;

    private static ReadOnlySpan<byte> Magic => "SHIMMY.GGUF.AT.1 "u8;

    /// <summary>Whether the GGUF is only a part of its file.</summary>
    public bool IsPart => Offset > 0;

    /// <summary>The text that stands for the GGUF.</summary>
    public string Text => string.Create(CultureInfo.InvariantCulture, $"{Encoding.ASCII.GetString(Magic)}{Offset} {Length} {Path}\n");

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
            if (stream.Length > Longest || Read(stream) is not { } part)
            {
                stream.Position = 0;
                place = new GgufPlace(path, 0, stream.Length);
                return stream;
            }
            stream.Dispose();
            stream = File.Exists(part.Path) ? Shared(part.Path) : throw Moved(path, part);
            if (part.Offset <= 0 || part.Length < 0 || part.Offset > stream.Length - part.Length)
                throw Moved(path, part);
            stream.Position = part.Offset;
            place = part;
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
            return fileLength > Longest ? fileLength : Of(path).Length;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return fileLength;
        }
    }

    private static GgufPlace? Read(FileStream stream)
    {
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        if (!bytes.AsSpan().StartsWith(Magic))
            return null;
        var words = Encoding.UTF8.GetString(bytes.AsSpan(Magic.Length)).TrimEnd('\n').Split(' ', 3);
        return words.Length == 3 && long.TryParse(words[0], CultureInfo.InvariantCulture, out var offset)
            && long.TryParse(words[1], CultureInfo.InvariantCulture, out var length)
            ? new GgufPlace(words[2], offset, length)
            : null;
    }

    private static IOException Moved(string path, GgufPlace part) =>
        new($"{path} is within {part.Path}, which was moved or is another file now; start the packed program again where it is");

    // Unbuffered, since those that read have buffers of their own; shared, so that other tools can replace or delete the file meanwhile.
    private static FileStream Shared(string path) =>
        new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
}
