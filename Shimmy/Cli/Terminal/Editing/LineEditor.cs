namespace Shimmy.Cli.Terminal.Editing;

/// <summary>The result of a key.</summary>
internal enum EditOutcome
{
    /// <summary>The text goes on.</summary>
    Editing,

    /// <summary>The text is to be sent.</summary>
    Sent,

    /// <summary>Ctrl+C on an empty line.</summary>
    Interrupted,

    /// <summary>Ctrl+D on an empty line, or the terminal is gone.</summary>
    Ended,

    /// <summary>The screen is to be cleared.</summary>
    Clear,

    /// <summary>The program is to be stopped until the shell lets it go on.</summary>
    Suspend,
}

/// <summary>The choices that may replace a part of the text.</summary>
/// <param name="Start">Where the part begins; it ends at the cursor.</param>
/// <param name="Choices">What it may become.</param>
internal sealed record Completion(int Start, IReadOnlyList<string> Choices);

/// <summary>
/// The editor of the text that is typed: the keys of Emacs, history and search in it, completion, and several lines. It knows no
/// terminal: keys come in, and <see cref="Layout"/> says what is to be seen.
/// </summary>
/// <param name="history">The lines that were sent.</param>
/// <param name="complete">What the text may become, by the text and the place of the cursor; null where nothing fits.</param>
internal sealed class LineEditor(InputHistory history, Func<string, int, Completion?> complete)
{
    private const string Quotes = "\"\"\"";
    private const int ShownChoices = 40;

    private readonly LineBuffer _buffer = new();

    // Place in the history; its length is the line that is being typed, which waits in _draft while another is shown.
    private int _place = history.Lines.Count;
    private string _draft = "";

    // What is searched for, and where the last match is; null where nothing is.
    private string? _search;
    private int _match = -1;
    private IReadOnlyList<string> _choices = [];

    /// <summary>The text that is typed.</summary>
    public LineBuffer Buffer => _buffer;

    /// <summary>The text to send, without the quotes around several lines.</summary>
    public string Sent { get; private set; } = "";

    /// <summary>Begins a new line.</summary>
    public void Begin(string text = "")
    {
        _buffer.Clear();
        if (text.Length > 0)
            _buffer.Set(text);
        _place = history.Lines.Count;
        (_draft, _search, _choices) = ("", null, []);
    }

    /// <summary>Does what a key asks for.</summary>
    public EditOutcome Handle(Key key)
    {
        _choices = [];
        if (_search is not null && Search(key))
            return EditOutcome.Editing;
        switch (key.Code)
        {
            case KeyCode.Text:
                _buffer.Insert(key.Text);
                break;
            case KeyCode.Paste:
                _buffer.Paste(key.Text);
                break;
            case KeyCode.Enter:
                return Enter();
            case KeyCode.NewLine:
                _buffer.Insert("\n");
                break;
            case KeyCode.Tab:
                Complete();
                break;
            case KeyCode.Backspace:
                _buffer.DeleteTo(_buffer.Left);
                break;
            case KeyCode.Delete:
                _buffer.DeleteTo(_buffer.Right);
                break;
            case KeyCode.WordBackspace:
                _buffer.DeleteTo(_buffer.WordLeft, kills: true);
                break;
            case KeyCode.WordDelete:
                _buffer.DeleteTo(_buffer.WordRight, kills: true);
                break;
            case KeyCode.Left:
                _buffer.MoveTo(_buffer.Left);
                break;
            case KeyCode.Right:
                _buffer.MoveTo(_buffer.Right);
                break;
            case KeyCode.WordLeft:
                _buffer.MoveTo(_buffer.WordLeft);
                break;
            case KeyCode.WordRight:
                _buffer.MoveTo(_buffer.WordRight);
                break;
            case KeyCode.Home:
                _buffer.MoveTo(_buffer.LineStart);
                break;
            case KeyCode.End:
                _buffer.MoveTo(_buffer.LineEnd);
                break;
            case KeyCode.Up:
                if (!_buffer.MoveLine(-1))
                    Recall(-1);
                break;
            case KeyCode.Down:
                if (!_buffer.MoveLine(1))
                    Recall(1);
                break;
            case KeyCode.Alt:
                Alt(key.Text);
                break;
            case KeyCode.Control:
                return Control(key.Text[0]);
            case KeyCode.Closed:
                return EditOutcome.Ended;
        }
        return EditOutcome.Editing;
    }

