using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Shimmy.Server;

/// <summary>
/// The address to listen on. <c>auto</c> means SHIMMY_BIND_ADDRESS if it is set; else 127.0.0.1:11435; if that is taken, the first free
/// port of 11436 to 11535; else one that the system picks. <c>unix:PATH</c> is a socket in the file system. Anything else is tried as it is
/// and nowhere else.
/// </summary>
internal static class BindAddress
{
    private const int FirstPort = 11435;
    private const int LastPort = 11535;
    private const string UnixMark = "unix:";

    /// <summary>The addresses to try, in order. Throws <see cref="FormatException"/> for a text that is not an address.</summary>
    public static IReadOnlyList<EndPoint> Candidates(string bind, Func<string, string?> environment)
    {
        if (bind != "auto")
            return [Parse(bind)];
        if (environment("SHIMMY_BIND_ADDRESS") is { Length: > 0 } given && given != "auto")
            return [Parse(given)];
        return [.. Enumerable.Range(FirstPort, LastPort - FirstPort + 1).Append(0)
            .Select(port => new IPEndPoint(IPAddress.Loopback, port))];
    }

    /// <summary>
    /// Reads <c>HOST:PORT</c>, <c>PORT</c> or <c>unix:PATH</c>; a host is an IP address, <c>localhost</c> or <c>*</c> for all addresses.
    /// Throws
    /// <see cref="FormatException"/> with a message for the user.
    /// </summary>
    public static EndPoint Parse(string text)
    {
        if (text.StartsWith(UnixMark, StringComparison.Ordinal))
            return UnixSocket(text[UnixMark.Length..]);
        var colon = text.LastIndexOf(':');
        var (host, portText) = colon < 0 ? ("127.0.0.1", text) : (text[..colon], text[(colon + 1)..]);
        if (!int.TryParse(portText, NumberStyles.None, CultureInfo.InvariantCulture, out var port) || port > IPEndPoint.MaxPort)
        {
            throw new FormatException(
                $"'{text}' is not an address to listen on: use auto, PORT, HOST:PORT or unix:PATH, with a port from 0 to {IPEndPoint.MaxPort}");
        }

        return host switch
        {
            "localhost" => new IPEndPoint(IPAddress.Loopback, port),
            "*" => new IPEndPoint(IPAddress.Any, port),
            _ when IPAddress.TryParse(host.Trim('[', ']'), out var address) && (!host.Contains(':') || host.StartsWith('['))
                => new IPEndPoint(address, port),
            _ => throw new FormatException($"'{host}' is not a host to listen on: use an IP address (IPv6 in brackets), localhost or *"),
        };
    }

    private static UnixDomainSocketEndPoint UnixSocket(string path)
    {
        try
        {
            return new UnixDomainSocketEndPoint(Path.GetFullPath(path));
        }
        catch (Exception e) when (e is ArgumentException or PlatformNotSupportedException or NotSupportedException)
        {
            throw new FormatException($"'{path}' cannot be a socket: {e.Message}", e);
        }
    }
}
