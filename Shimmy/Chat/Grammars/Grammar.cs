using System.Text;
using Shimmy.Engine;
using Shimmy.Engine.Grammars;

namespace Shimmy.Chat.Grammars;

/// <summary>
/// A GBNF grammar that <see cref="GrammarCheck"/> has accepted. The type is the proof: a text is checked where it enters or is compiled,
/// and no later stage of the server checks it again. llama.cpp parses it for itself, in the worker.
/// </summary>
internal sealed record Grammar
{
    private Grammar(string text) => Text = text;

    /// <summary>The grammar's text, as llama.cpp takes it.</summary>
    public string Text { get; }

    /// <summary>
    /// The check of a finished answer that the grammar let pass, by the schema that it was made of; null where it says all of the schema.
    /// The function gives null for an answer that satisfies the schema.
    /// </summary>
    public Func<string, string?>? ProblemOf { get; init; }

    /// <summary>Checks a text. Throws <see cref="GrammarException"/> with line and column where llama.cpp could not use it.</summary>
    public static Grammar Parse(string text) => Parse(text, out _);

    /// <summary>The same, with the rules that were parsed.</summary>
    public static Grammar Parse(string text, out ParsedGrammar rules)
    {
        rules = GrammarCheck.Parse(text);
        return new Grammar(text);
    }

    /// <summary>
    /// Checks a text of a request. Throws <see cref="EngineException"/> (<see cref="EngineFailure.InvalidRequest"/>, option <c>grammar</c>)
    /// where llama.cpp could not use it.
    /// </summary>
    /// <param name="text">The grammar.</param>
    /// <param name="field">The field that has it, for the error.</param>
    public static Grammar Require(string text, string field = "grammar")
    {
        try
        {
            return Parse(text);
        }
        catch (GrammarException e)
        {
            throw new EngineException(EngineFailure.InvalidRequest, $"{field}: {e.Message}", e) { Option = field };
        }
    }

    /// <summary>
    /// The union with another grammar: it accepts what either accepts. Rules are renamed, so that names of the two cannot collide. The
    /// union is checked anew: together, two grammars may exceed a limit that each keeps.
    /// </summary>
    public Grammar Or(Grammar other)
    {
        var text = new StringBuilder("root ::= a-root | b-root\n");
        AppendRenamed(text, Text, "a-");
        AppendRenamed(text, other.Text, "b-");
        return Require(text.ToString());
    }

    // Every word outside literals, classes, counts and comments is the name of a rule.
    private static void AppendRenamed(StringBuilder text, string grammar, string prefix)
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
                var c when GrammarParser.IsWord(c) => PastWord(grammar, at),
                _ => at + 1,
            };
            if (GrammarParser.IsWord(grammar[begin]))
                text.Append(prefix);
            text.Append(grammar, begin, at - begin);
        }
        text.Append('\n');
    }

    private static int PastWord(string text, int at)
    {
        while (at < text.Length && GrammarParser.IsWord(text[at]))
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
