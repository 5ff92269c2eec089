using System.Text;

namespace Shimmy.Chat.Output.Tools;

/// <summary>
/// The text of tool calls as far as it has come, and how far it is read. Each step is a coroutine, which yields where it needs more text
/// and goes on there; what it found is in the properties afterwards.
/// </summary>
internal sealed class CallText
{
    private readonly StringBuilder _text = new();

    /// <summary>How far the text is read.</summary>
    public int Position { get; set; }

    /// <summary>Whether no more text comes.</summary>
    public bool Ended { get; set; }

    /// <summary>Whether there is text that is not read.</summary>
    public bool HasMore => Position < _text.Length;

    /// <summary>The text that is not read.</summary>
    public string Ahead => _text.ToString(Position, _text.Length - Position);

    /// <summary>Whether the last <see cref="Skip"/> found its text.</summary>
    public bool Matched { get; private set; }

    /// <summary>The text that the last <see cref="ReadValue"/> or <see cref="ReadUntil"/> found.</summary>
    public string Value { get; private set; } = "";

    /// <summary>The text that ended the last <see cref="ReadUntil"/>; null where the answer did.</summary>
    public string? Until { get; private set; }

    /// <summary>Length of <see cref="Until"/> in the answer.</summary>
    public int UntilLength { get; private set; }

    /// <summary>Adds text.</summary>
    public void Append(string text) => _text.Append(text);

    /// <summary>Whether this character is next.</summary>
    public bool IsNext(char c) => HasMore && _text[Position] == c;

    /// <summary>Reads all that there is.</summary>
    public void TakeAll() => Position = _text.Length;

    /// <summary>Skips a text of the syntax if it is next; where <paramref name="take"/> is false, only looks.</summary>
    public IEnumerable<bool> Skip(string literal, bool take = true)
    {
        Matched = false;
        if (literal.Length == 0)
        {
            Matched = true;
            yield break;
        }
        while (true)
        {
            var state = LiteralMatch.At(Ahead, literal, Ended, out var end);
            if (state == MatchState.Open)
            {
                yield return true;
                continue;
            }
            Matched = state == MatchState.Yes;
            if (Matched && take)
                Position += end;
            yield break;
        }
    }

    /// <summary>Skips white space, up to what follows it.</summary>
    public IEnumerable<bool> SkipSpace()
    {
        while (true)
        {
            while (HasMore && char.IsWhiteSpace(_text[Position]))
                Position++;
            if (HasMore || Ended)
                yield break;
            yield return true;
        }
    }

    /// <summary>Reads what there is of a JSON value.</summary>
    public string Take(JsonScanner scanner)
    {
        var from = Position;
        while (HasMore && !scanner.Done && scanner.Take(_text[Position]))
            Position++;
        return _text.ToString(from, Position - from);
    }

    /// <summary>Reads any JSON value, as a whole.</summary>
    public IEnumerable<bool> ReadValue()
    {
        var scanner = new JsonScanner();
        var from = Position;
        for (Take(scanner); !scanner.Done && !Ended; Take(scanner))
            yield return true;
        Value = _text.ToString(from, Position - from);
    }

    /// <summary>Reads up to the first of two texts of the syntax, which is skipped.</summary>
    public IEnumerable<bool> ReadUntil(string first, string second)
    {
        var from = Position;
        var at = from;
        Until = null;
        while (true)
        {
            var ahead = _text.ToString(from, _text.Length - from);
            var open = false;
            for (; at - from < ahead.Length; at++)
            {
                var here = ahead.AsSpan(at - from);
                var state = LiteralMatch.At(here, first, Ended, out var end);
                var found = first;
                if (state == MatchState.No && second != first)
                {
                    state = LiteralMatch.At(here, second, Ended, out end);
                    found = second;
                }
                if (state == MatchState.Yes)
                {
                    Value = ahead[..(at - from)];
                    Position = at + end;
                    (Until, UntilLength) = (found, end);
                    yield break;
                }
                if (state == MatchState.Open)
                {
                    open = true;
                    break;
                }
            }
            if (Ended)
            {
                Value = ahead;
                TakeAll();
                yield break;
            }
            yield return open;
        }
    }
}

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
