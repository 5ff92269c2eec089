using System.Numerics;
using System.Runtime.Intrinsics;

namespace Shimmy.Worker.Sampling;

/// <summary>Which tokens of a vocabulary may follow: a bit for each.</summary>
/// <param name="vocabulary">Tokens of the vocabulary.</param>
internal sealed class TokenMask(int vocabulary)
{
    // So many are looked at one by one sooner than all logits are.
    private const int MostFew = 512;

    private readonly ulong[] _words = new ulong[(vocabulary + 63) / 64];
    private int[]? _few;

    /// <summary>The tokens, ascending, where they are few; empty where they are many. To be asked once all are added.</summary>
    public int[] Few => _few ??= FindFew();

    /// <summary>Lets a token follow.</summary>
    public void Add(int token) => _words[token >> 6] |= 1UL << (token & 63);

    /// <summary>Whether a token may follow.</summary>
    public bool Has(int token) => (_words[token >> 6] >> (token & 63) & 1) != 0;

    /// <summary>Sets the logits of the tokens that may not follow to negative infinity.</summary>
    public void Apply(Span<float> logits)
    {
        var (lanes, forbidden) = (Vector128.Create(1, 2, 4, 8), Vector128.Create(float.NegativeInfinity));
        for (var word = 0; word < _words.Length; word++)
        {
            var allowed = _words[word];
            var tokens = logits[(word << 6)..Math.Min(logits.Length, (word + 1) << 6)];
            if (allowed == 0)
            {
                tokens.Fill(float.NegativeInfinity);
                continue;
            }
            if (allowed == ulong.MaxValue)
                continue;
            var i = 0;
            for (; i + 4 <= tokens.Length; i += 4)
            {
                var four = tokens.Slice(i, 4);
                var mayFollow = Vector128.Equals(Vector128.Create((int)(allowed >> i)) & lanes, lanes).AsSingle();
                Vector128.ConditionalSelect(mayFollow, Vector128.Create<float>(four), forbidden).CopyTo(four);
            }
            for (; i < tokens.Length; i++)
            {
                if ((allowed >> i & 1) == 0)
                    tokens[i] = float.NegativeInfinity;
            }
        }
    }

    private int[] FindFew()
    {
        var count = 0;
        foreach (var word in _words)
            count += BitOperations.PopCount(word);
        if (count > MostFew)
            return [];
        var few = new List<int>(count);
        for (var word = 0; word < _words.Length; word++)
        {
            for (var left = _words[word]; left != 0; left &= left - 1)
                few.Add((word << 6) + BitOperations.TrailingZeroCount(left));
        }
        return [.. few];
    }
}
