using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Shimmy.Chat.Media;

/// <summary>
/// Fetches pictures by URL from hosts that the user allowed (<c>--media-urls</c>). A server that fetches what its clients name reaches
/// what they cannot: so only listed hosts, no private addresses, and limits of size and time. One GET over HTTP/1.0, without cookies or
/// other state.
/// </summary>
/// <param name="hosts">The hosts, as <c>NAME</c> or <c>NAME:PORT</c>; none refuses every URL.</param>
/// <param name="allowsAddress">Which addresses may be connected to; null refuses private ones. Tests fetch from their own machine.</param>
internal sealed class MediaFetch(IReadOnlyList<string> hosts, Func<IPAddress, bool>? allowsAddress = null)
{
    private const int MostBytes = 20 << 20;
    private const int MostHead = 32 << 10;
    private const int MostRedirects = 3;
    private static readonly TimeSpan MostTime = TimeSpan.FromSeconds(10);

    /// <summary>Why a URL is not fetched, as a text that follows the field's name; null where it is.</summary>
    public string? WhyNot(Uri url)
    {
        if (hosts.Count == 0)
            return "pictures by URL are not fetched by this server (--media-urls allows hosts); send the picture as a data: URI";
        return url.Scheme is "http" or "https" && url.UserInfo.Length == 0 && hosts.Any(host =>
            host.Equals(url.Host, StringComparison.OrdinalIgnoreCase) && url.IsDefaultPort
                || host.Equals($"{url.Host}:{url.Port}", StringComparison.OrdinalIgnoreCase))
            ? null
            : $"pictures are fetched by http and https from {string.Join(", ", hosts)} only (--media-urls), not from '{Shown(url)}'";
    }

    /// <summary>
    /// The bytes behind a URL. Throws <see cref="FormatException"/> whose text follows the field's name,
    /// <see cref="OperationCanceledException"/> where <paramref name="cancellation"/> asks.
    /// </summary>
    public async Task<byte[]> GetAsync(Uri url, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(MostTime);
        try
        {
            for (var i = 0; i <= MostRedirects; i++)
            {
                if (WhyNot(url) is { } reason)
                    throw new FormatException(reason);
                var (status, location, body) = await GetOnceAsync(url, limit.Token).ConfigureAwait(false);
                if (status == 200)
                    return body;
                if (status is not (301 or 302 or 303 or 307 or 308) || location is null || !Uri.TryCreate(url, location, out var next))
                    throw new FormatException($"'{Shown(url)}' answered with status {status}");
                url = next;
            }
            throw new FormatException($"'{Shown(url)}' was redirected more than {MostRedirects} times");
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new FormatException($"'{Shown(url)}' did not answer in {MostTime.TotalSeconds} s");
        }
        catch (Exception e) when (e is IOException or SocketException or System.Security.Authentication.AuthenticationException)
        {
            throw new FormatException($"'{Shown(url)}' cannot be fetched: {e.Message}");
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

    private async Task<(int Status, string? Location, byte[] Body)> GetOnceAsync(Uri url, CancellationToken cancellation)
    {
        var addresses = await Dns.GetHostAddressesAsync(url.IdnHost.Trim('[', ']'), cancellation).ConfigureAwait(false);
        // Every address is checked, and the connection goes to one that was: a name cannot change between the two.
        if (addresses.Length == 0 || !Array.TrueForAll(addresses, address => allowsAddress?.Invoke(address) ?? IsPublic(address)))
            throw new FormatException($"'{url.Host}' has a private address, or none");
        using var socket = new Socket(addresses[0].AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(addresses[0], url.Port, cancellation).ConfigureAwait(false);
        await using var plain = new NetworkStream(socket);
        if (url.Scheme == "http")
            return await AskAsync(plain, url, cancellation).ConfigureAwait(false);
        await using var secure = new SslStream(plain);
        var options = new SslClientAuthenticationOptions
        {
            TargetHost = url.IdnHost,
            // A chain is judged by what the server sent and the machine trusts: what is missing of it is not fetched from elsewhere. The
            // executable does not even hold what would (substitutions.xml).
            CertificateChainPolicy = new X509ChainPolicy
            {
                RevocationMode = X509RevocationMode.NoCheck,
                DisableCertificateDownloads = true,
            },
        };
        await secure.AuthenticateAsClientAsync(options, cancellation).ConfigureAwait(false);
        return await AskAsync(secure, url, cancellation).ConfigureAwait(false);
    }

    private static async Task<(int Status, string? Location, byte[] Body)> AskAsync(
        Stream stream, Uri url, CancellationToken cancellation)
    {
        var host = url.IsDefaultPort ? url.IdnHost : string.Create(CultureInfo.InvariantCulture, $"{url.IdnHost}:{url.Port}");
        var request = $"GET {url.PathAndQuery} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: shimmy\r\nAccept: image/*\r\n" +
            "Connection: close\r\n\r\n";
        await stream.WriteAsync(Encoding.ASCII.GetBytes(request), cancellation).ConfigureAwait(false);
        using var answer = new MemoryStream();
        var buffer = new byte[1 << 16];
        for (int count; (count = await stream.ReadAsync(buffer, cancellation).ConfigureAwait(false)) > 0;)
        {
            answer.Write(buffer, 0, count);
            if (answer.Length > MostBytes + MostHead)
                throw new FormatException($"'{Shown(url)}' has more than {MostBytes >> 20} MiB");
        }
        var bytes = answer.ToArray();
        var end = bytes.AsSpan().IndexOf("\r\n\r\n"u8);
        if (end is < 0 or > MostHead)
            throw new FormatException($"'{Shown(url)}' gave no answer of HTTP");
        var head = Encoding.Latin1.GetString(bytes, 0, end).Split("\r\n");
        var status = head[0].Split(' ') is ["HTTP/1.0" or "HTTP/1.1", var code, ..]
            && int.TryParse(code, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
                ? number
                : throw new FormatException($"'{Shown(url)}' gave no answer of HTTP");
        if (Field("transfer-encoding") is not null)
            throw new FormatException($"'{Shown(url)}' answers in chunks, which it was not asked for");
        var body = bytes[(end + 4)..];
        if (Field("content-length") is { } length
            && long.TryParse(length, NumberStyles.None, CultureInfo.InvariantCulture, out var promised)
            && body.Length < promised)
        {
            throw new FormatException($"'{Shown(url)}' was cut off");
        }
        return (status, Field("location"), body);

        string? Field(string name) => head.Skip(1)
            .Select(line => line.Split(':', 2)).FirstOrDefault(line => line is [var key, _]
                && key.Trim().Equals(name, StringComparison.OrdinalIgnoreCase))?[1].Trim();
    }

    private static string Shown(Uri url) => url.AbsoluteUri is { Length: > 100 } text ? text[..100] + "…" : url.AbsoluteUri;
}
