using Shimmy.Gguf;

namespace Shimmy.Models.Pull;

/// <summary>Why a pull failed.</summary>
internal enum PullFailure
{
    /// <summary>The name is none that can be pulled.</summary>
    BadName,

    /// <summary>The registry has no such model, file or quantization.</summary>
    NotFound,

    /// <summary>The registry asks who is there, or does not let this user in.</summary>
    Refused,

    /// <summary>The registry has been asked too often.</summary>
    TooMany,

    /// <summary>Nothing may be fetched here.</summary>
    Offline,

    /// <summary>The disk is full, or does not let this user write.</summary>
    NoSpace,

    /// <summary>The target path has a file that Shimmy did not pull; it is not overwritten.</summary>
    Exists,

    /// <summary>A pulled model cannot be removed.</summary>
    NotRemoved,

    /// <summary>So many models are pulled, or wait for it, that no more are taken.</summary>
    QueueFull,

    /// <summary>The content is not the one that the registry announced.</summary>
    WrongContent,

    /// <summary>The registry says what cannot be: no JSON, names that are no names of files, endless redirects.</summary>
    BadAnswer,

    /// <summary>The registry cannot be reached, or breaks off again and again.</summary>
    Unreachable,
}

/// <summary>A pull that failed, in words for people.</summary>
internal sealed class PullException(PullFailure failure, string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>Why.</summary>
    public PullFailure Failure { get; } = failure;

    /// <summary>Seconds after which the registry lets in again; null where it did not say.</summary>
    public int? RetryAfterSeconds { get; init; }
}

/// <summary>A kind of registry.</summary>
internal enum PullSource
{
    /// <summary>Hugging Face's hub, or a mirror of it.</summary>
    Hub,

    /// <summary>A registry of Ollama's.</summary>
    Ollama,

    /// <summary>One file by its URL.</summary>
    Url,
}

/// <summary>
/// The name of a model that is not here, as people write it: <c>ORG/REPO:QUANT</c>, <c>hf.co/ORG/REPO</c>, a name of Ollama's, or a URL.
/// </summary>
internal sealed record PullName
{
    private const string DefaultTag = "latest";
    private const string Library = "library";
    private static readonly string[] HubHosts = ["hf.co", "huggingface.co"];
    private static readonly string[] OllamaHosts = ["ollama.com", OllamaRegistry.DefaultHost];

    private PullName(PullSource source)
    {
        Source = source;
    }

    /// <summary>The kind of registry to pull it from.</summary>
    public PullSource Source { get; }

    /// <summary><c>ORG/REPO</c> of the hub, <c>NAMESPACE/MODEL</c> of Ollama; empty for a URL.</summary>
    public string Repository { get; private init; } = "";

    /// <summary>The quantization on the hub, or null; the tag of Ollama's.</summary>
    public string? Tag { get; private init; }

    /// <summary>The revision on the hub.</summary>
    public string Revision { get; private init; } = "main";

    /// <summary>The file in the repository; null where the tag chooses.</summary>
    public string? File { get; private init; }

    /// <summary>The host of another registry of Ollama's; null for the usual one.</summary>
    public string? Host { get; private init; }

    /// <summary>The URL of a file; null for models of registries.</summary>
    public Uri? Url { get; private init; }

    /// <summary>The name in one spelling, as the model is called when it is here.</summary>
    public string Canonical => Source switch
    {
        PullSource.Hub => Repository + (File is { } file ? "/" + file : Tag is { } quantization ? ":" + quantization : "")
            + (Revision == "main" ? "" : "@" + Revision),
        PullSource.Ollama => (Host is { } host ? host + "/" : "")
            + (Host is null && Repository.StartsWith(Library + "/", StringComparison.Ordinal)
                ? Repository[(Library.Length + 1)..]
                : Repository)
            + ":" + Tag,
        _ => Url!.AbsoluteUri,
    };

    /// <summary>Reads a name. Throws <see cref="PullException"/> where it is none.</summary>
    /// <param name="text">The name.</param>
    /// <param name="ofOllama">Whether a name of two parts is Ollama's, as Ollama's clients mean it.</param>
    /// <param name="hub">Another address of the hub (HF_ENDPOINT); null for the usual one.</param>
    public static PullName Parse(string text, bool ofOllama = false, Uri? hub = null) =>
        TryParse(text.Trim(), ofOllama, hub) ?? throw new PullException(PullFailure.BadName,
            $"'{RegistryPath.Shown(text)}' is not a model name; allowed are ORG/REPO, ORG/REPO:QUANT and hf.co/ORG/REPO of Hugging Face, "
            + "MODEL:TAG of Ollama's library, ollama.com/USER/MODEL, and the URL of a .gguf file");

