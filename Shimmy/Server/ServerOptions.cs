using Shimmy.Api;
using Shimmy.Chat.Cache;
using Shimmy.Chat.Media;
using Shimmy.Http;
using Shimmy.Models.Pull;
using Shimmy.Observability;

namespace Shimmy.Server;

/// <summary>Options of the HTTP server.</summary>
internal sealed record ServerOptions
{
    /// <summary>The default of <see cref="Binds"/>.</summary>
    public static IReadOnlyList<string> OnlyAuto { get; } = [BindAddress.Auto];

    /// <summary><c>auto</c>, or addresses to listen on at once (<see cref="BindAddress"/>).</summary>
    public IReadOnlyList<string> Binds { get; init; } = OnlyAuto;

    /// <summary>The first of <see cref="Binds"/>; sets the only one.</summary>
    public string Bind
    {
        get => Binds[0];
        init => Binds = [value];
    }

    /// <summary>
    /// Address of a further listener, where <c>/api/generate</c> is always Ollama's, and the option or variable that asks for it; null for
    /// none.
    /// </summary>
    public (string Source, string Address)? Ollama { get; init; }

    /// <summary>
    /// Address of a further listener that answers <c>/metrics</c>, <c>/health</c> and <c>/v1/models</c> without a key and nothing else, and
    /// the option or variable that asks for it; null for none.
    /// </summary>
    public (string Source, string Address)? MetricsBind { get; init; }

    /// <summary>Keys that <c>/metrics</c> takes beside <see cref="Keys"/>, and no other route; with one it is closed to others.</summary>
    public IReadOnlyList<ApiKey> MetricsKeys { get; init; } = [];

    /// <summary>Whether <c>/metrics</c> has vLLM's names beside Shimmy's.</summary>
    public bool MetricsAsVllm { get; init; }

    /// <summary>File that remembers the digests of models' files; null remembers none.</summary>
    public string? DigestFile { get; init; }

    /// <summary>Names, with wildcards or without, that the Host header may have beside those of this machine.</summary>
    public IReadOnlyList<string> AllowedHosts { get; init; } = [];

    /// <summary>Path before all routes, as <c>/llm</c>, for a proxy that leaves it on; empty where there is none.</summary>
    public string BasePath { get; init; } = "";

    /// <summary>Keys of which a client must have one (<see cref="ApiKeyFile"/>); none lets everybody in.</summary>
    public IReadOnlyList<ApiKey> Keys { get; init; } = [];

    /// <summary>Origins that browsers may call from, with wildcards or without; none allows loopback origins.</summary>
    public IReadOnlyList<string> CorsOrigins { get; init; } = [];

    /// <summary>The mode of <c>shimmy llama-server</c>; null where the server was started as <c>shimmy serve</c>.</summary>
    public LlamaServerMode? LlamaServer { get; init; }

    /// <summary>File that gets the address once the server listens; null writes none.</summary>
    public string? ReadyFile { get; init; }

    /// <summary>Most bytes of a request's body.</summary>
    public long BodyLimit { get; init; } = 64L << 20;

    /// <summary>Longest duration of a request, from its arrival to its end; null sets no limit.</summary>
    public TimeSpan? RequestTimeout { get; init; }

    /// <summary>Whether there is a page at <c>/</c>.</summary>
    public bool Page { get; init; } = true;

    /// <summary>The last lines of the log, for <c>/api/events</c>; null leaves them out.</summary>
    public LogTail? LogTail { get; init; }

    /// <summary>Brings models from registries; null where none are.</summary>
    public PullService? Pulls { get; init; }

    /// <summary>Whether rendered prompts are logged.</summary>
    public bool LogPrompts { get; init; }

    /// <summary>Longest idle time of a connection between requests.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromSeconds(130);

    /// <summary>Longest time for receiving the headers of a request.</summary>
    public TimeSpan HeadersTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// The limits that options set, which <c>/diag</c> shows beside those that none does: name, and value or null where there is none.
    /// </summary>
    public IReadOnlyList<(string Name, double? Value)> Limits { get; init; } = [];

    /// <summary>Most bytes of answers that are kept for requests that would have them again; 0 keeps none.</summary>
    public long ResponseCacheBytes { get; init; } = ResponseCache.DefaultCapacity;

    /// <summary>Most pixels of a picture.</summary>
    public int MediaPixels { get; init; } = PictureDecoder.DefaultMostPixels;

    /// <summary>Hosts that pictures are fetched from; none lets requests bring them only.</summary>
    public IReadOnlyList<string> MediaHosts { get; init; } = [];

    /// <summary>Full path of the folder that file: URLs of pictures name files in; null refuses them.</summary>
    public string? MediaFolder { get; init; }

    /// <summary>File that every exchange is appended to; null records none.</summary>
    public string? RecordFile { get; init; }

    /// <summary>File of recorded exchanges that are answered without a model; null answers all from models.</summary>
    public string? ReplayFile { get; init; }

    /// <summary>Whether models answer requests that <see cref="ReplayFile"/> does not have; else they are refused.</summary>
    public bool ReplayPasses { get; init; }

    /// <summary>Longest time for running requests after the server was asked to stop.</summary>
    public TimeSpan DrainTime { get; init; } = TimeSpan.FromSeconds(30);
}
