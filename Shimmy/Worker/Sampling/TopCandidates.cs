using System.Numerics;
using Shimmy.Worker.Native;

namespace Shimmy.Worker.Sampling;

/// <summary>
/// The k largest of a whole vocabulary's logits. llama.cpp copies and partially sorts all candidates for that; most logits are
/// far below the best, so one vectorised pass against a rising threshold is enough.
/// </summary>
internal static class TopCandidates
{
    private const int LeastSlack = 256;

    /// <summary>Index of the largest logit, the first of equals; -1 where none is a number above negative infinity.</summary>
    public static int IndexOfMax(ReadOnlySpan<float> logits)
    {
        var best = float.NegativeInfinity;
        var i = 0;
        if (Vector.IsHardwareAccelerated && logits.Length >= 2 * Vector<float>.Count)
        {
            // NaN loses every comparison, so it can not win here nor hide a number after it. Two at a time: neither waits for the other.
            var (even, odd) = (new Vector<float>(float.NegativeInfinity), new Vector<float>(float.NegativeInfinity));
            for (; i <= logits.Length - 2 * Vector<float>.Count; i += 2 * Vector<float>.Count)
            {
                even = Larger(new Vector<float>(logits[i..]), even);
                odd = Larger(new Vector<float>(logits[(i + Vector<float>.Count)..]), odd);
            }
            even = Larger(even, odd);
            for (var lane = 0; lane < Vector<float>.Count; lane++)
                best = even[lane] > best ? even[lane] : best;
        }
        for (; i < logits.Length; i++)
            best = logits[i] > best ? logits[i] : best;
        return float.IsNegativeInfinity(best) ? -1 : logits.IndexOf(best);
    }

    /// <summary>
    /// Writes the <paramref name="k"/> largest logits, largest first, equals by id, and returns how many there are: fewer where
    /// not that many are numbers above negative infinity. <paramref name="candidates"/> has places for more than
    /// k; twice as many, or 256 more, are enough.
    /// </summary>
    public static int Select(ReadOnlySpan<float> logits, int k, Span<LlamaTokenData> candidates)
    {
        var buffer = candidates[..Math.Min(candidates.Length, k + Math.Max(k, LeastSlack))];
        var count = 0;
        var threshold = float.NegativeInfinity;
        var i = 0;
        if (Vector.IsHardwareAccelerated)
        {
            var thresholdVector = new Vector<float>(threshold);
            for (; i <= logits.Length - Vector<float>.Count; i += Vector<float>.Count)
            {
                var vector = new Vector<float>(logits.Slice(i, Vector<float>.Count));
                if (!Vector.GreaterThanAny(vector, thresholdVector))
                    continue;
                for (var lane = i; lane < i + Vector<float>.Count; lane++)
                    Add(logits, lane, buffer);
                thresholdVector = new Vector<float>(threshold);
            }
        }
        for (; i < logits.Length; i++)
            Add(logits, i, buffer);
        var found = buffer[..count];
        found.Sort(LargestFirst);
        return Math.Min(k, count);

        void Add(ReadOnlySpan<float> logits, int id, Span<LlamaTokenData> buffer)
        {
            if (!(logits[id] > threshold))
                return;
            buffer[count++] = new LlamaTokenData { Id = id, Logit = logits[id] };
            if (count < buffer.Length)
                return;
            buffer.Sort(LargestFirst);
            count = k;
            threshold = buffer[k - 1].Logit;
        }
    }

    private static Vector<float> Larger(Vector<float> these, Vector<float> best) =>
        Vector.ConditionalSelect(Vector.GreaterThan(these, best), these, best);

    /// <summary>The order of candidates: by their logits, equals by id.</summary>
    public static int LargestFirst(LlamaTokenData a, LlamaTokenData b)
    {
        var byLogit = b.Logit.CompareTo(a.Logit);
        return byLogit != 0 ? byLogit : a.Id.CompareTo(b.Id);
    }
}
