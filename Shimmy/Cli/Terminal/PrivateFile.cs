using System.Text;

namespace Shimmy.Cli.Terminal;

/// <summary>Files that only their owner may read: what was said, and keys.</summary>
internal static class PrivateFile
{
    private const UnixFileMode OwnersFile = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false);

    /// <summary>Makes a folder with those above it.</summary>
    public static void MakeFolder(string path)
    {
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(path);
        else
            Directory.CreateDirectory(path, OwnersFile | UnixFileMode.UserExecute);
    }

    /// <summary>Writes a text at the end of a file, which is made where there is none.</summary>
    public static void Append(string path, string text) => Put(path, FileMode.Append, text);

    /// <summary>Writes a text in place of what is there, which belongs to its owner alone from now on.</summary>
    public static void Write(string path, string text)
    {
        if (!OperatingSystem.IsWindows() && File.Exists(path))
            File.SetUnixFileMode(path, OwnersFile);
        Put(path, FileMode.Create, text);
    }

    private static void Put(string path, FileMode mode, string text)
    {
        var options = new FileStreamOptions { Mode = mode, Access = FileAccess.Write, Share = FileShare.ReadWrite };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = OwnersFile;
        using var file = new FileStream(path, options);
        file.Write(Utf8.GetBytes(text));
    }
}
