using System.Buffers;
using System.Text;

namespace Shimmy.Worker.Model;

/// <summary>
/// Tokens of punctuation and spaces, and those that are the same and one character more: of <c>{</c>, <c>{"</c>. Where a grammar leaves that
/// character alone to follow, a model has learnt to write the longer token, and behind the shorter one it has something else in mind.
/// Letters and digits are left out: how a word is cut is the model's own business.
/// </summary>
internal sealed class TokenExtensions
{
    private static readonly SearchValues<byte> Marks = SearchValues.Create("\t\n !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"u8);

    private readonly Dictionary<int, Dictionary<char, int>> _longer = [];

    /// <summary>Finds them in a vocabulary.</summary>
    public TokenExtensions(Vocabulary vocabulary)
    {
        var byText = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var token = 0; token < vocabulary.Size; token++)
        {
            var text = vocabulary.Spelled(token).Span;
            if (!text.IsEmpty && text.IndexOfAnyExcept(Marks) < 0 && !vocabulary.IsControl(token) && !vocabulary.IsEnd(token) && !vocabulary.IsByte(token))
                byText.TryAdd(Encoding.ASCII.GetString(text), token);
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
