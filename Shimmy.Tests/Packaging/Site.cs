using System.Net;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Packaging;

/// <summary>A folder that is served on loopback, as the files of releases are.</summary>
internal sealed class Site : IDisposable
{
    private readonly HttpListener _listener = new();
    private readonly Task _serving;

    /// <summary>Serves a folder.</summary>
    public Site(string folder)
    {
        Address = $"http://127.0.0.1:{ServerProcess.FreePort()}/";
        _listener.Prefixes.Add(Address);
        _listener.Start();
        _serving = Task.Run(() => ServeAsync(folder));
    }

    /// <summary>Where it is, with a slash behind.</summary>
    public string Address { get; }

    /// <summary>Changes what it answers with a file, by the file's name.</summary>
    public Action<string, byte[]>? Damage { get; set; }

    public void Dispose()
    {
        _listener.Stop();
        _serving.Wait();
        _listener.Close();
    }

    private async Task ServeAsync(string folder)
    {
        while (_listener.IsListening)
        {
            HttpListenerContext request;
            try
            {
                request = await _listener.GetContextAsync();
            }
            catch (Exception e) when (e is HttpListenerException or ObjectDisposedException)
            {
                return;
            }
            // A client that writes two slashes where one is meant finds nothing, as at a server that stores names.
            var path = request.Request.Url!.AbsolutePath;
            var file = Path.Combine(folder, path[1..]);
            var exists = !path.Contains("//", StringComparison.Ordinal) && File.Exists(file);
            request.Response.StatusCode = exists ? 200 : 404;
            var bytes = exists ? await File.ReadAllBytesAsync(file) : [];
            Damage?.Invoke(file, bytes);
            request.Response.Close(bytes, willBlock: true);
        }
    }
}
