using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Shimmy.Server;

/// <summary>Addresses to listen on at once, and the option or variable that asks for them.</summary>
/// <param name="Source"><c>--bind</c>, or the variable.</param>
/// <param name="Endpoints">The addresses.</param>
internal sealed record BindChoice(string Source, IReadOnlyList<EndPoint> Endpoints)
{
    /// <summary>Addresses of the listener for Ollama's clients; empty where there is none.</summary>
    public IReadOnlyList<EndPoint> Ollama { get; init; } = [];

    /// <summary>Addresses of the listener for scrapers; empty where there is none.</summary>
    public IReadOnlyList<EndPoint> Metrics { get; init; } = [];

    /// <summary>All addresses, in the order in which they are listened on.</summary>
    public IEnumerable<EndPoint> All => [.. Endpoints, .. Ollama, .. Metrics];

    /// <summary>
    /// The same without <c>::1</c>, for a machine without IPv6; null where there is nothing to leave out, or nothing would be left.
    /// </summary>
    public BindChoice? WithoutIPv6()
    {
        var rest = this with { Endpoints = Less(Endpoints), Ollama = Less(Ollama), Metrics = Less(Metrics) };
        return rest.Endpoints.Count == 0 || rest.All.Count() == All.Count() ? null : rest;

        static EndPoint[] Less(IReadOnlyList<EndPoint> endpoints) =>
            [.. endpoints.Where(endpoint => endpoint is not BindAddress.IPv6Loopback)];
    }
}

/// <summary>
/// The addresses to listen on. <c>auto</c> means SHIMMY_BIND_ADDRESS if it is set; else port 11435 of this machine; if that is taken, the
/// first free port of 11436 to 11535; else one that the system picks. <c>unix:PATH</c> is a socket in the file system. Anything else is
/// tried as it is and nowhere else. This machine is 127.0.0.1 and ::1 alike, since clients take either for localhost.
/// </summary>
internal static class BindAddress
{
    /// <summary>The option.</summary>
    public const string Option = "--bind";

    /// <summary>The variable that <c>auto</c> stands for.</summary>
    public const string Variable = "SHIMMY_BIND_ADDRESS";

    /// <summary>Leaves the address to the variable and the server.</summary>
    public const string Auto = "auto";

    /// <summary>The address that Ollama's clients try.</summary>
    public const string OllamaDefault = "127.0.0.1:11434";

    private const int OllamaPort = 11434;
    private const int FirstPort = 11435;
    private const int LastPort = 11535;
    private const string UnixPrefix = "unix:";

    /// <summary>
    /// The addresses to try, in order; those of one choice are listened on together. Throws <see cref="FormatException"/>, naming the
    /// source, for a text that is not an address.
    /// </summary>
    public static IReadOnlyList<BindChoice> Candidates(IReadOnlyList<string> binds, Func<string, string?> environment)
    {
        if (binds is not [Auto])
            return [Parse(Option, binds)];
        if (environment(Variable) is { Length: > 0 } given && given != Auto)
            return [Parse(Variable, Split(given))];
        return [.. Enumerable.Range(FirstPort, LastPort - FirstPort + 1).Append(0)
            .Select(port => new BindChoice(Option, [.. ThisMachine(port)]))];
    }

    /// <summary>The addresses in a text, between commas or blanks.</summary>
    public static string[] Split(string text) =>
        text.Split([',', ' ', '\t', '\n'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    /// <summary>The addresses that a source asks for. Throws <see cref="FormatException"/> with the source before the message.</summary>
    public static BindChoice Parse(string source, IReadOnlyList<string> texts) => Parse(source, texts, FirstPort);

    /// <summary>
    /// The addresses of the listener for Ollama's clients, also in the forms of OLLAMA_HOST: with a scheme, without a host, without a port.
    /// Throws <see cref="FormatException"/> with the source before the message.
    /// </summary>
    public static IReadOnlyList<EndPoint> ParseOllama(string source, string text)
    {
        foreach (var scheme in (string[])["http://", "https://"])
            text = text.StartsWith(scheme, StringComparison.OrdinalIgnoreCase) ? text[scheme.Length..] : text;
        text = text.TrimEnd('/');
        return Parse(source, [text.StartsWith(':') ? "localhost" + text : text.Length == 0 ? OllamaDefault : text], OllamaPort).Endpoints;
    }

    private static BindChoice Parse(string source, IReadOnlyList<string> texts, int port)
    {
        try
        {
            if (texts.Count > 1 && texts.Contains(Auto))
                throw new FormatException("auto stands alone; beside other addresses a port is required");
            EndPoint[] endpoints = texts is [Auto] ? [] : [.. texts.DefaultIfEmpty("").SelectMany(text => ParseAll(text, port)).Distinct()];
            return new BindChoice(source, endpoints);
        }
        catch (FormatException e)
        {
            throw new FormatException($"{source}: {e.Message}", e);
        }
    }

    /// <summary>
    /// Reads <c>HOST:PORT</c>, <c>HOST</c>, <c>PORT</c> or <c>unix:PATH</c>; a host is an IP address, <c>localhost</c> or <c>*</c> for all
    /// addresses. Throws <see cref="FormatException"/> with a message for the user.
    /// </summary>
    public static EndPoint Parse(string text) => ParseAll(text, FirstPort).First();

    private static IEnumerable<EndPoint> ParseAll(string text, int usualPort)
    {
        if (text.StartsWith(UnixPrefix, StringComparison.Ordinal))
            return [UnixSocket(text[UnixPrefix.Length..])];
        if (AddressOf(text) is { } whole)
            return At(whole, usualPort);
        var colon = text.LastIndexOf(':');
        var (host, portText) = colon < 0 ? ("localhost", text) : (text[..colon], text[(colon + 1)..]);
        if (!int.TryParse(portText, NumberStyles.None, CultureInfo.InvariantCulture, out var port) || port > IPEndPoint.MaxPort)
        {
            throw new FormatException(
                $"'{text}' is not an address to listen on: use auto, PORT, HOST:PORT or unix:PATH, with a port from 0 to {IPEndPoint.MaxPort}");
        }

        return AddressOf(host) is { } address
            ? At(address, port)
            : throw new FormatException($"'{host}' is not a host to listen on: use an IP address (IPv6 in brackets), localhost or *");
    }

    private static IEnumerable<EndPoint> At(IPAddress address, int port) =>
        ReferenceEquals(address, IPAddress.Loopback) ? ThisMachine(port) : [new IPEndPoint(address, port)];

    // A number alone would be an address to .NET.
    private static IPAddress? AddressOf(string host) => host switch
    {
        "localhost" => IPAddress.Loopback,
        "*" => IPAddress.Any,
        _ when (host.Contains('.') || host.StartsWith('[')) && (!host.Contains(':') || (host.StartsWith('[') && host.EndsWith(']')))
            && IPAddress.TryParse(host.Trim('[', ']'), out var address) => address,
        _ => null,
    };

    // A port that the system picks would be another one for each address.
    private static IEnumerable<EndPoint> ThisMachine(int port)
    {
        yield return new IPEndPoint(IPAddress.Loopback, port);
        if (port != 0 && Socket.OSSupportsIPv6)
            yield return new IPv6Loopback(port);
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

    /// <summary>
    /// <c>::1</c> beside 127.0.0.1: left out where the machine has no IPv6, while one that was asked for is an error there.
    /// </summary>
    internal sealed class IPv6Loopback(int port) : IPEndPoint(IPAddress.IPv6Loopback, port);
}
