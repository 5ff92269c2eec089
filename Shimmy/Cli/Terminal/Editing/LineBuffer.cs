using System.Globalization;
using System.Text;

namespace Shimmy.Cli.Terminal.Editing;

/// <summary>
/// The text that is being typed, with its cursor. A long paste is one character of it, from the block that Unicode gives to no text (U+FDD0
/// to U+FDEF), which is shown as <c>[123 lines]</c> and becomes the text when it is sent.
/// </summary>
internal sealed class LineBuffer
{
    private const char FirstFold = '\ufdd0';
    private const char LastFold = '\ufdef';
    private const int FoldedLines = 6;
    private const int FoldedCharacters = 1500;
    private const int MostUndo = 200;

    private readonly List<string> _folds = [];
    private readonly List<(string Text, int Cursor)> _undo = [];
    private string _killed = "";

    /// <summary>The text, with a character for each folded paste.</summary>
    public string Text { get; private set; } = "";

    /// <summary>The place of the cursor in it.</summary>
    public int Cursor { get; private set; }

    /// <summary>The text as it is sent.</summary>
    public string Whole => Unfolded(Text);

    /// <summary>The label shown for a character that stands for a paste; null for any other.</summary>
    public string? LabelOf(char c)
    {
        if (FoldOf(c) is not { } fold)
            return null;
        var lines = 1;
        foreach (var one in fold)
            lines += one == '\n' ? 1 : 0;
        return lines > 1 ? string.Create(CultureInfo.InvariantCulture, $"[{lines} lines]")
            : string.Create(CultureInfo.InvariantCulture, $"[{fold.Length} characters]");
    }

    /// <summary>Replaces all of it.</summary>
    public void Set(string text, int? cursor = null)
    {
        Remember();
        (Text, Cursor) = (Clean(text), 0);
        Cursor = Math.Min(cursor ?? Text.Length, Text.Length);
    }

    /// <summary>Empties it, and forgets what was.</summary>
    public void Clear()
    {
        (Text, Cursor) = ("", 0);
        _undo.Clear();
        _folds.Clear();
    }

    /// <summary>Puts a text in at the cursor.</summary>
    public void Insert(string text)
    {
        Remember();
        text = Clean(text);
        Text = Text.Insert(Cursor, text);
        Cursor += text.Length;
    }

    /// <summary>Puts in what was pasted: a long one as one character.</summary>
    public void Paste(string text)
    {
        text = Clean(text);
        var lines = 1;
        foreach (var c in text)
            lines += c == '\n' ? 1 : 0;
        if ((lines < FoldedLines && text.Length < FoldedCharacters) || _folds.Count > LastFold - FirstFold)
        {
            Insert(text);
            return;
        }
        Remember();
        _folds.Add(text);
        Text = Text.Insert(Cursor, ((char)(FirstFold + _folds.Count - 1)).ToString());
        Cursor++;
    }

    /// <summary>Replaces a part by a text, and puts the cursor behind it.</summary>
    public void Replace(int start, int end, string text)
    {
        Remember();
        text = Clean(text);
        Text = string.Concat(Text.AsSpan(0, start), text, Text.AsSpan(end));
        Cursor = start + text.Length;
    }

    /// <summary>Puts the cursor somewhere.</summary>
    public void MoveTo(int place) => Cursor = Math.Clamp(place, 0, Text.Length);

    /// <summary>The place one element to the right.</summary>
    public int Right => Cursor == Text.Length ? Cursor : Cursor + TerminalText.ElementLength(Text.AsSpan(Cursor));

    /// <summary>The place one element to the left.</summary>
    public int Left
    {
        get
        {
            // Elements are found from the beginning of the line.
            var at = LineStart;
            if (at == Cursor)
                return Math.Max(0, Cursor - 1);
            while (true)
            {
                var next = at + TerminalText.ElementLength(Text.AsSpan(at));
                if (next >= Cursor)
                    return at;
                at = next;
            }
        }
    }

    /// <summary>The beginning of the word before the cursor.</summary>
    public int WordLeft
    {
        get
        {
            var at = Cursor;
            while (at > 0 && !char.IsLetterOrDigit(Text[at - 1]))
                at--;
            while (at > 0 && char.IsLetterOrDigit(Text[at - 1]))
                at--;
            return at;
        }
    }

