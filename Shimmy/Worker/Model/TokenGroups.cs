using System.Buffers;
using System.Text;

namespace Shimmy.Worker.Model;

/// <summary>
/// The tokens of a vocabulary grouped by the first character of their text. A grammar that forbids a character forbids every token that
/// begins with it, so one test of the token that is just that character (the speaker) holds for the group: of 150,000 tokens some thousands
/// are tested.
/// </summary>
internal sealed class TokensByFirstRune
{
    private readonly List<(Rune Character, int Speaker, int[] Others)> _groups = [];
    private readonly List<int> _single = [];

    /// <summary>Groups the tokens of a vocabulary.</summary>
    public TokensByFirstRune(Vocabulary vocabulary)
    {
        var byCharacter = new Dictionary<Rune, (int Speaker, List<int> Others)>();
        for (var token = 0; token < vocabulary.Size; token++)
        {
            var text = vocabulary.Spelled(token).Span;
            // Tokens that end an answer, or that are no text, are tested each by itself.
            if (vocabulary.IsControl(token) || vocabulary.IsEnd(token)
                || Rune.DecodeFromUtf8(text, out var first, out var length) != OperationStatus.Done)
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

    /// <summary>Tokens without a group, each tested by itself.</summary>
    public IReadOnlyList<int> Single => _single;

    /// <summary>
    /// The groups by character in ascending order: the token that is just that character, and the others that begin with it.
    /// </summary>
    public IReadOnlyList<(Rune Character, int Speaker, int[] Others)> Groups => _groups;
}

/// <summary>
/// For each token of punctuation and spaces, the tokens that are one character longer: for <c>{</c> among others <c>{"</c>. Where a grammar
/// allows that character only, the longer token is the one that the model learnt to write; behind the shorter one it expects other text.
/// Letters and digits are left out: how words are split into tokens is left to the model.
/// </summary>
internal sealed class TokenExtensions
{
    private static readonly SearchValues<byte> Marks = SearchValues.Create("\t\n !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"u8);

    private readonly Dictionary<int, Dictionary<char, int>> _longer = [];

    /// <summary>Finds the pairs in a vocabulary.</summary>
    public TokenExtensions(Vocabulary vocabulary)
    {
        var byText = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var token = 0; token < vocabulary.Size; token++)
        {
            var text = vocabulary.Spelled(token).Span;
            if (!text.IsEmpty && text.IndexOfAnyExcept(Marks) < 0 && !vocabulary.IsControl(token)
                && !vocabulary.IsEnd(token) && !vocabulary.IsByte(token))
            {
                byText.TryAdd(Encoding.ASCII.GetString(text), token);
            }
        }
        foreach (var (text, token) in byText)
        {
            if (!byText.TryGetValue(text[..^1], out var shorter))
                continue;
            if (!_longer.TryGetValue(shorter, out var longer))
                _longer[shorter] = longer = [];
            longer[text[^1]] = token;
        }
    }

    /// <summary>The tokens that are this one and one character more, by that character; none for most.</summary>
    public IReadOnlyDictionary<char, int>? Of(int token) => _longer.GetValueOrDefault(token);
}
