namespace Shimmy.Engine.Llama.Speculation;

/// <summary>
/// Puts tokens behind a sequence's next one that are likely to follow, so that one decode computes them all. Whether they do follow is for
/// the sequence's own sampler to say, token by token in order; so the text is what it would be without. How many are worth their time is
/// reckoned from how often such tokens came true in this sequence and from what decodes of each size take on this machine: none, mostly,
/// where the text does not repeat.
/// </summary>
internal sealed class Speculator
{
    // Few lengths, so that the time of each is known soon.
    private static readonly int[] Lengths = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32];

    // What must be gained, in tokens, for the risk of the reckoning to be taken: a share of the price and a little.
    private const double Margin = 1.05;
    private const double LeastGain = 0.05;

    private readonly DecodeCosts _costs = new();
    private bool _paused;

    /// <summary>Learns from a decode that computed only next tokens and drafts.</summary>
    public void Observe(int tokens, TimeSpan elapsed) => _costs.Observe(tokens, elapsed.TotalSeconds);

    /// <summary>Drafts nothing in the next turn: cells are short.</summary>
    public void Pause() => _paused = true;

    /// <summary>Fills the drafts of sequences that generate, with no more than <paramref name="room"/> tokens together.</summary>
    public void Draft(List<Sequence> sequences, int room)
    {
        var total = sequences.Count;
        room = Math.Min(room, DecodeCosts.Most - total);
        foreach (var sequence in sequences)
        {
            sequence.Lookup ??= new PromptLookup();
            sequence.Lookup.Follow(sequence.Tokens);
            if (_paused)
                continue;
            var most = Math.Min(room, sequence.MaxTokens - sequence.Generated - 1);
            var count = WorthWhile(sequence.Lookup, sequences.Count, total, most);
            if (count == 0)
                continue;
            sequence.Lookup.Foretell(sequence.Tokens, count, sequence.Draft);
            total += count;
            room -= count;
        }
        _paused = false;
    }

    // The length whose tokens are worth most beyond what else could be generated in the time that they take.
    private int WorthWhile(PromptLookup lookup, int sequences, int total, int most)
    {
        var match = lookup.Match;
        if (match == 0 || most <= 0)
            return 0;
        var (best, bestGain) = (0, LeastGain);
        var perSecond = sequences / _costs.Of(sequences);
        var (expected, chance, drafted) = (0.0, 1.0, 0);
        foreach (var length in Lengths)
        {
            if (length > most)
                break;
            for (; drafted < length; drafted++)
                expected += chance *= lookup.Acceptance.Of(match + drafted);
            var price = perSecond * (_costs.Of(total + length) - _costs.Of(total));
            // Nothing was decoded yet: the first few tokens tell what one takes.
            if (double.IsNaN(price))
                return 0;
            var gain = expected - Margin * price;
            if (gain > bestGain)
                (best, bestGain) = (length, gain);
        }
        return best;
    }
}
