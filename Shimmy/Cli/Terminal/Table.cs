using System.Text;

namespace Shimmy.Cli.Terminal;

/// <summary>Text laid out in columns.</summary>
internal static class Table
{
    /// <summary>One line a row under its headings, two blanks between the columns; the last column is not padded.</summary>
    public static string Format(string[] headings, IEnumerable<string[]> rows)
    {
        string[][] all = [headings, .. rows];
        var widths = headings.Select((_, column) => all.Max(row => row[column].Length)).ToArray();
        var text = new StringBuilder();
        foreach (var row in all)
        {
            var start = text.Length;
            for (var column = 0; column < row.Length - 1; column++)
                text.Append(row[column].PadRight(widths[column] + 2));
            text.Append(row[^1]);
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
}