    /// <summary>The lines to show, and the cursor.</summary>
    /// <param name="width">Cells of a row.</param>
    /// <param name="prompt">What stands before the first line; blanks stand before the others.</param>
    /// <param name="above">Rows above the text.</param>
    public Frame Layout(int width, string prompt, params ReadOnlySpan<string> above)
    {
        var frame = new FrameBuilder(width);
        foreach (var row in above)
            frame.Row(row);
        if (_search is { } search)
        {
            var found = _match >= 0 ? TerminalText.EscapedLine(history.Lines[_match]) : "";
            frame.Row(TerminalText.Cut($"(search '{TerminalText.EscapedLine(search)}'){(_match < 0 ? " nothing" : "")} {found}",
                width - 1));
            return frame.Build();
        }
        var indent = new string(' ', TerminalText.WidthOf(prompt));
        frame.Begin(prompt);
        var text = _buffer.Text;
        for (var at = 0; ;)
        {
            if (at == _buffer.Cursor)
                frame.MarkCursor();
            if (at == text.Length)
                break;
            if (text[at] == '\n')
            {
                frame.Begin(indent);
                at++;
                continue;
            }
            var length = TerminalText.ElementLength(text.AsSpan(at));
            if (_buffer.LabelOf(text[at]) is { } label)
                frame.Put(label, TerminalText.WidthOf(label), indent);
            else if (text[at] == '\t')
                frame.Put("    ", 4, indent);
            else
                frame.Put(text.Substring(at, length), TerminalText.ElementWidth(text.AsSpan(at, length)), indent);
            at += length;
        }
        frame.End();
        foreach (var row in Columns(width))
            frame.Row(row);
        return frame.Build();
    }

    private EditOutcome Enter()
    {
        var text = _buffer.Text;
        if (_buffer.Cursor == text.Length && text.EndsWith('\\') && !text.EndsWith("\\\\", StringComparison.Ordinal))
        {
            _buffer.Replace(text.Length - 1, text.Length, "\n");
            return EditOutcome.Editing;
        }
        var opened = text.TrimStart().StartsWith(Quotes, StringComparison.Ordinal);
        var trimmed = text.Trim();
        if (opened && !(trimmed.Length >= 2 * Quotes.Length && trimmed.EndsWith(Quotes, StringComparison.Ordinal)))
        {
            _buffer.Insert("\n");
            return EditOutcome.Editing;
        }
        Sent = _buffer.Whole;
        history.Add(Sent);
        if (opened)
            Sent = Sent.Trim()[Quotes.Length..^Quotes.Length].Trim('\n');
        _buffer.MoveTo(text.Length);
        return EditOutcome.Sent;
    }

    private void Alt(string letter)
    {
        switch (letter)
        {
            case "b":
                _buffer.MoveTo(_buffer.WordLeft);
                break;
            case "f":
                _buffer.MoveTo(_buffer.WordRight);
                break;
            case "d":
                _buffer.DeleteTo(_buffer.WordRight, kills: true);
                break;
            case "<":
                _buffer.MoveTo(0);
                break;
            case ">":
                _buffer.MoveTo(_buffer.Text.Length);
                break;
        }
    }

