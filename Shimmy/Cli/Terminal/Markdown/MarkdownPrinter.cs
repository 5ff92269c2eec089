using System.Text;

namespace Shimmy.Cli.Terminal.Markdown;

/// <summary>
/// Markdown as rows of a terminal while it is written: lines that have ended become rows for good (<see cref="TakeFinished"/>), and the one
/// that is being written, or the table, is given anew each time (<see cref="Live"/>). Headings, lists, quotes, rules, tables, code.
/// </summary>
/// <param name="width">Cells of a row, asked each time.</param>
internal sealed class MarkdownPrinter(Func<int> width)
{
    private const string CodeIndent = "  ";
    private const string Tab = "    ";
    private const int Longest = 4000;
    private const int LeastWidth = 8;

    private readonly StringBuilder _line = new();
    private readonly List<string> _finished = [];
    private readonly List<string> _table = [];

    // The marks that the code began with; null outside of code.
    private string? _fence;

    // Whether the line is the rest of one that was too long to wait for its end.
    private bool _goesOn;

    private int Width => Math.Max(LeastWidth, width() - 1);

    /// <summary>Takes the next piece.</summary>
    public void Append(string piece)
    {
        foreach (var c in piece)
        {
            if (c == '\n')
                EndLine();
            else if (c == '\t')
                _line.Append(Tab);
            else
                _line.Append(c);
        }
        if (_line.Length > Longest && _fence is null && _table.Count == 0)
            CutLine();
    }

    /// <summary>Ends what is open.</summary>
    public void Finish()
    {
        if (_line.Length > 0)
            EndLine();
        EndTable();
        _fence = null;
    }

    /// <summary>The rows that have become final since the last call.</summary>
    public List<string> TakeFinished()
    {
        List<string> rows = [.. _finished];
        _finished.Clear();
        return rows;
    }

    /// <summary>The rows of what is being written.</summary>
    public List<string> Live()
    {
        var rows = new List<string>();
        var line = _line.ToString();
        if (_table.Count > 0)
            Table(rows, IsRow(line) ? [.. _table, line] : _table, isLive: true);
        if (line.Length > 0 && (_table.Count == 0 || !IsRow(line)))
            Block(rows, line, isLive: true);
        return rows;
    }

    private static bool IsRow(string line) => line.TrimStart().StartsWith('|');

    private void EndLine()
    {
        var line = _line.ToString().TrimEnd();
        _line.Clear();
        if (_fence is null && !_goesOn && IsRow(line))
        {
            _table.Add(line);
            return;
        }
        EndTable();
        Block(_finished, line, isLive: false);
        _goesOn = false;
        if (FenceOf(line) is not { } mark)
            return;
        if (_fence is null)
            _fence = mark;
        else if (IsEnd(line))
            _fence = null;
    }

    private void EndTable()
    {
        if (_table.Count == 0)
            return;
        Table(_finished, _table, isLive: false);
        _table.Clear();
    }

    private void CutLine()
    {
        var line = _line.ToString();
        var end = line.LastIndexOf(' ', Longest / 2) is > 0 and var blank ? blank : Longest / 2;
        if (char.IsLowSurrogate(line[end]))
            end--;
        Block(_finished, line[..end], isLive: false);
        _line.Remove(0, line[end] == ' ' ? end + 1 : end);
        _goesOn = true;
    }

