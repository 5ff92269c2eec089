namespace Shimmy.Chat.Grammars;

/// <summary>
/// Validates GBNF before llama.cpp parses it. llama.cpp gives the reason of a refusal in its log only, and some grammars that it accepts
/// crash it: a count like <c>{5,3}</c> never ends, nested parentheses and long chains of rules overflow the stack, and left recursion
/// through nullable rules is not found and exhausts memory.
/// </summary>
internal static class GrammarCheck
{
    /// <summary>Parses and analyses a grammar. Throws <see cref="GrammarException"/> with line and column.</summary>
    public static ParsedGrammar Parse(string text)
    {
        var grammar = new GrammarParser(text).Parse();
        GrammarAnalysis.Check(text, grammar);
        return grammar;
    }

    /// <summary>The exception for an error at an offset of the text, with line and column.</summary>
    public static GrammarException At(string text, int offset, string problem)
    {
        var line = 1;
        var begin = 0;
        for (var i = 0; i < offset; i++)
        {
            if (text[i] == '\n' || (text[i] == '\r' && (i + 1 == text.Length || text[i + 1] != '\n')))
            {
                line++;
                begin = i + 1;
            }
        }
        var column = 1;
        for (var i = begin; i < offset; i++)
            column += char.IsLowSurrogate(text[i]) ? 0 : 1;
        return new GrammarException(line, column, problem);
    }
}

/// <summary>
/// Limits of grammars. llama.cpp's parser and sampler have few of their own: they recurse on the C stack, copy repeated elements, and
/// follow every path, so that a few lines can crash the worker or keep it busy for ever.
/// </summary>
internal static class GrammarLimits
{
    /// <summary>Longest grammar in characters.</summary>
    public const int Characters = 1 << 20;

    /// <summary>Deepest nesting of parentheses, into which llama.cpp's parser recurses.</summary>
    public const int Nesting = 100;

    /// <summary>llama.cpp's bound on repetitions (MAX_REPETITION_THRESHOLD in llama-grammar.cpp); counts must be below it.</summary>
    public const int Repetitions = 2000;

    /// <summary>Most rules, including those that are made of groups and repetitions.</summary>
    public const int Rules = 100_000;

    /// <summary>Most elements after expansion of repetitions: 8 bytes each, in three copies while llama.cpp parses.</summary>
    public const int Elements = 1_000_000;

    /// <summary>Longest chain of rules each of which begins with the next: llama.cpp's test for left recursion recurses along it.</summary>
    public const int LeftDepth = 4000;

    /// <summary>Most elements that llama.cpp's test for left recursion may visit; it visits shared rules again on every path.</summary>
    public const long LeftRecursionSteps = 20_000_000;

    /// <summary>Most ways in which one rule may begin: each is a parser stack that every token is tested against.</summary>
    public const long Beginnings = 20_000;
}
