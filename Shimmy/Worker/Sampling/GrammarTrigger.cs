using System.Globalization;
using System.Text;
using Shimmy.Worker.Native;

namespace Shimmy.Worker.Sampling;

/// <summary>
/// Looks for the text of an answer that starts a grammar (lazy grammar). llama.cpp's own search runs a recursive regular expression over
/// the whole answer, which overflows the stack on a long one; this one keeps no more than the text's length.
/// </summary>
/// <param name="text">The text.</param>
/// <param name="makeGrammar">
/// Makes the grammar for the last tokens of the answer, given their text: the trigger text, and what its first token holds before it.
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

    /// <summary>
    /// Reads a token of the answer. Where it completes the text, returns the grammar and the tokens that the grammar must accept first.
    /// </summary>
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

    /// <summary>A grammar that matches a literal text, up to four characters of white space, and then the given grammar.</summary>
    public static string After(string lead, string grammar)
    {
        var literal = new StringBuilder();
        foreach (var rune in lead.EnumerateRunes())
            literal.Append(CultureInfo.InvariantCulture, $"\\U{rune.Value:X8}");
        return $"{grammar}\n{RootAfterLead} ::= \"{literal}\" [ \\n]{{0,4}} {Root}\n";
    }
}
