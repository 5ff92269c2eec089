using System.Globalization;
using System.Text;
using Shimmy.Worker.Native;

namespace Shimmy.Worker.Sampling;

/// <summary>
/// Waits in an answer for the text behind which a grammar holds. llama.cpp's own lazy grammars look for it with a regular expression over
/// all that was generated, whose recursion a long answer overflows; this one keeps no more than the text's length.
/// </summary>
/// <param name="text">The text.</param>
/// <param name="makeGrammar">
/// Makes the grammar for the last tokens of an answer, which begin with what is given: the text itself, and what one token may hold before it.
/// </param>
internal sealed class GrammarTrigger(string text, Func<string, SamplerHandle> makeGrammar)
{
    /// <summary>The rule that a grammar begins with.</summary>
    public const string Root = "root";

    /// <summary>The rule that a grammar of <see cref="After"/> begins with.</summary>
    public const string RootAfterLead = "after-lead";

    private readonly Queue<(int Token, byte[] Piece)> _recent = new();
    private readonly byte[] _text = Encoding.UTF8.GetBytes(text);
    private int _bytes;
    private bool _found;

    /// <summary>Takes a token of the answer; where it completes the text, gives the grammar and the tokens that it must take first.</summary>
    public (SamplerHandle Grammar, IReadOnlyList<int> Tokens)? Accept(int token, ReadOnlyMemory<byte> piece)
    {
        if (_found)
            return null;
        _recent.Enqueue((token, piece.ToArray()));
        _bytes += piece.Length;
        var all = _recent.SelectMany(entry => entry.Piece).ToArray();
        var at = all.AsSpan().IndexOf(_text);
        if (at < 0)
        {
            while (_recent.Count > 0 && _bytes - _recent.Peek().Piece.Length >= _text.Length - 1)
                _bytes -= _recent.Dequeue().Piece.Length;
            return null;
        }
        _found = true;
        while (at >= _recent.Peek().Piece.Length)
            at -= _recent.Dequeue().Piece.Length;
        var lead = Encoding.UTF8.GetString(_recent.SelectMany(entry => entry.Piece).Take(at + _text.Length).ToArray());
        return (makeGrammar(lead), [.. _recent.Select(entry => entry.Token)]);
    }

    /// <summary>The grammar, with a text that stands before what it describes, and white space if the model puts some.</summary>
    public static string After(string lead, string grammar)
    {
        var literal = new StringBuilder();
        foreach (var rune in lead.EnumerateRunes())
            literal.Append(CultureInfo.InvariantCulture, $"\\U{rune.Value:X8}");
        return $"{grammar}\n{RootAfterLead} ::= \"{literal}\" [ \\n]{{0,4}} {Root}\n";
    }
}
