using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Shimmy.Models;

namespace Shimmy.Chat.Media;

/// <summary>
/// Fetches pictures and sounds by URL from hosts that the user allowed (<c>--media-urls</c>). A server that fetches what its clients name
/// reaches what they cannot: so only listed hosts, no private addresses, no proxy, and limits of size and time. A file: URL names a file by
/// its path in one folder (<c>llama-server --media-path</c>), and nothing outside of it.
/// </summary>
/// <param name="hosts">The hosts, as <c>NAME</c> or <c>NAME:PORT</c>; none refuses every URL.</param>
/// <param name="allowsAddress">Which addresses may be connected to; null refuses private ones. Tests fetch from their own machine.</param>
/// <param name="folder">Full path of the folder of file: URLs; null refuses them.</param>
internal sealed class MediaFetch(
    IReadOnlyList<string> hosts, Func<IPAddress, bool>? allowsAddress = null, string? folder = null)
{
    private const string FileUrl = "file://";
    private const int MostShown = 200;
    private const int MostBytes = 20 << 20;
    private static readonly char[] NoPart = OperatingSystem.IsWindows() ? ['\\', ':', '\0'] : ['\0'];
    private const int MostRedirects = 3;
    private static readonly TimeSpan MostTime = TimeSpan.FromSeconds(10);

    /// <summary>Why a URL is not fetched, as a text that follows the field's name; null where it is.</summary>
    public string? WhyNot(Uri url)
    {
        if (hosts.Count == 0)
            return "media by URL are not fetched by this server (--media-urls allows hosts); send the data themselves, as a data: URI";
        return url.Scheme is "http" or "https" && url.UserInfo.Length == 0 && hosts.Any(host =>
            host.Equals(url.Host, StringComparison.OrdinalIgnoreCase) && url.IsDefaultPort
                || host.Equals($"{url.Host}:{url.Port}", StringComparison.OrdinalIgnoreCase))
            ? null
            : $"media are fetched by http and https from {string.Join(", ", hosts)} only (--media-urls), not from '{Shown(url)}'";
    }

    /// <summary>
    /// The bytes behind a URL. Throws <see cref="FormatException"/> whose text follows the field's name,
    /// <see cref="OperationCanceledException"/> where <paramref name="cancellation"/> asks.
    /// </summary>
    /// <param name="url">The URL.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <param name="within">Ends it too, where the time of all fetches of a request is over.</param>
    public async Task<byte[]> GetAsync(Uri url, CancellationToken cancellation, CancellationToken within = default)
    {
        if (url.Scheme == Uri.UriSchemeFile)
            return await ReadAsync(url.OriginalString, cancellation).ConfigureAwait(false);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation, within);
        limit.CancelAfter(MostTime);
        using var client = Outbound.Client(proxy: false, ConnectAsync);
        client.MaxResponseContentBufferSize = MostBytes;
        try
        {
            for (var i = 0; i <= MostRedirects; i++)
            {
                if (WhyNot(url) is { } reason)
                    throw new FormatException(reason);
                using var request = new HttpRequestMessage(HttpMethod.Get, url);
                request.Headers.Accept.ParseAdd("image/*, audio/*");
                using var answer = await client.SendAsync(request, limit.Token).ConfigureAwait(false);
                var status = (int)answer.StatusCode;
                if (status == 200)
                    return await answer.Content.ReadAsByteArrayAsync(limit.Token).ConfigureAwait(false);
                if (status is not (301 or 302 or 303 or 307 or 308) || answer.Headers.Location is not { } next)
                    throw new FormatException($"'{Shown(url)}' answered with status {status}");
                url = new Uri(url, next);
            }
            throw new FormatException($"'{Shown(url)}' was redirected more than {MostRedirects} times");
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new FormatException(within.IsCancellationRequested
                ? $"'{Shown(url)}' was not fetched in time: all media of a request may take {MediaFetches.MostTime.TotalSeconds} s"
                : $"'{Shown(url)}' did not answer in {MostTime.TotalSeconds} s");
        }
        catch (HttpRequestException e) when (e.InnerException is FormatException own)
        {
            throw own;
        }
        catch (HttpRequestException e)
        {
            throw new FormatException(e.HttpRequestError switch
            {
                HttpRequestError.ConfigurationLimitExceeded => $"'{Shown(url)}' has more than {MostBytes >> 20} MiB",
                HttpRequestError.ResponseEnded => $"'{Shown(url)}' was cut off",
                _ => $"'{Shown(url)}' cannot be fetched: {e.Message}",
            });
        }
    }

    // The text of the URL is the path: its first part is no host, and "file:////a//b" is "a/b" all the same.
    private async Task<byte[]> ReadAsync(string url, CancellationToken cancellation)
    {
        if (folder is null)
            throw new FormatException("files are not read by this server (that of shimmy llama-server --media-path DIR does); send the data themselves, as a data: URI");
        var parts = Uri.UnescapeDataString(url.Trim()[FileUrl.Length..]).Split('/', StringSplitOptions.RemoveEmptyEntries);
        var shown = url.Length > MostShown ? url[..MostShown] + "…" : url;
        if (parts.Length == 0 || parts.Any(part => part is "." or ".." || part.AsSpan().IndexOfAny(NoPart) >= 0))
            throw new FormatException($"'{shown}' is not allowed: it must be file:// and a path in the media folder, without '..'");
        var path = Path.Join([folder, .. parts]);
        try
        {
            // A pipe or a device has no length, and opening it may wait for ever.
            return new FileInfo(path).Length switch
            {
                0 => throw new FormatException($"'{shown}' is empty"),
                > MostBytes => throw new FormatException($"'{shown}' has more than {MostBytes >> 20} MiB"),
                _ => await File.ReadAllBytesAsync(path, cancellation).ConfigureAwait(false),
            };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new FormatException($"'{shown}' cannot be read in the media folder");
        }
    }

    /// <summary>Whether an address is one that any machine of the internet could have.</summary>
    public static bool IsPublic(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        var bytes = address.GetAddressBytes();
        if (address.AddressFamily == AddressFamily.InterNetwork)
        {
            return bytes switch
            {
                [0 or 10 or 127 or >= 224, ..] => false,
                [100, >= 64 and <= 127, ..] => false,
                [169, 254, ..] or [192, 168, ..] or [192, 0, 0 or 2, _] => false,
                [198, 18 or 19, ..] or [198, 51, 100, _] or [203, 0, 113, _] => false,
                [172, >= 16 and <= 31, ..] => false,
                _ => true,
            };
        }
        // 2000::/3 is what is given out; parts of it carry an IPv4 address, which may be private (6to4, Teredo).
        return (bytes[0] & 0xE0) == 0x20 && bytes is not [0x20, 0x02, ..] && bytes is not [0x20, 0x01, 0, 0, ..];
    }

    // Every address is checked, and the connection goes to one that was: a name cannot change between the two.
    private async ValueTask<Socket> ConnectAsync(DnsEndPoint host, CancellationToken cancellation)
    {
        var addresses = await Dns.GetHostAddressesAsync(host.Host, cancellation).ConfigureAwait(false);
        if (addresses.Length == 0 || !Array.TrueForAll(addresses, address => allowsAddress?.Invoke(address) ?? IsPublic(address)))
            throw new FormatException($"'{host.Host}' has a private address, or none");
        // One after the other, until one answers.
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            await socket.ConnectAsync(addresses, host.Port, cancellation).ConfigureAwait(false);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static string Shown(Uri url) => url.AbsoluteUri is { Length: > 100 } text ? text[..100] + "…" : url.AbsoluteUri;
}

