namespace Shimmy.Chat.Grammars;

/// <summary>
/// Reads a GBNF grammar before llama.cpp does. llama.cpp says why it refuses one in its log alone, and some that it takes bring it
/// down: a count like <c>{5,3}</c> never ends, nested parentheses and long chains of rules overflow the stack, and left recursion
/// through rules that may be empty is not found and fills the memory.
/// </summary>
internal static class GrammarCheck
{
    /// <summary>Parses the grammar. Throws <see cref="GrammarException"/> with line and column where it cannot be used.</summary>
    public static ParsedGrammar Parse(string text)
    {
        var grammar = new GrammarParser(text).Parse();
        GrammarAnalysis.Check(text, grammar);
        return grammar;
    }

    /// <summary>The fault at an offset of the text, with its line and column.</summary>
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
/// What a grammar may cost. The native parser and sampler have few limits of their own: they recurse on the C stack, copy what is
/// repeated, and follow every path, so that a few lines can take the worker down or keep it busy for ever.
/// </summary>
internal static class GrammarLimits
{
    /// <summary>Longest grammar in characters.</summary>
    public const int Characters = 1 << 20;

    /// <summary>Deepest nesting of parentheses; the native parser recurses into them.</summary>
    public const int Nesting = 100;

    /// <summary>llama.cpp's own bound on repetitions (MAX_REPETITION_THRESHOLD in llama-grammar.cpp): counts stay below it.</summary>
    public const int Repetitions = 2000;

    /// <summary>Most rules, those included that groups and repetitions become.</summary>
    public const int Rules = 100_000;

    /// <summary>Most elements once repetitions are written out; 8 bytes each, held three times while llama.cpp parses.</summary>
    public const int Elements = 1_000_000;

    /// <summary>Longest chain of rules that begin with one another: llama.cpp's test for left recursion recurses along it.</summary>
    public const int LeftDepth = 4000;

    /// <summary>Most elements that llama.cpp's test for left recursion may look at; it looks at shared rules again on every path.</summary>
    public const long LeftRecursionSteps = 20_000_000;

    /// <summary>Most ways in which one rule may begin: each is a stack that every token is tested against.</summary>
    public const long Beginnings = 20_000;
}
