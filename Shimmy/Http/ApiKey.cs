using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat.Output;

namespace Shimmy.Http;

/// <summary>An API key with its limits and its present use.</summary>
internal sealed class ApiKey
{
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);

    private readonly Lock _lock = new();
    private readonly TimeProvider _time;
    private int _running;
    private double _tokensLeft;
    private long? _filledAt;

    /// <param name="name">Name of the key in log and metrics.</param>
    /// <param name="hash">SHA-256 of the key.</param>
    /// <param name="time">Clock of the token rate.</param>
    public ApiKey(string name, byte[] hash, TimeProvider? time = null)
    {
        (Name, Hash, _time) = (name, hash, time ?? TimeProvider.System);
    }

    /// <summary>Name of the key in log and metrics.</summary>
    public string Name { get; }

    /// <summary>SHA-256 of the key.</summary>
    public byte[] Hash { get; }

    /// <summary>Whether the server has no other key.</summary>
    public bool IsOnly { get; set; }

    /// <summary>Generations and embeddings at once; 0 sets no limit.</summary>
    public int Concurrency { get; init; }

    /// <summary>Tokens a minute, of prompts and answers; 0 sets no limit.</summary>
    public int TokensPerMinute { get; init; }

    /// <summary>Rank of its requests in a model's queue: higher comes first.</summary>
    public int Rank { get; init; }

    /// <summary>The SHA-256 of a key's text.</summary>
    public static byte[] HashOf(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));

    /// <summary>The keys that a request gives: <c>Authorization: Bearer</c>, then <c>x-api-key</c>.</summary>
    public static IEnumerable<string> GivenIn(IHeaderDictionary headers)
    {
        const string scheme = "Bearer ";
        var authorization = headers.Authorization.ToString();
        if (authorization.StartsWith(scheme, StringComparison.OrdinalIgnoreCase))
            yield return authorization[scheme.Length..].Trim();
        if (headers.TryGetValue("x-api-key", out var key))
            yield return key.ToString();
    }

    /// <summary>Whether a text is this key. Takes the same time wherever they differ.</summary>
    public bool IsThis(string key) => IsThis(HashOf(key));

    /// <inheritdoc cref="IsThis(string)"/>
    public bool IsThis(byte[] hash) => CryptographicOperations.FixedTimeEquals(Hash, hash);

    /// <summary>
    /// Counts a request in until the result is disposed. Throws <see cref="ApiException"/> (429) where the key has too many running or has
    /// used up its tokens; what a request uses is known only at its end, so one may overdraw, and the next wait.
    /// </summary>
    public IDisposable Enter()
    {
        lock (_lock)
        {
            if (Concurrency > 0 && _running >= Concurrency)
            {
                throw new ApiException(429, $"the API key '{Name}' has reached its limit of {Concurrency} concurrent requests",
                    "concurrency_limit")
                { RetryAfterSeconds = 1 };
            }

            Fill();
            if (TokensPerMinute > 0 && _tokensLeft <= 0)
            {
                var seconds = (int)Math.Ceiling((1 - _tokensLeft) * Minute.TotalSeconds / TokensPerMinute);
                throw new ApiException(429, string.Create(CultureInfo.InvariantCulture,
                    $"the API key '{Name}' has used up its {TokensPerMinute} tokens per minute; try again in {seconds} s"), "token_limit")
                { RetryAfterSeconds = seconds };
            }
            _running++;
        }
        return new Entry(this);
    }

    /// <summary>Charges the tokens of a request to this minute.</summary>
    public void Charge(Usage used)
    {
        lock (_lock)
        {
            Fill();
            _tokensLeft -= used.TotalTokens;
        }
    }

    // A bucket that holds a minute's tokens and fills all the time; it begins full.
    private void Fill()
    {
        var now = _time.GetTimestamp();
        _tokensLeft = _filledAt is { } before
            ? Math.Min(TokensPerMinute, _tokensLeft + (_time.GetElapsedTime(before, now) / Minute * TokensPerMinute))
            : TokensPerMinute;
        _filledAt = now;
    }

    private void Leave()
    {
        lock (_lock)
            _running--;
    }

    private sealed class Entry(ApiKey key) : IDisposable
    {
        private ApiKey? _key = key;

        public void Dispose() => Interlocked.Exchange(ref _key, null)?.Leave();
    }
}
