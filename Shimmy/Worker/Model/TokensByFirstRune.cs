using System.Buffers;
using System.Text;

namespace Shimmy.Worker.Model;

/// <summary>
/// The tokens of a vocabulary by the first character of their text. A grammar that does not take a character takes no token that begins
/// with it: one test of the token that is just that character speaks for all of them. Of 150,000 tokens, some thousands are tested instead.
/// </summary>
internal sealed class TokensByFirstRune
{
    private readonly List<(Rune Character, int Speaker, int[] Others)> _groups = [];
    private readonly List<int> _single = [];

    /// <summary>Sorts the tokens of a vocabulary.</summary>
    public TokensByFirstRune(Vocabulary vocabulary)
    {
        var byCharacter = new Dictionary<Rune, (int Speaker, List<int> Others)>();
        for (var token = 0; token < vocabulary.Size; token++)
        {
            var text = vocabulary.Spelled(token).Span;
            // Tokens that end an answer, or that are no text, are tested each by itself.
            if (vocabulary.IsControl(token) || vocabulary.IsEnd(token) || Rune.DecodeFromUtf8(text, out var first, out var length) != OperationStatus.Done)
            {
                _single.Add(token);
                continue;
            }
            if (!byCharacter.TryGetValue(first, out var group))
                group = (-1, []);
            if (length == text.Length && group.Speaker < 0)
                group.Speaker = token;
            else
                group.Others.Add(token);
            byCharacter[first] = group;
        }
        foreach (var (character, (speaker, others)) in byCharacter.OrderBy(group => group.Key))
        {
            if (speaker < 0)
                _single.AddRange(others);
            else
                _groups.Add((character, speaker, [.. others]));
        }
    }

    /// <summary>Tokens that speak for none but themselves.</summary>
    public IReadOnlyList<int> Single => _single;

    /// <summary>For each character, in their order, the token that is just that, and the others that begin with it.</summary>
    public IReadOnlyList<(Rune Character, int Speaker, int[] Others)> Groups => _groups;
}
