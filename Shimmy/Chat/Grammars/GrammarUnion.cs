using System.Text;

namespace Shimmy.Chat.Grammars;

/// <summary>Grammars that allow what either of two others allows.</summary>
internal static class GrammarUnion
{
    /// <summary>The grammar of both; the rules of each keep apart by their names. Both must be valid.</summary>
    public static string Of(string first, string second)
    {
        var text = new StringBuilder("root ::= a-root | b-root\n");
        Append(text, first, "a-");
        Append(text, second, "b-");
        return text.ToString();
    }

    // Names stand as they are outside literals, classes, counts and comments.
    private static void Append(StringBuilder text, string grammar, string prefix)
    {
        var at = 0;
        while (at < grammar.Length)
        {
            var begin = at;
            at = grammar[at] switch
            {
                '"' => PastQuoted(grammar, at, '"'),
                '[' => PastQuoted(grammar, at, ']'),
                '{' => Past(grammar, at, '}'),
                '#' => Past(grammar, at, '\n'),
                var c when IsWord(c) => PastWord(grammar, at),
                _ => at + 1,
            };
            if (IsWord(grammar[begin]))
                text.Append(prefix);
            text.Append(grammar, begin, at - begin);
        }
        text.Append('\n');
    }

    private static bool IsWord(char c) => char.IsAsciiLetterOrDigit(c) || c == '-';

    private static int PastWord(string text, int at)
    {
        while (at < text.Length && IsWord(text[at]))
            at++;
        return at;
    }

    private static int Past(string text, int at, char end) => text.IndexOf(end, at) is >= 0 and var found ? found + 1 : text.Length;

    private static int PastQuoted(string text, int at, char end)
    {
        for (at++; at < text.Length && text[at] != end; at++)
        {
            if (text[at] == '\\')
                at++;
        }
        return Math.Min(at + 1, text.Length);
    }
}
