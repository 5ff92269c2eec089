using System.Runtime.InteropServices;
using Shimmy.Worker.Model;
using Shimmy.Worker.Sequences;

namespace Shimmy.Worker.Speculation;

/// <summary>
/// Puts tokens behind a sequence's next one that are likely to follow, so that one decode computes them all. Whether they do follow is for
/// the sequence's own sampler to say, token by token in order; so the text is what it would be without. How many are worth their time is
/// reckoned from how often such tokens came true in this sequence and from what decodes of each size take on this machine: none, mostly,
/// where the text does not repeat and no draft model is there.
/// </summary>
internal sealed class Speculator(Vocabulary vocabulary, DraftModel? draftModel)
{
    // Few lengths, so that the time of each is known soon.
    private static readonly int[] Lengths = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32];

    // A draft model takes its time for each token.
    private const int LongestProposal = 16;

    // What must be gained, in tokens, for the risk of the reckoning to be taken: a share of the price and a little.
    private const double Margin = 1.05;
    private const double LeastGain = 0.05;

    private readonly DecodeCosts _costs = new();
    private readonly AcceptanceRate _experience = new();
    private readonly List<(Sequence Sequence, int Count)> _wishes = [];

    /// <summary>Learns from a decode that computed only next tokens and drafts.</summary>
    public void Observe(int tokens, TimeSpan elapsed) => _costs.Observe(tokens, elapsed.TotalSeconds);

    /// <summary>Fills the drafts of sequences that generate, with no more than <paramref name="room"/> tokens together.</summary>
    public void Draft(List<Sequence> sequences, int room)
    {
        var (total, perSecond) = (sequences.Count, sequences.Count / _costs.Of(sequences.Count));
        room = Math.Min(room, DecodeCosts.Most - total);
        _wishes.Clear();
        foreach (var sequence in sequences)
        {
            var lookup = sequence.Lookup ??= new PromptLookup(_experience);
            lookup.Follow(sequence.Tokens);
            var most = Math.Min(room, sequence.MaxTokens - sequence.Generated - 1);
            // Before anything was decoded, nothing is known of what a token takes.
            if (most <= 0 || !double.IsFinite(perSecond))
                continue;
            var match = lookup.Match;
            // What stood behind the end of an answer follows no end of this one.
            lookup.Predict(sequence.Tokens, Math.Min(most, Lengths[^1]), sequence.Draft);
            if (sequence.Draft.FindIndex(vocabulary.IsEnd) is >= 0 and var end)
                sequence.Draft.RemoveRange(end, sequence.Draft.Count - end);
            var (count, gain) = WorthWhile(sequence.Draft.Count, i => lookup.AcceptanceRate.Of(match + i), 0);
            if (draftModel is not null)
            {
                var (proposed, more) = Proposal(sequence, Math.Min(most, LongestProposal));
                if (more > gain)
                {
                    _wishes.Add((sequence, proposed));
                    (count, total, room) = (0, total + proposed, room - proposed);
                }
            }
            sequence.Draft.RemoveRange(count, sequence.Draft.Count - count);
            (total, room) = (total + count, room - count);
        }
        if (_wishes.Count > 0)
            draftModel!.Propose(_wishes);
        foreach (var (sequence, _) in CollectionsMarshal.AsSpan(_wishes))
            sequence.DraftIsProposed = sequence.Draft.Count > 0;

        (int Count, double Gain) Proposal(Sequence sequence, int most)
        {
            var trust = sequence.DraftBackoff ??= new DraftBackoff();
            if (trust.Rests(sequence.Generated))
                return default;
            var (proposed, gain) = WorthWhile(most, _ => trust.Chance, draftModel!.SecondsPerToken);
            if (proposed == 0)
                trust.Rest(sequence.Generated);
            return (proposed, gain);
        }

        // The length whose tokens are worth most beyond what else could be generated in the time that they take.
        (int Count, double Gain) WorthWhile(int most, Func<int, double> chanceOf, double secondsEach)
        {
            var best = (Count: 0, Gain: LeastGain);
            var (expected, chance, drafted) = (0.0, 1.0, 0);
            for (var i = 0; i < Lengths.Length && drafted < most; i++)
            {
                var length = Math.Min(Lengths[i], most);
                for (; drafted < length; drafted++)
                    expected += chance *= chanceOf(drafted);
                var price = perSecond * (_costs.Of(total + length) - _costs.Of(total) + length * secondsEach);
                var gain = expected - Margin * price;
                if (gain > best.Gain)
                    best = (length, gain);
            }
            return best.Count == 0 ? default : best;
        }
    }

    /// <summary>Learns how many tokens of a sequence's draft came.</summary>
    public static void Judge(Sequence sequence, int accepted)
    {
        if (sequence.DraftIsProposed)
            sequence.DraftBackoff?.Note(sequence.Draft.Count, accepted);
    }
}
