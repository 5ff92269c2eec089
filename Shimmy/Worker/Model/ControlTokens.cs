using System.Buffers;

namespace Shimmy.Worker.Model;

/// <summary>Finds control tokens in the text of a prompt.</summary>
internal sealed class ControlTokens
{
    private readonly Dictionary<string, int> _tokens;
    private readonly Dictionary<int, int> _lengths;
    private readonly SearchValues<string> _texts;
    private readonly int[] _textLengths;

    public ControlTokens(Dictionary<string, int> tokens)
    {
        _tokens = tokens;
        _lengths = tokens.ToDictionary(pair => pair.Value, pair => pair.Key.Length);
        _texts = SearchValues.Create(tokens.Keys.ToArray(), StringComparison.Ordinal);
        _textLengths = tokens.Keys.Select(text => text.Length).Distinct().OrderDescending().ToArray();
    }

    /// <summary>Characters of a token's text.</summary>
    public int LengthOf(int token) => _lengths[token];

    /// <summary>
    /// The control tokens that lie outside all user ranges (which are in order and do not overlap), and how many others touch one.
    /// </summary>
    public (List<(int Start, int Token)> Ours, int Touching) Find(string text, List<(int Start, int End)> userRanges)
    {
        var ours = new List<(int, int)>();
        var touching = 0;
        var lookup = _tokens.GetAlternateLookup<ReadOnlySpan<char>>();
        var range = 0;
        var position = 0;
        while (text.AsSpan(position).IndexOfAny(_texts) is >= 0 and var offset)
        {
            var start = position + offset;
            position = start + 1;
            while (range < userRanges.Count && userRanges[range].End <= start)
                range++;
            // The longest token wins, as in llama.cpp; but a shorter one may end before the user's text begins.
            foreach (var length in _textLengths)
            {
                if (start + length > text.Length || !lookup.TryGetValue(text.AsSpan(start, length), out var token))
                    continue;
                if (range < userRanges.Count && userRanges[range].Start < start + length)
                {
                    touching++;
                    continue;
                }
                ours.Add((start, token));
                position = start + length;
                break;
            }
        }
        return (ours, touching);
    }
}
