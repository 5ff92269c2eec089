using Shimmy.Cli.Terminal;
using Shimmy.Models;
using Shimmy.SafeTensors;
using Shimmy.SafeTensors.Plans;
using Shimmy.Server;

namespace Shimmy.Cli.Options;

/// <summary>
/// Values of one option's own form: addresses, names, keys, origins. Each is read where the option is, so that the error names the option
/// or the variable that was set; what several options have in common is <see cref="OptionValue"/>'s.
/// </summary>
internal static class OptionForms
{
    /// <summary>The type of weights to convert to: a name of llama.cpp.</summary>
    public static string ConvertType(OptionValue value)
    {
        // llama.cpp's names without a letter mean the middle one.
        var text = value.Text.ToLowerInvariant() is "q3_k" or "q4_k" or "q5_k" ? value.Text + "_m" : value.Text;
        return WeightType.NeedImportance.Contains(text.ToLowerInvariant())
            ? throw new UsageException($"{value.Source}: {text} needs an importance matrix, which only llama.cpp's own tools measure; "
                + $"without one there are {string.Join(", ", FolderConversion.Types)}")
            : FolderConversion.Types[(value with { Texts = [text] }).Choice([.. FolderConversion.Types])];
    }

    /// <summary>
    /// The name of an image, a service and a unit at once: the strictest of them is that of a Kubernetes service (RFC 1035 labels of at
    /// most 63 characters), to which templates add words.
    /// </summary>
    public static string DeploymentName(OptionValue value) =>
        value.Text is { Length: > 0 and <= 50 } name && name.All(c => c is (>= 'a' and <= 'z') or (>= '0' and <= '9') or '-')
            && char.IsAsciiLetter(name[0]) && name[^1] != '-'
            ? name
            : throw value.Refuse("a name of at most 50 lower-case letters, digits and dashes that begins with a letter");

    /// <summary>The address of a server.</summary>
    public static Uri Url(OptionValue value) =>
        Uri.TryCreate(value.Text.Contains("://", StringComparison.Ordinal) || value.Text.StartsWith("unix:", StringComparison.Ordinal)
                ? value.Text : "http://" + value.Text, UriKind.Absolute, out var url) && url.Scheme is "http" or "https" or "unix"
            ? url
            : throw value.Refuse("an address such as http://127.0.0.1:11435 or unix:PATH");

    /// <summary>The address for Ollama's clients: the address of Ollama where none is given.</summary>
    public static (string Source, string Address) Ollama(OptionValue value)
    {
        var address = value.IsOn ? BindAddress.OllamaDefault : value.Text;
        try
        {
            _ = BindAddress.ParseOllama(value.Source, address);
            return (value.Source, address);
        }
        catch (FormatException e)
        {
            throw new UsageException(e.Message);
        }
    }

    /// <summary>Aliases, as PATTERN=NAME.</summary>
    public static ModelAlias[] Aliases(OptionValue value) => [.. value.Texts.Select(text => ModelAlias.Parse(text)
        ?? throw new UsageException($"{value.Source}: '{text}' is not PATTERN=NAME, for example gpt-4*=llama-3-8b-instruct"))];

    /// <summary>Hosts from which pictures are fetched.</summary>
    public static string[] HostsOfMedia(OptionValue value)
    {
        var hosts = value.Text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        return hosts.Length > 0 && Array.TrueForAll(hosts, host => Uri.TryCreate($"http://{host}/", UriKind.Absolute, out var uri)
            && uri is { PathAndQuery: "/", UserInfo: "" } && !host.Contains('/', StringComparison.Ordinal))
            ? hosts
            : throw value.Refuse("names of hosts, with a port or without, with commas between them");
    }

    /// <summary>Keys, or files of keys.</summary>
    public static IReadOnlyList<Http.ApiKey> Keys(OptionValue value)
    {
        try
        {
            return ApiKeyFile.Read(value.Texts);
        }
        catch (FormatException e)
        {
            throw new UsageException($"{value.Source}: {e.Message}");
        }
    }

    /// <summary>One address, and not the choice of any.</summary>
    public static (string Source, string Address) One(OptionValue value)
    {
        _ = Addresses(value);
        return value.Text == BindAddress.Auto
            ? throw new UsageException($"{value.Source}: a port or an address is required, not {BindAddress.Auto}")
            : (value.Source, value.Text);
    }

    /// <summary>An address that is not a Unix socket. Throws <see cref="UsageException"/> for one that is.</summary>
    public static (string Source, string Address) OverTcp((string Source, string Address) given) =>
        given.Address.StartsWith("unix:", StringComparison.Ordinal)
            ? throw new UsageException($"{given.Source}: a port, or HOST:PORT, is required, not a socket in the file system")
            : given;

    /// <summary>The name of this server in the topics of its events, which are split at every @.</summary>
    public static string PodName(OptionValue value) => value.Text.Contains('@')
        ? throw new UsageException($"{value.Source}: no @ is allowed in the name of the server")
        : value.Text;

    /// <summary>Addresses to listen on.</summary>
    public static IReadOnlyList<string> Addresses(OptionValue value)
    {
        string[] texts = [.. value.Texts.SelectMany(BindAddress.Split)];
        try
        {
            _ = BindAddress.Parse(value.Source, texts);
            return texts is [BindAddress.Auto] ? ServerOptions.OnlyAuto : texts;
        }
        catch (FormatException e)
        {
            throw new UsageException(e.Message);
        }
    }

    /// <summary>Origins that pages may have.</summary>
    public static string[] Origins(OptionValue value)
    {
        string[] origins = [.. value.Texts.SelectMany(BindAddress.Split).Select(origin => origin.TrimEnd('/'))];
        return Array.Find(origins, origin => !CorsMiddleware.IsOrigin(origin)) is { } wrong
            ? throw new UsageException(
                $"{value.Source}: '{wrong}' is not *, null, or an origin such as http://localhost:3000, app://obsidian.md "
                + "or vscode-webview://*")
            : origins;
    }

    /// <summary>Names that the Host header may have. The check looks at names alone; who copies an address brings its port.</summary>
    public static string[] Hosts(OptionValue value)
    {
        string[] hosts = [.. value.Texts.SelectMany(BindAddress.Split).Select(WithoutPort)];
        return Array.Find(hosts, host => host.Length == 0 || host.AsSpan().IndexOfAny("/\\@") >= 0) is { } wrong
            ? throw new UsageException($"{value.Source}: '{wrong}' is not a name such as llm.example.com or *.example.com")
            : hosts;

        static string WithoutPort(string host)
        {
            var colon = host.LastIndexOf(':');
            return colon > 0 && host[(colon + 1)..].All(char.IsAsciiDigit) && host.IndexOf(':', StringComparison.Ordinal) == colon
                ? host[..colon]
                : host;
        }
    }

    /// <summary>The path before all routes, without its last slash.</summary>
    public static string BasePath(OptionValue value)
    {
        var path = value.Text.TrimEnd('/');
        return path.Length == 0 || (path.StartsWith('/') && path.All(c => c > ' ' && c is not ('?' or '#' or '\\')))
            ? path
            : throw value.Refuse("a path that begins with a slash, as /llm");
    }

    /// <summary>A limit of time; null for none.</summary>
    public static TimeSpan? Timeout(OptionValue value) =>
        value.Duration(KeepAlive.Forms + "; 0 is no limit") is { Ticks: > 0 } limit ? limit : null;
}
