using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Models.Residency;

namespace Shimmy.Chat.Cache;

/// <summary>How a client lets its request use the response cache (<c>Cache-Control</c>, RFC 9111, 5.2.1).</summary>
internal enum CachePolicy
{
    /// <summary>Default: read and store.</summary>
    Use,

    /// <summary><c>no-cache</c>: compute the answer anew, and store it.</summary>
    Renew,

    /// <summary><c>no-store</c>: neither read nor store.</summary>
    Bypass,
}

/// <summary>
/// Use of the response cache by one request, which may have several answers. It sits between the pipeline and the engine, so cached and
/// computed events alike are parsed into reasoning and tool calls and written in the client's dialect.
/// </summary>
/// <param name="cache">The cache.</param>
/// <param name="policy">The client's policy.</param>
/// <param name="prompted">Called with each prompt, whether its answer is cached or not, for the log of prompts.</param>
internal sealed class CachedExecution(ResponseCache cache, CachePolicy policy, Action<Prompt>? prompted = null)
{
    private int _outcome = -1;

    /// <summary>Result of the lookup, the worst of all answers; null before the first.</summary>
    public CacheOutcome? Outcome => _outcome < 0 ? null : (CacheOutcome)_outcome;

    /// <summary>The outcome as the header <c>x-shimmy-cache</c>, the log and the metrics name it; null before the first answer.</summary>
    public string? OutcomeName => Outcome switch
    {
        null => null,
        CacheOutcome.Hit => "hit",
        CacheOutcome.Miss => "miss",
        _ => "bypass",
    };

    /// <summary>
    /// The cached answer, or else the computed one, which is stored once it has ended by itself. The lookup is made by this call; nothing
    /// is computed before the enumeration begins.
    /// </summary>
    public IAsyncEnumerable<OutputEvent> Through(
        ModelLease lease, GenerationRequest request, ReasoningLimit? limit, IAsyncEnumerable<OutputEvent> computed)
    {
        prompted?.Invoke(request.Prompt);
        if (policy == CachePolicy.Bypass || cache.Capacity == 0 || !IsDetermined(request.Options))
        {
            Note(CacheOutcome.Bypass);
            return computed;
        }
        var key = CacheKey.Of(lease.Load.Identity, request, limit);
        if (policy == CachePolicy.Use && cache.Find(key) is { } stored)
        {
            Note(CacheOutcome.Hit);
            return Kept(request, stored).ToAsyncEnumerable();
        }
        Note(CacheOutcome.Miss);
        return StoredAsync(key, computed);
    }

    /// <summary>Whether the same request always gives the same answer: greedy sampling, or a seed in the request.</summary>
    public static bool IsDetermined(GenerationOptions options) =>
        options.Seed is not null || (options.Temperature <= 0 && !CacheKey.DrawsByXtc(options));

    // With greedy sampling the seed is not part of the key, so the stored answer may have another one.
    private static IEnumerable<OutputEvent> Kept(GenerationRequest request, ReadOnlyMemory<byte> stored)
    {
        foreach (var outputEvent in CachedAnswerCodec.Read(stored))
        {
            yield return request.Options.Seed is { } seed && outputEvent.Start is { } start
                ? OutputEvent.OfStart(start with { Seed = seed })
                : outputEvent;
        }
    }

    private async IAsyncEnumerable<OutputEvent> StoredAsync(CacheKey key, IAsyncEnumerable<OutputEvent> computed)
    {
        using var answer = new CachedAnswerCodec.Writer();
        await foreach (var outputEvent in computed.ConfigureAwait(false))
        {
            if (answer.Length <= cache.LargestAnswer)
                answer.Write(outputEvent);
            // Stored before the end is passed on: a client that has seen the end finds the answer.
            if (outputEvent.End is not null && answer.Length <= cache.LargestAnswer)
                cache.Store(key, answer.ToArray());
            yield return outputEvent;
        }
    }

    private void Note(CacheOutcome outcome)
    {
        cache.Count(outcome);
        // Answers of one request may be looked up concurrently.
        InterlockedMax(ref _outcome, (int)outcome);
    }

    private static void InterlockedMax(ref int place, int value)
    {
        for (var seen = Volatile.Read(ref place); seen < value;)
        {
            var now = Interlocked.CompareExchange(ref place, value, seen);
            if (now == seen)
                return;
            seen = now;
        }
    }
}
