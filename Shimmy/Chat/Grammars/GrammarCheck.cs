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
