using System.Text;

namespace Shimmy.Cli.Terminal;

/// <summary>Rows at the bottom of the terminal that are drawn again and again, and where the cursor is in them.</summary>
internal sealed record Frame(IReadOnlyList<string> Rows, int CursorRow, int CursorColumn)
{
    /// <summary>Whether another looks the same.</summary>
    public bool Looks(Frame other) => CursorRow == other.CursorRow && CursorColumn == other.CursorColumn
        && Rows.SequenceEqual(other.Rows, StringComparer.Ordinal);

    /// <summary>A row without the sequences that colour it.</summary>
    public static string Plain(string row)
    {
        if (!row.Contains('\u001b'))
            return row;
        var plain = new StringBuilder();
        for (var i = 0; i < row.Length; i++)
        {
            if (row[i] != '\u001b')
            {
                plain.Append(row[i]);
                continue;
            }
            while (i < row.Length && !char.IsAsciiLetter(row[i]))
                i++;
        }
        return plain.ToString();
    }
}

/// <summary>Makes a frame, element by element, in rows that are a cell narrower than the terminal.</summary>
internal sealed class FrameBuilder(int width)
{
    private readonly List<string> _rows = [];
    private readonly StringBuilder _row = new();
    private readonly int _width = Math.Max(4, width - 1);
    private int _column;
    private (int Row, int Column)? _cursor;
    private bool _open;

    /// <summary>Adds a row as it is.</summary>
    public void Row(string text)
    {
        End();
        _rows.Add(text);
    }

    /// <summary>Begins a row.</summary>
    public void Begin(string text)
    {
        End();
        _open = true;
        _row.Append(text);
        _column = TerminalText.WidthOf(text);
    }

    /// <summary>Puts an element of so many cells into the row, or into a new one where it is full.</summary>
    public void Put(string element, int cells, string indent)
    {
        if (_column + cells > _width)
        {
            // A cursor that would stand behind the row's end stands at the beginning of the next.
            var moves = _cursor == (_rows.Count, _column);
            Begin(indent);
            if (moves)
                MarkCursor();
        }
        _row.Append(element);
        _column += cells;
    }

    /// <summary>The cursor is here.</summary>
    public void MarkCursor() => _cursor = (_rows.Count, _column);

    /// <summary>Ends the row.</summary>
    public void End()
    {
        if (!_open)
            return;
        _rows.Add(_row.ToString());
        _row.Clear();
        _open = false;
    }

    /// <summary>The frame; without a mark the cursor is behind the last row.</summary>
    public Frame Build()
    {
        End();
        var (row, column) = _cursor ?? (Math.Max(0, _rows.Count - 1), _rows.Count == 0 ? 0 : TerminalText.WidthOf(Frame.Plain(_rows[^1])));
        return new Frame(_rows, row, column);
    }
}

/// <summary>
/// A terminal in raw mode, written to in order: text that stays, and below it a frame that is drawn again at each change and goes when it
/// is done. Every write is one piece, so that nothing flickers, and any thread may write.
/// </summary>
/// <param name="write">Writes to the terminal.</param>
/// <param name="size">The terminal's columns and rows.</param>
internal sealed class Screen(Action<string> write, Func<(int Columns, int Rows)> size)
{
    private readonly Lock _lock = new();
    private Frame? _frame;
    private (int Columns, int Rows) _drawnAt;

    // The row of the cursor in what was drawn, and the widths of the rows above it, by which a terminal breaks them anew.
    private int[] _above = [];

    /// <summary>Columns of the terminal.</summary>
    public int Width => size().Columns;

    /// <summary>Draws the frame in place of the one before.</summary>
    public void Show(Frame frame)
    {
        lock (_lock)
        {
            if (_frame is { } shown && shown.Looks(frame) && _drawnAt == size())
                return;
            var text = new StringBuilder();
            Erase(text);
            Draw(text, frame);
            write(text.ToString());
        }
    }

    /// <summary>Takes the frame away.</summary>
    public void Hide()
    {
        lock (_lock)
        {
            var text = new StringBuilder();
            Erase(text);
            if (text.Length > 0)
                write(text.ToString());
        }
    }

    /// <summary>Leaves the frame as it is, and goes on below it.</summary>
    public void Keep(Frame frame)
    {
        lock (_lock)
        {
            var text = new StringBuilder();
            Erase(text);
            foreach (var row in frame.Rows)
                text.Append(row).Append("\r\n");
            write(text.ToString());
        }
    }

    /// <summary>Writes lines above the frame.</summary>
    public void Print(string lines) => Print([lines]);

    /// <summary>Writes lines above the frame, and draws another frame in its place where one is given.</summary>
    public void Print(IReadOnlyList<string> lines, Frame? next = null)
    {
        lock (_lock)
        {
            var (text, frame) = (new StringBuilder(), next ?? _frame);
            Erase(text);
            foreach (var line in lines)
                text.Append(line.ReplaceLineEndings("\r\n")).Append("\r\n");
            if (frame is not null)
                Draw(text, frame);
            write(text.ToString());
        }
    }

    /// <summary>Writes as it is; there is no frame then.</summary>
    public void Write(string text)
    {
        lock (_lock)
            write(text.ReplaceLineEndings("\r\n"));
    }

    /// <summary>Clears the terminal; the frame is drawn again by who has it.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            (_frame, _above) = (null, []);
            write("\u001b[H\u001b[2J");
        }
    }

    // A terminal that became narrower has broken the rows above the cursor in two.
    private void Erase(StringBuilder text)
    {
        if (_frame is null)
            return;
        var columns = Math.Max(1, size().Columns);
        var up = 0;
        for (var i = 0; i < _above.Length; i++)
            up += i == _above.Length - 1 ? _above[i] / columns : Math.Max(1, (_above[i] + columns - 1) / columns);
        text.Append('\r');
        if (up > 0)
            text.Append($"\u001b[{up}A");
        text.Append("\u001b[J");
        (_frame, _above) = (null, []);
    }

    private void Draw(StringBuilder text, Frame frame)
    {
        (_frame, _drawnAt) = (frame, size());
        // What is higher than the terminal is shown around the cursor.
        var most = Math.Max(1, size().Rows - 1);
        var first = Math.Clamp(frame.CursorRow - most + 1, 0, Math.Max(0, frame.Rows.Count - most));
        var last = Math.Min(frame.Rows.Count, first + most);
        for (var i = first; i < last; i++)
            text.Append(i > first ? "\r\n" : "").Append(frame.Rows[i]);
        var up = last - 1 - frame.CursorRow;
        if (up > 0)
            text.Append($"\u001b[{up}A");
        text.Append('\r');
        if (frame.CursorColumn > 0)
            text.Append($"\u001b[{frame.CursorColumn}C");
        var above = new int[Math.Max(1, frame.CursorRow - first + 1)];
        for (var i = 0; i < above.Length - 1; i++)
            above[i] = TerminalText.WidthOf(Frame.Plain(frame.Rows[first + i]));
        above[^1] = frame.CursorColumn;
        _above = above;
    }
}
