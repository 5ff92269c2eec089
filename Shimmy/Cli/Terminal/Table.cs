using System.Text;

namespace Shimmy.Cli.Terminal;

/// <summary>Text laid out in columns.</summary>
internal static class Table
{
    private const int Gap = 2;
    private const int LeastColumn = 6;

    /// <summary>
    /// One line a row under its headings, two blanks between the columns; the last column is not padded. On a terminal the lines fit its
    /// width: what is too long is cut, a path at its beginning.
    /// </summary>
    public static string Format(string[] headings, IEnumerable<string[]> rows) =>
        Format(headings, rows, Console.IsOutputRedirected ? null : Console.WindowWidth);

    /// <summary>The same at a width; null lets lines be as long as they are.</summary>
    public static string Format(string[] headings, IEnumerable<string[]> rows, int? width)
    {
        string[][] all = [headings, .. rows];
        var widths = headings.Select((_, column) => all.Max(row => TerminalText.WidthOf(row[column]))).ToArray();
        if (width is { } most)
        {
            // What a row is about stays whole as long as that can be.
            Fit(widths, most - (Gap * (widths.Length - 1)), LeastColumn, first: 1);
            Fit(widths, most - (Gap * (widths.Length - 1)), LeastColumn);
        }
        var text = new StringBuilder();
        foreach (var row in all)
        {
            var start = text.Length;
            for (var column = 0; column < row.Length; column++)
            {
                var cell = width is null ? row[column] : TerminalText.Cut(row[column], widths[column], Path.IsPathRooted(row[column]));
                text.Append(column == row.Length - 1 ? cell : TerminalText.Padded(cell, widths[column] + Gap));
            }
            if (row == headings)
            {
                var line = text.ToString(start, text.Length - start);
                text.Length = start;
                text.Append(Printer.Heading(line));
            }
            text.Append('\n');
        }
        return text.ToString().TrimEnd('\n');
    }

    /// <summary>
    /// Makes columns narrower until they fit together, from the <paramref name="first"/> on: the widest gives at first, and none more
    /// than to the least.
    /// </summary>
    public static void Fit(int[] widths, int width, int least, int first = 0)
    {
        for (var sum = widths.Sum(); sum > width; sum--)
        {
            var widest = first;
            for (var column = first + 1; column < widths.Length; column++)
            {
                if (widths[column] > widths[widest])
                    widest = column;
            }
            if (widest >= widths.Length || widths[widest] <= least)
                return;
            widths[widest]--;
        }
    }
}
