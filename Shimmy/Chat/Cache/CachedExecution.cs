using System.Runtime.CompilerServices;
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
        ModelLease lease, GenerationRequest request, ReasoningLimit? limit, IAsyncEnumerable<OutputEvent> computed,
        CancellationToken cancellation)
    {
        prompted?.Invoke(request.Prompt);
        if (policy == CachePolicy.Bypass || cache.Capacity == 0 || !IsDetermined(request.Options))
        {
            Note(CacheOutcome.Bypass);
            return computed;
        }
        // As for prefixes: how fast an answer comes would tell a client what others have asked.
        var key = CacheKey.Of(lease.Load.Identity, request, limit, lease.Model.Spec.SharingClient(lease.Place.Client));
        if (policy == CachePolicy.Use && cache.Find(key) is { } stored)
        {
            Note(CacheOutcome.Hit);
            return Kept(request, stored).ToAsyncEnumerable();
        }
        if (policy == CachePolicy.Renew)
        {
            Note(CacheOutcome.Miss);
            return StoredAsync(key, computed, cancellation);
        }
        // What another request computes right now is as good as stored.
        Note(cache.IsRunning(key) ? CacheOutcome.Hit : CacheOutcome.Miss);
        return SharedAsync(key, request, computed, cancellation);
    }

    /// <summary>
    /// Whether the same request always gives the same answer: greedy sampling, or a seed in the request, and no limit of time to cut it.
    /// </summary>
    public static bool IsDetermined(GenerationOptions options) =>
        options is { PromptMilliseconds: null, PredictMilliseconds: null }
        && (options.Seed is not null || options.HasNoChance);

    // With greedy sampling the seed is not part of the key, so the stored answer may have another one.
    private static IEnumerable<OutputEvent> Kept(GenerationRequest request, ReadOnlyMemory<byte> stored)
    {
        foreach (var outputEvent in CachedAnswerCodec.Read(stored))
            yield return WithSeed(request, outputEvent);
    }

    private static OutputEvent WithSeed(GenerationRequest request, in OutputEvent outputEvent) =>
        request.Options.Seed is { } seed && outputEvent.Start is { } start ? OutputEvent.OfStart(start with { Seed = seed }) : outputEvent;

    // Where the request that computes the answer breaks off, another goes on with it: it computes the same events again, and passes on
    // those that it has not passed on yet.
    private async IAsyncEnumerable<OutputEvent> SharedAsync(CacheKey key, GenerationRequest request, IAsyncEnumerable<OutputEvent> computed,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        var sent = 0;
        while (true)
        {
            var answer = cache.Join(key, out var isOurs);
            // An answer is stored before it stops running.
            if (sent == 0 && cache.Find(key) is { } stored)
            {
                if (isOurs)
                    cache.Leave(key, answer);
                foreach (var outputEvent in Kept(request, stored))
                    yield return outputEvent;
                yield break;
            }
            // Computed on its own, so that others need not wait for a slow client of this request.
            using var left = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            var computing = isOurs ? ComputeAsync(key, computed, answer, left.Token) : Task.CompletedTask;
            try
            {
                await foreach (var outputEvent in answer.FromAsync(sent, cancellation).ConfigureAwait(false))
                {
                    sent++;
                    yield return WithSeed(request, outputEvent);
                    if (outputEvent.End is not null)
                        yield break;
                }
            }
            finally
            {
                await left.CancelAsync().ConfigureAwait(false);
                await computing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
            // What our own computation cannot do is our error; another request's is tried again.
            if (isOurs)
                await computing.ConfigureAwait(false);
        }
    }

    private async Task ComputeAsync(CacheKey key, IAsyncEnumerable<OutputEvent> computed, AnswerInFlight answer, CancellationToken left)
    {
        try
        {
            await foreach (var outputEvent in StoredAsync(key, computed, left).ConfigureAwait(false))
                answer.Add(outputEvent);
        }
        finally
        {
            cache.Leave(key, answer);
        }
    }

    private async IAsyncEnumerable<OutputEvent> StoredAsync(
        CacheKey key, IAsyncEnumerable<OutputEvent> computed, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        using var answer = new CachedAnswerCodec.Writer();
        await foreach (var outputEvent in computed.WithCancellation(cancellation).ConfigureAwait(false))
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
