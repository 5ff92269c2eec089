using System.Text;

namespace Shimmy.Models.Discovery;

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

        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    /// <summary>All text, UTF-8 with or without a mark.</summary>
    public static string ReadText(string path) => Encoding.UTF8.GetString(ReadBytes(path)).TrimStart('\uFEFF');
}
