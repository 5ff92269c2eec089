using Shimmy.Engine.Grammars;

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
}