    private void Block(List<string> rows, string line, bool isLive)
    {
        if (_fence is not null)
        {
            if (!IsEnd(line))
                Code(rows, line);
            return;
        }
        var text = line.TrimStart();
        var indent = line[..(line.Length - text.Length)];
        if (_goesOn)
        {
            Words(rows, line, TextStyle.None, "", "", isLive);
        }
        else if (FenceOf(line) is { } mark)
        {
            if (text[mark.Length..].Trim() is { Length: > 0 } language)
                rows.Add(StyledText.Styled(TerminalText.Cut(CodeIndent + language, Width), TextStyle.Dim));
        }
        else if (HeadingOf(text) is > 0 and var level)
        {
            Words(rows, text[level..].Trim().TrimEnd('#').TrimEnd(), level == 1 ? TextStyle.Bold | TextStyle.Underline : TextStyle.Bold,
                "", "", isLive);
        }
        else if (IsRule(text))
        {
            rows.Add(StyledText.Styled(new string('─', Math.Min(Width, 40)), TextStyle.Dim));
        }
        else if (text.StartsWith('>'))
        {
            var bar = StyledText.Styled("│ ", TextStyle.Dim);
            foreach (var row in Inline(text[1..].TrimStart(), TextStyle.Italic, isLive).Wrap(Width - 2))
                rows.Add(bar + row);
        }
        else if (Bullet(text) is { Length: > 0 and var length, Text: var bullet })
        {
            var lead = indent + bullet;
            Words(rows, text[length..], TextStyle.None, lead, new string(' ', TerminalText.WidthOf(lead)), isLive);
        }
        else
        {
            Words(rows, text, TextStyle.None, indent, indent, isLive);
        }
    }

    private void Words(List<string> rows, string text, TextStyle style, string first, string rest, bool isLive)
    {
        // An indentation that leaves no width is none.
        if (first.Length > Width / 2)
            (first, rest) = ("", "");
        rows.AddRange(Inline(text, style, isLive).Wrap(Width, first, rest));
    }

    private void Code(List<string> rows, string line)
    {
        do
        {
            var length = Math.Max(TerminalText.Fitting(line, Width - CodeIndent.Length), Math.Min(1, line.Length));
            rows.Add(length == 0 ? "" : CodeIndent + StyledText.Styled(line[..length], TextStyle.Code));
            line = line[length..];
        }
        while (line.Length > 0);
    }

    private static StyledText Inline(string text, TextStyle style, bool isLive)
    {
        var line = new StyledText();
        InlineMarkdown.Append(line, text, style, isLive);
        return line;
    }

    private static string? FenceOf(string line)
    {
        var text = line.TrimStart();
        var length = 0;
        while (length < text.Length && text[length] == text[0] && text[0] is '`' or '~')
            length++;
        return length >= 3 && !(text[0] == '`' && text.AsSpan(length).Contains('`')) ? text[..length] : null;
    }

    private bool IsEnd(string line)
    {
        var text = line.Trim();
        return text.Length >= _fence!.Length && text.AsSpan().IndexOfAnyExcept(_fence[0]) < 0;
    }

    private static int HeadingOf(string text)
    {
        var level = 0;
        while (level < text.Length && text[level] == '#')
            level++;
        return level is >= 1 and <= 6 && level < text.Length && text[level] == ' ' ? level : 0;
    }

    private static bool IsRule(string text)
    {
        var marks = text.Replace(" ", "", StringComparison.Ordinal);
        return marks.Length >= 3 && marks[0] is '-' or '*' or '_' && marks.AsSpan().IndexOfAnyExcept(marks[0]) < 0;
    }

    private static (int Length, string Text) Bullet(string text)
    {
        if (text.Length > 1 && text[0] is '-' or '*' or '+' && text[1] == ' ')
            return (2, "• ");
        var digits = 0;
        while (digits < text.Length && char.IsAsciiDigit(text[digits]))
            digits++;
        return digits is > 0 and < 10 && digits + 1 < text.Length && text[digits] is '.' or ')' && text[digits + 1] == ' '
            ? (digits + 2, text[..(digits + 2)])
            : (0, "");
    }

    private void Table(List<string> rows, List<string> lines, bool isLive)
    {
        // The second line makes it one.
        if (lines.Count < 2 || MarkdownTable.AlignmentsOf(lines[1]) is not { } alignments)
        {
            foreach (var line in lines)
                Words(rows, line.TrimStart(), TextStyle.None, "", "", isLive);
            return;
        }
        var table = new MarkdownTable(alignments);
        for (var i = 0; i < lines.Count; i++)
        {
            if (i != 1)
                table.Add(lines[i], i == 0);
        }
        table.Write(rows, Width);
    }
}

