using System.Globalization;
using Shimmy.Cli.Terminal;

namespace Shimmy.Tests.Cli.Terminal;

/// <summary>
/// A terminal in memory that does what <see cref="Screen"/> asks of one: rows with a cursor, erasing, breaking at the width.
/// </summary>
internal sealed class Emulator(int columns, int rows)
{
    private readonly List<List<string>> _rows = [[]];
    private int _row;
    private int _column;

    public int Columns { get; } = columns;

    public int Rows { get; } = rows;

    /// <summary>What is to be seen, without blanks at the ends of rows, nor empty rows at the end.</summary>
    public string Text => string.Join('\n', _rows.Select(row => string.Concat(row).TrimEnd())).TrimEnd('\n');

    /// <summary>The cursor's place.</summary>
    public (int Row, int Column) Cursor => (_row, _column);

    public void Write(string text)
    {
        for (var i = 0; i < text.Length;)
        {
            if (text[i] == '\u001b')
            {
                var end = i + 2;
                while (!char.IsAsciiLetter(text[end]))
                    end++;
                Obey(text[(i + 2)..end], text[end]);
                i = end + 1;
                continue;
            }
            var length = TerminalText.ElementLength(text.AsSpan(i));
            Put(text.Substring(i, length));
            i += length;
        }
    }

    private void Put(string element)
    {
        switch (element)
        {
            case "\r":
                _column = 0;
                return;
            case "\n":
                Down();
                return;
            case "\r\n":
                _column = 0;
                Down();
                return;
        }
        var width = TerminalText.ElementWidth(element);
        if (_column + width > Columns)
        {
            _column = 0;
            Down();
        }
        var row = _rows[_row];
        while (row.Count < _column + width)
            row.Add(" ");
        row[_column] = element;
        for (var i = 1; i < width; i++)
            row[_column + i] = "";
        _column += width;
    }

    private void Down()
    {
        if (++_row == _rows.Count)
            _rows.Add([]);
    }

    private void Obey(string parameters, char what)
    {
        var count = int.TryParse(parameters, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 1;
        switch (what)
        {
            case 'A':
                Assert.IsGreaterThanOrEqualTo(count, _row, "the cursor would leave the top");
                _row -= count;
                break;
            case 'C':
                _column = Math.Min(Columns - 1, _column + count);
                break;
            case 'J':
                _rows[_row].RemoveRange(Math.Min(_column, _rows[_row].Count), Math.Max(0, _rows[_row].Count - _column));
                _rows.RemoveRange(_row + 1, _rows.Count - _row - 1);
                break;
            case 'm' or 'h' or 'l':
                break;
            default:
                throw new InvalidOperationException($"the screen sent CSI {parameters}{what}");
        }
    }
}
