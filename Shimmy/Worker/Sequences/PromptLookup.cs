using System.Runtime.InteropServices;

namespace Shimmy.Worker.Sequences;

/// <summary>
/// Prompt lookup decoding: predicts the next tokens of a sequence from its own text. Where its last tokens occurred before, the tokens that
/// followed then are predicted. Every token is compared with the prediction, drafted or not, so that the acceptance rate is known before a
/// draft is computed.
/// </summary>
/// <param name="experience">Acceptance rate of all sequences of the model; null starts from a guess.</param>
internal sealed class PromptLookup(AcceptanceRate? experience = null)
{
    /// <summary>Least length of a match that predicts, in tokens.</summary>
    public const int ShortestMatch = 2;

    // Two places that agree for longer than this are equally good.
    private const int LongestMatch = 64;

    // Earlier places of the same tokens that are looked at, the latest first.
    private const int MostPlaces = 32;

    // The place behind the last occurrence of two tokens, and for each place the one before it.
    private readonly Dictionary<(int, int), int> _latest = [];
    private readonly List<int> _earlier = [];
    private int _source = -1;

    /// <summary>How often its predictions were right, by the length of the match.</summary>
    public AcceptanceRate AcceptanceRate { get; } = new(experience);

    /// <summary>Length of the match behind the current prediction; 0 where there is none.</summary>
    public int Match { get; private set; }

    /// <summary>Reads the tokens that were added since the last call. Those of the first call are the prompt.</summary>
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

    /// <summary>Appends up to <paramref name="count"/> predicted tokens to a list.</summary>
    public void Predict(ReadOnlySpan<int> tokens, int count, List<int> predicted)
    {
        if (_source < 0)
            return;
        var begin = predicted.Count;
        for (var i = 0; i < count; i++)
        {
            // Behind the last token the repetition itself is repeated.
            var at = _source + i;
            predicted.Add(at < tokens.Length ? tokens[at] : predicted[begin + at - tokens.Length]);
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
