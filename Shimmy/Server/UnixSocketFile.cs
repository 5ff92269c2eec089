using System.Net.Sockets;

namespace Shimmy.Server;

/// <summary>
/// The file of a Unix socket. One that a killed server left behind would make the next fail with "address already in use".
/// </summary>
internal static class UnixSocketFile
{
    /// <summary>
    /// Removes a socket that nobody listens on. Throws <see cref="IOException"/> where a server listens on it, where the file is not a
    /// socket, or where its folder is missing.
    /// </summary>
    public static void RemoveStale(UnixDomainSocketEndPoint endpoint)
    {
        var path = endpoint.ToString();
        if (!Directory.Exists(Path.GetDirectoryName(Path.GetFullPath(path))))
            throw new IOException($"cannot listen on {path}: its folder does not exist");
        if (!File.Exists(path))
            return;
        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(endpoint);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused && IsSocket(path))
        {
            File.Delete(path);
            return;
        }
        catch (SocketException e)
        {
            throw new IOException($"cannot listen on {path}: the file already exists ({e.Message})", e);
        }
        throw new IOException($"cannot listen on {path}: another server listens on it");
    }

    // To connect to any file is refused, empty ones included. The sign of a socket is that it cannot be opened (ENXIO in open(2)).
    private static bool IsSocket(string path)
    {
        if (new FileInfo(path).Length > 0)
            return false;
        try
        {
            // For writing as well, which never waits: a named pipe's other end need not be there.
            using var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
            return false;
        }
        catch (UnauthorizedAccessException)
        {
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }

    /// <summary>Removes the file of a socket that is closed.</summary>
    public static void Remove(UnixDomainSocketEndPoint endpoint)
    {
        try
        {
            File.Delete(endpoint.ToString());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The next server finds it and makes way.
        }
    }
}
