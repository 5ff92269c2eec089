using System.Runtime.InteropServices;
using Shimmy.Worker.Model;
using Shimmy.Worker.Sequences;

namespace Shimmy.Worker.Speculation;

/// <summary>
/// Speculative decoding: drafts tokens behind a sequence's next one, so that one decode computes them all. The sequence's own sampler then
/// accepts or rejects each in order, so the text is the same as without drafts. The length of a draft is chosen by its expected gain, from
/// the acceptance rate in this sequence and the measured time of decodes of each size: mostly 0 where the text does not repeat and there is
/// no draft model.
/// </summary>
internal sealed class Speculator(Vocabulary vocabulary, DraftModel? draftModel)
{
    // Few lengths, so that each is measured soon.
    private static readonly int[] Lengths = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32];

    // In tokens; a draft model computes one decode for each.
    private const int LongestProposal = 16;

    // The expected gain in tokens must exceed the price by this factor and this constant, since both are estimates.
    private const double Margin = 1.05;
    private const double LeastGain = 0.05;

    private readonly DecodeCosts _costs = new();
    private readonly AcceptanceRate _experience = new();
    private readonly List<(Sequence Sequence, int Count)> _wishes = [];

    /// <summary>Records the time of a decode that computed next tokens and drafts only.</summary>
    public void Observe(int tokens, TimeSpan elapsed) => _costs.Observe(tokens, elapsed.TotalSeconds);

    /// <summary>Fills the drafts of sequences that generate, with no more than <paramref name="free"/> tokens together.</summary>
    public void Draft(List<Sequence> sequences, int free)
    {
        var (total, perSecond) = (sequences.Count, sequences.Count / _costs.Of(sequences.Count));
        free = Math.Min(free, DecodeCosts.Most - total);
        _wishes.Clear();
        foreach (var sequence in sequences)
        {
            var lookup = sequence.Lookup ??= new PromptLookup(_experience);
            lookup.Follow(sequence.Tokens);
            var most = Math.Min(free, sequence.MaxTokens - sequence.Generated - 1);
            // Before the first decode the time of a token is unknown.
            if (most <= 0 || !double.IsFinite(perSecond))
                continue;
            var match = lookup.Match;
            // A predicted end of the answer ends the draft, as a predicted medium does.
            lookup.Predict(sequence.Tokens, Math.Min(most, Lengths[^1]), sequence.Draft);
            if (sequence.Draft.FindIndex(token => token < 0 || vocabulary.IsEnd(token)) is >= 0 and var end)
                sequence.Draft.RemoveRange(end, sequence.Draft.Count - end);
            var (count, gain) = WorthWhile(sequence.Draft.Count, i => lookup.AcceptanceRate.Of(match + i), 0);
            if (draftModel is not null)
            {
                var (proposed, more) = Proposal(sequence, Math.Min(most, LongestProposal));
                if (more > gain)
                {
                    _wishes.Add((sequence, proposed));
                    (count, total, free) = (0, total + proposed, free - proposed);
                }
            }
            sequence.Draft.RemoveRange(count, sequence.Draft.Count - count);
            (total, free) = (total + count, free - count);
        }
        if (_wishes.Count > 0)
            draftModel!.Propose(_wishes);
        foreach (var (sequence, _) in CollectionsMarshal.AsSpan(_wishes))
            sequence.DraftIsProposed = sequence.Draft.Count > 0;

        (int Count, double Gain) Proposal(Sequence sequence, int most)
        {
            var trust = sequence.DraftBackoff ??= new DraftBackoff();
            if (trust.IsPaused(sequence.Generated))
                return default;
            var (proposed, gain) = WorthWhile(most, _ => trust.Chance, draftModel!.SecondsPerToken);
            if (proposed == 0)
                trust.Pause(sequence.Generated);
            return (proposed, gain);
        }

        // The length with the highest gain: expected accepted tokens less those that could be generated in the same time without it.
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

    /// <summary>Records how many tokens of a sequence's draft were accepted.</summary>
    public static void Judge(Sequence sequence, int accepted)
    {
        if (sequence.DraftIsProposed)
            sequence.DraftBackoff?.Note(sequence.Draft.Count, accepted);
    }
}
