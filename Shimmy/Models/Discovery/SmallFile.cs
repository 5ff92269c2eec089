using System.Text;

namespace Shimmy.Models.Discovery;

/// <summary>Reads small files of other tools (manifests, settings), with a limit on the size since they are untrusted.</summary>
internal static class SmallFile
{
    /// <summary>Most bytes of such a file.</summary>
    public const int MaxBytes = 1 << 20;

    /// <summary>Reads all bytes. Throws <see cref="IOException"/> for a file above <see cref="MaxBytes"/> or that cannot be read.</summary>
    public static byte[] ReadBytes(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete,
            bufferSize: 0);
        if (stream.Length > MaxBytes)
            throw new IOException($"the file has {stream.Length} bytes; at most {MaxBytes} are allowed");

        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    /// <summary>Reads all text: UTF-8, with or without a byte order mark.</summary>
    public static string ReadText(string path) => Encoding.UTF8.GetString(ReadBytes(path)).TrimStart('\uFEFF');
}
