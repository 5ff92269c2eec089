namespace Shimmy.Chat.Output.Tools;

/// <summary>Whether a text of a <see cref="ToolCallSyntax"/> stands at a place of an answer that is still growing.</summary>
internal enum MatchState
{
    /// <summary>It does not.</summary>
    No,

    /// <summary>It does.</summary>
    Yes,

    /// <summary>What there is so far may become it.</summary>
    Open,
}

/// <summary>Matches the texts of a syntax, which are lenient: white space is any or none, holes are filled.</summary>
internal static class LiteralMatch
{
    /// <summary>Whether a character may stand in the name of a function or an argument, or in an id.</summary>
    public static bool IsOfName(char c) => char.IsLetterOrDigit(c) || c is '_' or '-' or '.' or '/' or ':';

    /// <summary>Matches at a place; <paramref name="end"/> is where it ends. A text of white space alone matches always.</summary>
    public static MatchState At(ReadOnlySpan<char> answer, string literal, bool ended, out int end)
    {
        var at = 0;
        end = 0;
        for (var i = 0; i < literal.Length; i++)
        {
            if (char.IsWhiteSpace(literal[i]))
                continue;
            // Models put white space where the template has none and leave out what it has; only words need theirs kept apart.
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
