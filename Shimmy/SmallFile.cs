using System.Text;

namespace Shimmy;

/// <summary>
/// Files that are read and written as a whole: manifests and settings of other tools, which are untrusted and so have a limit, and our own,
/// which others may read while they are written anew.
/// </summary>
internal static class SmallFile
{
    /// <summary>Most bytes that are read.</summary>
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

    /// <summary>
    /// Takes a file as a lock, which ends with what is returned, or with the process. Throws <see cref="IOException"/> where another one
    /// has it.
    /// </summary>
    public static FileStream Lock(string path) =>
        new(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose);

    /// <summary>
    /// Writes a file beside its place and moves it there, so that a reader finds the old or the new one and never a part of one. Not forced
    /// to the disk: a machine that fails may lose it.
    /// </summary>
    /// <param name="path">The file; its folder must be there.</param>
    /// <param name="content">All of its bytes.</param>
    /// <param name="ending">How the file ends while it is written.</param>
    public static void Write(string path, byte[] content, string ending = ".part")
    {
        // Other processes may write it, too.
        var part = $"{path}.{Environment.ProcessId}{ending}";
        try
        {
            File.WriteAllBytes(part, content);
            File.Move(part, path, overwrite: true);
        }
        catch
        {
            try
            {
                File.Delete(part);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // The first error is the one that is thrown.
            }
            throw;
        }
    }
}
