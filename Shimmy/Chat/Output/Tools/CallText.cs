namespace Shimmy.Chat.Output.Tools;

/// <summary>Result of matching a text of a <see cref="ToolCallSyntax"/> against an answer that is still growing.</summary>
internal enum MatchState
{
    /// <summary>No match.</summary>
    No,

    /// <summary>A match.</summary>
    Yes,

    /// <summary>Undecided: more text is needed.</summary>
    Open,
}

/// <summary>Lenient matching of the texts of a syntax: white space matches any or none, placeholders match names and ids.</summary>
internal static class LiteralMatch
{
    /// <summary>Whether a character may be part of an id or of the name of a function or argument.</summary>
    public static bool IsOfName(char c) => char.IsLetterOrDigit(c) || c is '_' or '-' or '.' or '/' or ':';

    /// <summary>
    /// Matches at the start of <paramref name="answer"/>; <paramref name="end"/> is the length of the match. A literal of only white space
    /// always matches.
    /// </summary>
    public static MatchState At(ReadOnlySpan<char> answer, string literal, bool ended, out int end)
    {
        var at = 0;
        end = 0;
        for (var i = 0; i < literal.Length; i++)
        {
            if (char.IsWhiteSpace(literal[i]))
                continue;
            // Models add white space that the template does not have, and leave out white space that it has.
            while (at < answer.Length && char.IsWhiteSpace(answer[at]))
                at++;
            if (literal[i] is >= ToolCallSyntax.IdHole and <= ToolCallSyntax.KeyHole)
            {
                var from = at;
                while (at < answer.Length && IsOfName(answer[at]))
                    at++;
                if (at == answer.Length && !ended)
                    return MatchState.Open;
                if (at == from)
                    return MatchState.No;
                continue;
            }
            if (at == answer.Length)
                return ended ? MatchState.No : MatchState.Open;
            if (answer[at++] != literal[i])
                return MatchState.No;
        }
        end = at;
        return MatchState.Yes;
    }
}