/// <summary>
/// The fetches of one request, one after the other, all of them within a time. What was fetched or refused is remembered, as long as it is
/// not much.
/// </summary>
/// <param name="fetch">Fetches.</param>
/// <param name="cancellation">Ends them.</param>
internal sealed class MediaFetches(MediaFetch fetch, CancellationToken cancellation)
{
    /// <summary>What they may take together: hosts that do not answer would make each turn wait for each of its URLs.</summary>
    public static readonly TimeSpan MostTime = TimeSpan.FromSeconds(30);

    private const int MostKept = 32 << 20;

    // By the text: a file's name may have a #. Bytes, or why there are none.
    private readonly Dictionary<string, object> _known = new(StringComparer.Ordinal);
    private readonly Stopwatch _spent = new();
    private int _kept;

    /// <summary>The bytes behind a URL. Throws as <see cref="MediaFetch.GetAsync"/> does.</summary>
    public async Task<byte[]> GetAsync(Uri url)
    {
        if (_known.TryGetValue(url.OriginalString, out var known))
            return known as byte[] ?? throw new FormatException((string)known);
        var left = MostTime - _spent.Elapsed;
        using var limit = new CancellationTokenSource(left > TimeSpan.Zero ? left : TimeSpan.Zero);
        _spent.Start();
        try
        {
            var file = await fetch.GetAsync(url, cancellation, limit.Token).ConfigureAwait(false);
            if (_kept + file.Length <= MostKept)
            {
                _kept += file.Length;
                _known[url.OriginalString] = file;
            }
            return file;
        }
        catch (FormatException e)
        {
            _known[url.OriginalString] = e.Message;
            throw;
        }
        finally
        {
            _spent.Stop();
        }
    }
}