    /// <summary>As <see cref="Parse"/>; null where it is no name.</summary>
    public static PullName? TryParse(string text, bool ofOllama = false, Uri? hub = null)
    {
        if (text.StartsWith("https://", StringComparison.OrdinalIgnoreCase)
            || text.StartsWith("http://", StringComparison.OrdinalIgnoreCase))
        {
            return OfUrl(text, hub);
        }
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        var (first, rest) = slash < 0 ? ("", text) : (text[..slash], text[(slash + 1)..]);
        if (IsOne(HubHosts, first))
            return OfHub(rest);
        if (IsOne(OllamaHosts, first))
            return OfOllama(rest, null);
        var isHost = first.Contains(':', StringComparison.Ordinal) || first.Equals("localhost", StringComparison.OrdinalIgnoreCase);
        var parts = text.Split('/').Length;
        return parts switch
        {
            1 => OfOllama(text, null),
            2 when first == Library || (ofOllama && !isHost) => OfOllama(text, null),
            2 => isHost ? null : OfHub(text),
            3 when isHost || (first.Contains('.', StringComparison.Ordinal) && !ModelFileName.IsGguf(text)) => OfOllama(rest, first),
            _ => OfHub(text),
        };
    }

    /// <summary>Advice for a model that is not here; empty where the name is none that could be pulled.</summary>
    public static string Hint(string name)
    {
        const int longest = 120;
        if (name.Length > longest || TryParse(name) is not { } parsed)
            return "";
        return parsed.Source switch
        {
            PullSource.Hub => $"; 'shimmy pull {name}' brings it, where Hugging Face has it",
            PullSource.Ollama => $"; 'shimmy pull {name}' brings it, where Ollama's library has it",
            _ => "",
        };
    }

    private static bool IsOne(string[] hosts, string host) =>
        Array.Exists(hosts, one => one.Equals(host, StringComparison.OrdinalIgnoreCase));

    // ORG/REPO[:QUANT], ORG/REPO/FILE.gguf, and what browsers show: ORG/REPO/blob/REVISION/FILE.
    private static PullName? OfHub(string text)
    {
        var parts = text.Split('/');
        if (parts.Length < 2 || !RegistryPath.IsName(parts[0]))
            return null;
        if (parts.Length == 2)
        {
            var colon = parts[1].IndexOf(':', StringComparison.Ordinal);
            var repository = colon < 0 ? parts[1] : parts[1][..colon];
            var tag = colon < 0 ? null : parts[1][(colon + 1)..];
            if (!RegistryPath.IsName(repository) || (tag is not null && !RegistryPath.IsName(tag)))
                return null;
            return new PullName(PullSource.Hub) { Repository = $"{parts[0]}/{repository}", Tag = tag is DefaultTag ? null : tag };
        }
        if (!RegistryPath.IsName(parts[1]))
            return null;
        var name = new PullName(PullSource.Hub) { Repository = $"{parts[0]}/{parts[1]}" };
        if (parts[2] is "blob" or "resolve" or "tree" && parts.Length > 3)
        {
            if (!RegistryPath.IsName(parts[3]))
                return null;
            var file = string.Join('/', parts[4..]);
            name = name with { Revision = parts[3], File = file.Length == 0 ? null : file };
        }
        else
        {
            name = name with { File = string.Join('/', parts[2..]) };
        }
        return name.File is { } path && (!ModelFileName.IsGguf(path) || RegistryPath.WhyNot(path) is not null) ? null : name;
    }

    private static PullName? OfOllama(string text, string? host)
    {
        var colon = text.LastIndexOf(':');
        var tag = colon < 0 ? DefaultTag : text[(colon + 1)..];
        var parts = (colon < 0 ? text : text[..colon]).Split('/');
        var model = parts switch
        {
            [var only] => $"{Library}/{only}",
            [_, _] => string.Join('/', parts),
            _ => null,
        };
        return model is null || !Array.TrueForAll(parts, RegistryPath.IsName) || !RegistryPath.IsName(tag) || !IsHost(host)
            ? null
            : new PullName(PullSource.Ollama) { Repository = model, Tag = tag, Host = host };
    }

    // It becomes a folder.
    private static bool IsHost(string? host)
    {
        if (host is null)
            return true;
        var colon = host.IndexOf(':', StringComparison.Ordinal);
        var name = colon < 0 ? host : host[..colon];
        return RegistryPath.IsName(name) && (colon < 0 || (ushort.TryParse(host.AsSpan(colon + 1), out var port) && port > 0));
    }

    private static PullName? OfUrl(string text, Uri? hub)
    {
        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || url.UserInfo.Length > 0)
            return null;
        var path = Uri.UnescapeDataString(url.AbsolutePath).Trim('/');
        if (IsOne(HubHosts, url.Host) || (hub is not null && url.Authority == hub.Authority))
            return OfHub(path);
        if (IsOne(OllamaHosts, url.Host))
            return OfOllama(path, null);
        var file = path[(path.LastIndexOf('/') + 1)..];
        return ModelFileName.IsGguf(file) && RegistryPath.WhyNot(file) is null
            ? new PullName(PullSource.Url) { Url = url, File = file }
            : null;
    }
}
