namespace Shimmy.Worker.Speculation;

/// <summary>
/// Time of a decode by its number of tokens, measured while the model runs. Sizes that were never measured are guessed low, so that they
/// are tried; old measurements count as none.
/// </summary>
internal sealed class DecodeCosts
{
    /// <summary>
    /// Most tokens of a decode that is remembered, and that holds drafts: from 64 on, ggml's fused attention on a CPU rounds differently.
    /// </summary>
    public const int Most = 63;

    // Cost of a further token as a share of a decode of one token, where nothing was measured: less than is likely.
    private const double GuessedShare = 0.1;

    // Of the first few the smallest counts, because threads may have had to wake up.
    private const int First = 3;
    private const double Weight = 0.1;
    private const long Stale = 4096;

    private readonly double[] _seconds = new double[Most + 1];
    private readonly int[] _count = new int[Most + 1];
    private readonly long[] _seen = new long[Most + 1];
    private long _decodes;

    /// <summary>Records a decode without prompt tokens.</summary>
    public void Observe(int tokens, double seconds)
    {
        _decodes++;
        if (tokens > Most)
            return;
        if (IsStale(tokens))
            _count[tokens] = 0;
        ref var known = ref _seconds[tokens];
        known = _count[tokens] switch
        {
            0 => seconds,
            < First => Math.Min(known, seconds),
            // Capped, so that a decode which something else delayed weighs no more than a slow one.
            _ => known + Weight * (Math.Min(seconds, 2 * known) - known),
        };
        _count[tokens]++;
        _seen[tokens] = _decodes;
    }

    /// <summary>Seconds of a decode of so many tokens; 0 where nothing was measured.</summary>
    public double Of(int tokens)
    {
        tokens = Math.Min(tokens, Most);
        if (IsKnown(tokens))
            return _seconds[tokens];
        var below = tokens - 1;
        while (below > 0 && !IsKnown(below))
            below--;
        var above = tokens + 1;
        while (above <= Most && !IsKnown(above))
            above++;
        if (below == 0)
            return above > Most ? 0 : _seconds[above];
        if (above <= Most && _seconds[above] > _seconds[below])
            return _seconds[below] + (_seconds[above] - _seconds[below]) * (tokens - below) / (above - below);
        return _seconds[below] * (1 + GuessedShare * (tokens - below) / below);
    }

    private bool IsKnown(int tokens) => _count[tokens] >= First && !IsStale(tokens);

    private bool IsStale(int tokens) => _decodes - _seen[tokens] > Stale;
}