    /// <summary>The end of the word behind the cursor.</summary>
    public int WordRight
    {
        get
        {
            var at = Cursor;
            while (at < Text.Length && !char.IsLetterOrDigit(Text[at]))
                at++;
            while (at < Text.Length && char.IsLetterOrDigit(Text[at]))
                at++;
            return at;
        }
    }

    /// <summary>The beginning of what is between blanks before the cursor, as Ctrl+W deletes it.</summary>
    public int BlankLeft
    {
        get
        {
            var at = Cursor;
            while (at > 0 && char.IsWhiteSpace(Text[at - 1]))
                at--;
            while (at > 0 && !char.IsWhiteSpace(Text[at - 1]))
                at--;
            return at;
        }
    }

    /// <summary>The beginning of the cursor's line.</summary>
    public int LineStart => Cursor == 0 ? 0 : Text.LastIndexOf('\n', Cursor - 1) + 1;

    /// <summary>The end of the cursor's line.</summary>
    public int LineEnd => Text.IndexOf('\n', Cursor) is >= 0 and var end ? end : Text.Length;

    /// <summary>
    /// Deletes from the cursor to a place on either side; what <paramref name="kills"/> can be put back by <see cref="Yank"/>.
    /// </summary>
    public void DeleteTo(int place, bool kills = false)
    {
        var (start, end) = place < Cursor ? (place, Cursor) : (Cursor, place);
        if (start == end)
            return;
        Remember();
        if (kills)
            _killed = Unfolded(Text[start..end]);
        Text = Text.Remove(start, end - start);
        Cursor = start;
    }

    /// <summary>Puts back what was killed last.</summary>
    public void Yank() => Paste(_killed);

    /// <summary>Exchanges the two characters around the cursor.</summary>
    public void Transpose()
    {
        var at = Cursor == Text.Length ? Cursor - 1 : Cursor;
        if (at < 1 || Text[at] == '\n' || Text[at - 1] == '\n' || char.IsSurrogate(Text[at]) || char.IsSurrogate(Text[at - 1]))
            return;
        Remember();
        Text = string.Concat(Text.AsSpan(0, at - 1), $"{Text[at]}{Text[at - 1]}", Text.AsSpan(at + 1));
        Cursor = at + 1;
    }

    /// <summary>Moves a line up or down, in the same column as far as there is one; false where there is no such line.</summary>
    public bool MoveLine(int direction)
    {
        var column = Cursor - LineStart;
        if (direction < 0)
        {
            if (LineStart == 0)
                return false;
            var end = LineStart - 1;
            var start = end == 0 ? 0 : Text.LastIndexOf('\n', end - 1) + 1;
            Cursor = Math.Min(start + column, end);
        }
        else
        {
            if (LineEnd == Text.Length)
                return false;
            var start = LineEnd + 1;
            var end = Text.IndexOf('\n', start) is >= 0 and var found ? found : Text.Length;
            Cursor = Math.Min(start + column, end);
        }
        // Not into the middle of an element.
        if (Cursor < Text.Length && char.IsLowSurrogate(Text[Cursor]))
            Cursor--;
        return true;
    }

    /// <summary>Takes the last change back.</summary>
    public void Undo()
    {
        if (_undo.Count == 0)
            return;
        (Text, Cursor) = _undo[^1];
        _undo.RemoveAt(_undo.Count - 1);
    }

    private string Unfolded(string text)
    {
        var whole = new StringBuilder(text.Length);
        foreach (var c in text)
        {
            if (FoldOf(c) is { } fold)
                whole.Append(fold);
            else
                whole.Append(c);
        }
        return whole.ToString();
    }

    private void Remember()
    {
        if (_undo.Count > 0 && _undo[^1].Text == Text)
            return;
        if (_undo.Count == MostUndo)
            _undo.RemoveAt(0);
        _undo.Add((Text, Cursor));
    }

    private string? FoldOf(char c) => c is >= FirstFold and <= LastFold && c - FirstFold < _folds.Count ? _folds[c - FirstFold] : null;

    // Neither what stands for a paste, nor what a terminal would obey.
    private static string Clean(string text)
    {
        var clean = new StringBuilder(text.Length);
        foreach (var c in text)
        {
            if (c is '\n' or '\t' || (!char.IsControl(c) && c is < FirstFold or > LastFold))
                clean.Append(c);
        }
        return clean.Length == text.Length ? text : clean.ToString();
    }
}
