using static Shimmy.Chat.Grammars.GrammarBuilder;

namespace Shimmy.Chat.Grammars;

/// <summary>
/// Alternatives of many literals, as a prefix tree: each alternative costs a pass over the vocabulary wherever it can begin.
/// </summary>
internal static class Literals
{
    // Nesting of parentheses is limited; below this depth, the rest of the texts is plain alternatives.
    private const int Deepest = 24;

    /// <summary>Matches one of these texts; <see cref="Fragment.Nothing"/> where there is none.</summary>
    public static Fragment AnyOf(IEnumerable<string> texts)
    {
        var sorted = texts.Distinct().Order(StringComparer.Ordinal).ToArray();
        return Tree(sorted, 0, Deepest);
    }

    // The texts are sorted and share a prefix.
    private static Fragment Tree(ReadOnlySpan<string> texts, int from, int depth)
    {
        if (texts.Length == 0)
            return Fragment.Nothing;
        var alternatives = new List<Fragment>();
        while (texts.Length > 0)
        {
            if (depth == 0 || texts[0].Length == from)
            {
                alternatives.Add(Literal(texts[0][from..]));
                texts = texts[1..];
                continue;
            }
            var count = 1;
            while (count < texts.Length && texts[count][from] == texts[0][from])
                count++;
            var to = Agreement(texts[0], texts[count - 1], from);
            alternatives.Add(Sequence(Literal(texts[0][from..to]), Tree(texts[..count], to, depth - 1)));
            texts = texts[count..];
        }
        return Choice(alternatives);
    }

    // In a sorted list the first and the last have the shortest common prefix. It must not end inside a surrogate pair.
    private static int Agreement(string one, string other, int from)
    {
        var to = from;
        while (to < one.Length && to < other.Length && one[to] == other[to])
            to++;
        return to > from && char.IsHighSurrogate(one[to - 1]) && to < one.Length ? to - 1 : to;
    }
}
