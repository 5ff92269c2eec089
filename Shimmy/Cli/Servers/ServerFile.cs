using System.Diagnostics;
using System.Globalization;
using System.Text;
using Shimmy.Models.Discovery;

namespace Shimmy.Cli.Servers;

/// <summary>
/// The file in the user's state folder by which other commands find a running server: named after its process, with its address. Where it
/// cannot be written the server runs all the same, and is found by <c>--url</c> alone.
/// </summary>
internal sealed class ServerFile : IDisposable
{
    private readonly string? _path;

    private ServerFile(string? path)
    {
        _path = path;
    }

    /// <summary>Writes the file of this process; its disposal removes it.</summary>
    public static ServerFile Write(HostEnvironment host, Uri address, string basePath)
    {
        try
        {
            var folder = FolderOf(host);
            Directory.CreateDirectory(folder);
            var path = Path.Join(folder, Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
            var part = path + ".part";
            File.WriteAllText(part,
                (address.Scheme == "unix" ? address.OriginalString : address.GetLeftPart(UriPartial.Authority) + basePath) + "\n",
                new UTF8Encoding(false));
            File.Move(part, path, overwrite: true);
            return new ServerFile(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            return new ServerFile(null);
        }
    }

    /// <summary>The addresses of the servers that run, the newest first. Removes the files of those that were killed.</summary>
    public static IReadOnlyList<Uri> Running(HostEnvironment host)
    {
        try
        {
            var folder = new DirectoryInfo(FolderOf(host));
            return !folder.Exists ? [] :
            [
                .. folder.EnumerateFiles().Where(file => int.TryParse(file.Name, out _)).OrderByDescending(file => file.LastWriteTimeUtc)
                    .Select(AddressIn).OfType<Uri>(),
            ];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_path is not null)
            Remove(_path);
    }

    private static string FolderOf(HostEnvironment host) => host.Join(host.StateFolder(), "shimmy", "servers");

    private static Uri? AddressIn(FileInfo file)
    {
        if (!Runs(int.Parse(file.Name, CultureInfo.InvariantCulture)))
        {
            Remove(file.FullName);
            return null;
        }
        return Uri.TryCreate(File.ReadAllText(file.FullName).Trim(), UriKind.Absolute, out var address) ? address : null;
    }

    private static bool Runs(int process)
    {
        try
        {
            using var found = Process.GetProcessById(process);
            return !found.HasExited;
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException)
        {
            return false;
        }
    }

    private static void Remove(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Found again, and not answered, the next time.
        }
    }
}
