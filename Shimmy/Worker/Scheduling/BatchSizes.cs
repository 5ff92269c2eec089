using Shimmy.Engine;

namespace Shimmy.Worker.Scheduling;

/// <summary>How many tokens llama_decode was given at once, for metrics.</summary>
internal sealed class BatchSizes
{
    private readonly long[] _counts = new long[EngineStatistics.BatchSizeBounds.Count + 1];

    /// <summary>How often; an entry for each of <see cref="EngineStatistics.BatchSizeBounds"/> and one for what lies above.</summary>
    public IReadOnlyList<long> Counts => [.. _counts];

    /// <summary>Tokens of all batches together.</summary>
    public long Tokens { get; private set; }

    /// <summary>Counts a batch.</summary>
    public void Note(int tokens)
    {
        var bucket = 0;
        while (bucket < EngineStatistics.BatchSizeBounds.Count && tokens > EngineStatistics.BatchSizeBounds[bucket])
            bucket++;
        _counts[bucket]++;
        Tokens += tokens;
    }
}
