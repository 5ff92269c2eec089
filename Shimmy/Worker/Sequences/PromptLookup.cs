using System.Runtime.InteropServices;

namespace Shimmy.Worker.Sequences;

/// <summary>
/// Foretells the next tokens of one sequence from what stands in it already: where its last tokens stood before, what followed them then
/// may follow again (prompt lookup decoding). Every token that comes is held against what was foretold, drafted or not, so that it is known
/// how far to trust it before anything is spent on it.
/// </summary>
/// <param name="experience">What the lookups of other sequences saw; null begins anew.</param>
internal sealed class PromptLookup(AcceptanceRate? experience = null)
{
    /// <summary>Tokens that must agree before anything is foretold.</summary>
    public const int ShortestMatch = 2;

    // Two places that agree for longer than this are equally good.
    private const int LongestMatch = 64;

    // Earlier places of the same tokens that are looked at, the latest first.
    private const int MostPlaces = 32;

    // The place behind the last occurrence of two tokens, and for each place the one before it.
    private readonly Dictionary<(int, int), int> _latest = [];
    private readonly List<int> _earlier = [];
    private int _source = -1;

    /// <summary>How far its foretelling came true, by the length of the match.</summary>
    public AcceptanceRate AcceptanceRate { get; } = new(experience);

    /// <summary>Tokens that agreed where the foretold ones come from; 0 where none are foretold.</summary>
    public int Match { get; private set; }

    /// <summary>Takes note of the tokens that were added since the last call. Those of the first call are the prompt.</summary>
    public void Follow(ReadOnlySpan<int> tokens)
    {
        var prompt = _earlier.Count == 0;
        for (var i = _earlier.Count; i < tokens.Length; i++)
        {
            if (_source >= 0)
                Judge(tokens[_source] == tokens[i]);
            var latest = Add(tokens[..(i + 1)]);
            if (_source < 0 && (!prompt || i == tokens.Length - 1))
                Search(tokens[..(i + 1)], latest);
        }
    }

    /// <summary>Writes up to <paramref name="count"/> foretold tokens.</summary>
    public void Predict(ReadOnlySpan<int> tokens, int count, List<int> foretold)
    {
        if (_source < 0)
            return;
        var begin = foretold.Count;
        for (var i = 0; i < count; i++)
        {
            // Behind the last token the repetition itself is repeated.
            var at = _source + i;
            foretold.Add(at < tokens.Length ? tokens[at] : foretold[begin + at - tokens.Length]);
        }
    }

    private void Judge(bool hit)
    {
        AcceptanceRate.Note(Match, hit);
        Match = hit ? Match + 1 : 0;
        _source = hit ? _source + 1 : -1;
    }

    private int Add(ReadOnlySpan<int> tokens)
    {
        var place = tokens.Length;
        if (place < ShortestMatch)
        {
            _earlier.Add(-1);
            return -1;
        }
        ref var latest = ref CollectionsMarshal.GetValueRefOrAddDefault(_latest, (tokens[^2], tokens[^1]), out var known);
        var before = known ? latest : -1;
        latest = place;
        _earlier.Add(before);
        return before;
    }

    private void Search(ReadOnlySpan<int> tokens, int place)
    {
        for (var i = 0; i < MostPlaces && place > 0; i++)
        {
            var match = ShortestMatch;
            while (match < LongestMatch && match < place && tokens[place - 1 - match] == tokens[^(match + 1)])
                match++;
            if (match > Match)
                (_source, Match) = (place, match);
            place = _earlier[place - 1];
        }
    }
}
