using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;

namespace Shimmy.Models;

/// <summary>
/// Connections from Shimmy to other servers, for what a user asked to be fetched. No cookies, no redirects that the caller did not look at,
/// at most 32 KiB of response headers.
/// </summary>
internal static class Outbound
{
    /// <summary>A name in a path of a URL: a slash in it stays one.</summary>
    public static string PathOf(string name) => string.Join('/', name.Split('/').Select(Uri.EscapeDataString));

    /// <summary>A client; the caller disposes it.</summary>
    /// <param name="proxy">
    /// Whether the environment's proxies (HTTPS_PROXY, ALL_PROXY, NO_PROXY) are used; never for this machine's own addresses.
    /// </param>
    /// <param name="connect">Connects to a host and port in its own way; null for any address of the name.</param>
    public static HttpClient Client(bool proxy, Func<DnsEndPoint, CancellationToken, ValueTask<Socket>>? connect = null)
    {
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            UseProxy = proxy,
            Proxy = proxy ? new ExternalHostProxy(HttpClient.DefaultProxy) : null,
            MaxResponseHeadersLength = 32,
            SslOptions = new SslClientAuthenticationOptions
            {
                // A chain is judged by what the server sent and the machine trusts: what is missing of it is not fetched from elsewhere.
                // The executable does not even hold what would (substitutions.xml).
                CertificateChainPolicy = new X509ChainPolicy
                {
                    RevocationMode = X509RevocationMode.NoCheck,
                    DisableCertificateDownloads = true,
                },
            },
        };
        if (connect is not null)
        {
            handler.ConnectCallback = async (context, cancellation) =>
                new NetworkStream(await connect(context.DnsEndPoint, cancellation).ConfigureAwait(false), ownsSocket: true);
        }
        var client = new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan };
        client.DefaultRequestHeaders.UserAgent.ParseAdd("shimmy");
        return client;
    }

    // The proxies of the environment, for hosts elsewhere.
    private sealed class ExternalHostProxy(IWebProxy proxy) : IWebProxy
    {
        public ICredentials? Credentials
        {
            get => proxy.Credentials;
            set => proxy.Credentials = value;
        }

        public Uri? GetProxy(Uri destination) => destination.IsLoopback ? null : proxy.GetProxy(destination);

        public bool IsBypassed(Uri host) => host.IsLoopback || proxy.IsBypassed(host);
    }
}
