using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Models.Residency;

namespace Shimmy.Chat.Cache;

/// <summary>What a client allows the cache to do for it (RFC 9111, 5.2.1).</summary>
internal enum CachePolicy
{
    /// <summary>Nothing was said: read and store.</summary>
    Use,

    /// <summary><c>no-cache</c>: the answer is computed anew, and stored.</summary>
    Renew,

    /// <summary><c>no-store</c>: neither read nor stored.</summary>
    Bypass,
}

/// <summary>
/// One request's use of the cache; it may ask for several answers. Stands between the pipeline and the engine: what comes from here is parsed
/// into reasoning and tool calls, and written in the client's dialect, wherever it came from.
/// </summary>
/// <param name="cache">The answers.</param>
/// <param name="policy">What the client allows.</param>
/// <param name="told">Learns each prompt, whether its answer is computed or not; null where nobody wants to know.</param>
internal sealed class CachedExecution(ResponseCache cache, CachePolicy policy, Action<Prompt>? told = null)
{
    private int _outcome = -1;

    /// <summary>What the cache did, the worst of all answers; null before the first.</summary>
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
    /// The answer that is kept, else what is computed, which is kept once it has ended by itself. The choice is made by this call; nothing is
    /// computed before the enumeration begins.
    /// </summary>
    public IAsyncEnumerable<OutputEvent> Through(
        ModelLease lease, GenerationRequest request, ReasoningLimit? limit, IAsyncEnumerable<OutputEvent> computed)
    {
        told?.Invoke(request.Prompt);
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

    /// <summary>Whether the same request always has the same answer: the best token each time, or chance from a seed that the request gives.</summary>
    public static bool IsDetermined(GenerationOptions options) =>
        options.Seed is not null || (options.Temperature <= 0 && !CacheKey.DrawsByXtc(options));

    // Where it does not matter, another request may have had another.
    private static IEnumerable<OutputEvent> Kept(GenerationRequest request, ReadOnlyMemory<byte> stored)
    {
        foreach (var outputEvent in CachedAnswerCodec.Read(stored))
            yield return request.Options.Seed is { } seed && outputEvent.Start is { } start ? OutputEvent.OfStart(start with { Seed = seed }) : outputEvent;
    }

    private async IAsyncEnumerable<OutputEvent> StoredAsync(CacheKey key, IAsyncEnumerable<OutputEvent> computed)
    {
        using var answer = new CachedAnswerCodec.Writer();
        await foreach (var outputEvent in computed.ConfigureAwait(false))
        {
            if (answer.Length <= cache.LargestAnswer)
                answer.Write(outputEvent);
            // Before it is told: whoever has seen the end finds the answer.
            if (outputEvent.End is not null && answer.Length <= cache.LargestAnswer)
                cache.Store(key, answer.ToArray());
            yield return outputEvent;
        }
    }

    private void Note(CacheOutcome outcome)
    {
        cache.Count(outcome);
        // The answers of one request may be looked up side by side.
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
