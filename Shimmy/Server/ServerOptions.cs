using Shimmy.Caching;

namespace Shimmy.Server;

/// <summary>How the server listens and whom it lets in.</summary>
internal sealed record ServerOptions
{
    /// <summary><c>auto</c>, <c>HOST:PORT</c> or <c>PORT</c> (<see cref="BindAddress"/>).</summary>
    public string Bind { get; init; } = "auto";

    /// <summary>Keys of which a client must have one; none lets everybody in.</summary>
    public IReadOnlyList<string> ApiKeys { get; init; } = [];

    /// <summary>Origin that browsers may call from; null allows loopback origins, <c>*</c> all.</summary>
    public string? CorsOrigin { get; init; }

    /// <summary>File that gets the address once the server listens; null writes none.</summary>
    public string? ReadyFile { get; init; }

    /// <summary>Most bytes of a request's body.</summary>
    public long BodyLimit { get; init; } = 64L << 20;

    /// <summary>Most bytes of answers that are kept for requests that would have them again; 0 keeps none.</summary>
    public long ResponseCacheBytes { get; init; } = ResponseCache.DefaultCapacity;

    /// <summary>File that every exchange is appended to; null records none.</summary>
    public string? RecordFile { get; init; }

    /// <summary>File of recorded exchanges that are answered without a model; null answers all from models.</summary>
    public string? ReplayFile { get; init; }

    /// <summary>Whether what <see cref="ReplayFile"/> does not have is answered by models; else it is refused.</summary>
    public bool ReplayPasses { get; init; }

    /// <summary>How long running requests may go on after the server was told to stop.</summary>
    public TimeSpan DrainTime { get; init; } = TimeSpan.FromSeconds(30);
}