    private EditOutcome Control(char letter)
    {
        switch (letter)
        {
            case 'a':
                _buffer.MoveTo(_buffer.LineStart);
                break;
            case 'e':
                _buffer.MoveTo(_buffer.LineEnd);
                break;
            case 'b':
                _buffer.MoveTo(_buffer.Left);
                break;
            case 'f':
                _buffer.MoveTo(_buffer.Right);
                break;
            case 'p':
                Recall(-1);
                break;
            case 'n':
                Recall(1);
                break;
            case 'd' when _buffer.Text.Length == 0:
                return EditOutcome.Ended;
            case 'd':
                _buffer.DeleteTo(_buffer.Right);
                break;
            case 'k':
                _buffer.DeleteTo(_buffer.LineEnd == _buffer.Cursor ? _buffer.Right : _buffer.LineEnd, kills: true);
                break;
            case 'u':
                _buffer.DeleteTo(_buffer.LineStart, kills: true);
                break;
            case 'w':
                _buffer.DeleteTo(_buffer.BlankLeft, kills: true);
                break;
            case 'y':
                _buffer.Yank();
                break;
            case 't':
                _buffer.Transpose();
                break;
            case '_':
                _buffer.Undo();
                break;
            case 'r':
                (_search, _match) = ("", -1);
                break;
            case 'l':
                return EditOutcome.Clear;
            case 'z':
                return EditOutcome.Suspend;
            case 'c' when _buffer.Text.Length == 0:
                return EditOutcome.Interrupted;
            case 'c':
                Begin();
                break;
        }
        return EditOutcome.Editing;
    }

    private void Recall(int direction)
    {
        var place = _place + direction;
        if (place < 0 || place > history.Lines.Count)
            return;
        if (_place == history.Lines.Count)
            _draft = _buffer.Whole;
        _place = place;
        _buffer.Set(place == history.Lines.Count ? _draft : history.Lines[place]);
    }

    // True where the key belongs to the search; any other ends it, with the line that was found, and does what it always does.
    private bool Search(Key key)
    {
        if (key.Code == KeyCode.Text || key.IsControl('r') || (key.Code == KeyCode.Backspace && _search!.Length > 0))
        {
            var before = key.IsControl('r') && _match >= 0 ? _match : history.Lines.Count;
            _search = key.Code == KeyCode.Text ? _search + key.Text : key.IsControl('r') ? _search : TerminalText.WithoutLast(_search!);
            var found = _search!.Length == 0 ? -1 : history.Find(_search, before);
            // The last match stays where there is no older one.
            _match = found < 0 && key.IsControl('r') ? _match : found;
            return true;
        }
        _search = null;
        if (key.IsControl('g') || key.IsControl('c') || key.Code == KeyCode.Backspace)
            return true;
        if (_match >= 0)
        {
            _place = _match;
            _buffer.Set(history.Lines[_match]);
        }
        return key.Code == KeyCode.Escape;
    }

    private void Complete()
    {
        if (complete(_buffer.Text, _buffer.Cursor) is not { Choices.Count: > 0 } completion)
            return;
        var common = completion.Choices[0];
        foreach (var choice in completion.Choices)
        {
            var same = 0;
            while (same < common.Length && same < choice.Length
                && char.ToLowerInvariant(common[same]) == char.ToLowerInvariant(choice[same]))
            {
                same++;
            }
            common = common[..same];
        }
        if (common.Length > 0)
            _buffer.Replace(completion.Start, _buffer.Cursor, common);
        if (completion.Choices.Count > 1)
            _choices = completion.Choices;
    }

    // The choices of a completion, in as many columns as fit.
    private List<string> Columns(int width)
    {
        var rows = new List<string>();
        if (_choices.Count == 0)
            return rows;
        var column = 0;
        foreach (var choice in _choices)
            column = Math.Max(column, TerminalText.WidthOf(choice.TrimEnd()) + 2);
        var columns = Math.Max(1, (width - 1) / column);
        var row = "";
        for (var i = 0; i < Math.Min(_choices.Count, ShownChoices); i++)
        {
            if (i > 0 && i % columns == 0)
            {
                rows.Add(row);
                row = "";
            }
            row += TerminalText.Padded(TerminalText.EscapedLine(_choices[i].TrimEnd()), column);
        }
        rows.Add(row);
        if (_choices.Count > ShownChoices)
            rows.Add($"and {_choices.Count - ShownChoices} more");
        for (var i = 0; i < rows.Count; i++)
            rows[i] = TerminalText.Cut(rows[i].TrimEnd(), width - 1);
        return rows;
    }
}