/// <summary>A table, in columns that fit the width: what is too long for its column breaks into rows.</summary>
internal sealed class MarkdownTable(IReadOnlyList<char> alignments)
{
    private const string Between = " │ ";
    private const int LeastColumn = 3;

    private readonly List<StyledText[]> _rows = [];

    /// <summary>How the columns are aligned, <c>l</c>, <c>c</c> or <c>r</c>, by the line below the head; null where it is none.</summary>
    public static IReadOnlyList<char>? AlignmentsOf(string line)
    {
        var alignments = new List<char>();
        foreach (var cell in CellsOf(line))
        {
            var dashes = cell.Trim(':');
            if (dashes.Length == 0 || dashes.AsSpan().IndexOfAnyExcept('-') >= 0)
                return null;
            alignments.Add(!cell.EndsWith(':') ? 'l' : cell.StartsWith(':') ? 'c' : 'r');
        }
        return alignments.Count > 0 ? alignments : null;
    }

    /// <summary>Adds a line.</summary>
    public void Add(string line, bool isHead)
    {
        var cells = CellsOf(line);
        var row = new StyledText[alignments.Count];
        for (var i = 0; i < row.Length; i++)
        {
            row[i] = new StyledText();
            InlineMarkdown.Append(row[i], i < cells.Count ? cells[i] : "", isHead ? TextStyle.Bold : TextStyle.None, isLive: false);
        }
        _rows.Add(row);
    }

    /// <summary>Writes it in rows of at most so many cells.</summary>
    public void Write(List<string> rows, int width)
    {
        var widths = Widths(width - (Between.Length * (alignments.Count - 1)));
        for (var i = 0; i < _rows.Count; i++)
        {
            Write(rows, _rows[i], widths);
            if (i > 0)
                continue;
            var rule = new StringBuilder();
            for (var column = 0; column < widths.Length; column++)
                rule.Append(column > 0 ? "─┼─" : "").Append('─', widths[column]);
            rows.Add(StyledText.Styled(rule.ToString(), TextStyle.Dim));
        }
    }

    private void Write(List<string> rows, StyledText[] cells, int[] widths)
    {
        var wrapped = new List<string>[cells.Length];
        var height = 1;
        for (var column = 0; column < cells.Length; column++)
        {
            wrapped[column] = cells[column].Wrap(widths[column]);
            height = Math.Max(height, wrapped[column].Count);
        }
        for (var line = 0; line < height; line++)
        {
            var row = new StringBuilder();
            for (var column = 0; column < cells.Length; column++)
            {
                var text = line < wrapped[column].Count ? wrapped[column][line] : "";
                var free = Math.Max(0, widths[column] - TerminalText.WidthOf(Frame.Plain(text)));
                var before = alignments[column] switch { 'r' => free, 'c' => free / 2, _ => 0 };
                row.Append(column > 0 ? StyledText.Styled(Between, TextStyle.Dim) : "").Append(' ', before).Append(text)
                    .Append(' ', column == cells.Length - 1 ? 0 : free - before);
            }
            rows.Add(row.ToString());
        }
    }

    private int[] Widths(int width)
    {
        var widths = new int[alignments.Count];
        for (var column = 0; column < widths.Length; column++)
        {
            foreach (var row in _rows)
                widths[column] = Math.Max(widths[column], row[column].Width);
            widths[column] = Math.Max(LeastColumn, widths[column]);
        }
        Table.Fit(widths, width, LeastColumn);
        return widths;
    }

    private static List<string> CellsOf(string line)
    {
        var text = line.Trim();
        var cells = new List<string>();
        var cell = new StringBuilder();
        for (var i = text.StartsWith('|') ? 1 : 0; i < text.Length; i++)
        {
            if (text[i] == '\\' && i + 1 < text.Length && text[i + 1] == '|')
            {
                cell.Append('|');
                i++;
            }
            else if (text[i] == '|')
            {
                cells.Add(cell.ToString().Trim());
                cell.Clear();
            }
            else
            {
                cell.Append(text[i]);
            }
        }
        if (cell.ToString().Trim().Length > 0)
            cells.Add(cell.ToString().Trim());
        return cells;
    }
}
