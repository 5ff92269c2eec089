using Shimmy.Engine;
using Shimmy.Worker.Prefixes;

namespace Shimmy.Worker.Scheduling;

/// <summary>Counters of a scheduler since the load, for <see cref="EngineStatistics"/>. On the scheduler's thread only.</summary>
internal sealed class SchedulerCounters
{
    private readonly long[] _batchSizes = new long[EngineStatistics.BatchSizeBounds.Count + 1];
    private readonly long[] _cachedTokens = new long[Enum.GetValues<PrefixOrigin>().Length];
    private long _batchTokens;
    private long _decodeCalls;
    private long _decodedSlots;

    /// <inheritdoc cref="EngineStatistics.Requests"/>
    public long Requests { get; set; }

    /// <inheritdoc cref="EngineStatistics.PromptTokens"/>
    public long PromptTokens { get; set; }

    /// <inheritdoc cref="EngineStatistics.PrefilledTokens"/>
    public long PrefilledTokens { get; set; }

    /// <summary>Counts prompt tokens that were not computed again.</summary>
    public void CountCached(int tokens, PrefixOrigin origin)
    {
        if (tokens > 0)
            _cachedTokens[(int)origin] += tokens;
    }

    /// <inheritdoc cref="EngineStatistics.GeneratedTokens"/>
    public long GeneratedTokens { get; set; }

    /// <inheritdoc cref="EngineStatistics.DraftedTokens"/>
    public long DraftedTokens { get; set; }

    /// <inheritdoc cref="EngineStatistics.AcceptedTokens"/>
    public long AcceptedTokens { get; set; }

    /// <inheritdoc cref="EngineStatistics.Drafts"/>
    public long Drafts { get; set; }

    /// <inheritdoc cref="EngineStatistics.PromptSeconds"/>
    public double PromptSeconds { get; set; }

    /// <inheritdoc cref="EngineStatistics.GeneratedSeconds"/>
    public double GeneratedSeconds { get; set; }

    /// <inheritdoc cref="EngineStatistics.GeneratedSteps"/>
    public long GeneratedSteps { get; set; }

    /// <inheritdoc cref="EngineStatistics.MostTokens"/>
    public long MostTokens { get; set; }

    /// <inheritdoc cref="EngineStatistics.Refused"/>
    public long Refused { get; set; }

    /// <inheritdoc cref="EngineStatistics.Preemptions"/>
    public long Preemptions { get; set; }

    /// <summary>Counts a call of llama_decode, whatever it returned, for so many sequences.</summary>
    public void CountDecode(int slots)
    {
        _decodeCalls++;
        _decodedSlots += slots;
    }

    /// <summary>Counts a batch that was computed.</summary>
    public void CountBatch(int tokens)
    {
        var bucket = 0;
        while (bucket < EngineStatistics.BatchSizeBounds.Count && tokens > EngineStatistics.BatchSizeBounds[bucket])
            bucket++;
        _batchSizes[bucket]++;
        _batchTokens += tokens;
    }

    /// <summary>The counters of this moment; what is no counter is left out.</summary>
    public EngineStatistics ToStatistics() => new()
    {
        Requests = Requests,
        PromptTokens = PromptTokens,
        PrefilledTokens = PrefilledTokens,
        CachedTokens = _cachedTokens.Sum(),
        CachedTokensFrom = _cachedTokens.Select((tokens, origin) => (tokens, Name: ((PrefixOrigin)origin).ToString().ToLowerInvariant()))
            .ToDictionary(pair => pair.Name, pair => pair.tokens),
        GeneratedTokens = GeneratedTokens,
        DraftedTokens = DraftedTokens,
        Drafts = Drafts,
        PromptSeconds = PromptSeconds,
        GeneratedSeconds = GeneratedSeconds,
        AcceptedTokens = AcceptedTokens,
        Refused = Refused,
        Preemptions = Preemptions,
        GeneratedSteps = GeneratedSteps,
        MostTokens = MostTokens,
        DecodeCalls = _decodeCalls,
        DecodedSlots = _decodedSlots,
        BatchSizes = [.. _batchSizes],
        BatchTokens = _batchTokens,
    };
}
