using System.Text;

namespace Shimmy.Cli.Terminal.Markdown;

/// <summary>How characters look.</summary>
[Flags]
internal enum TextStyle
{
    /// <summary>As they are.</summary>
    None = 0,

    /// <summary>Bold.</summary>
    Bold = 1,

    /// <summary>Italic.</summary>
    Italic = 2,

    /// <summary>Underlined.</summary>
    Underline = 4,

    /// <summary>Struck through.</summary>
    Strike = 8,

    /// <summary>Dim.</summary>
    Dim = 16,

    /// <summary>Code, in a colour of its own.</summary>
    Code = 32,
}

/// <summary>A line of text with the look of each character, which breaks into rows between words.</summary>
internal sealed class StyledText
{
    private readonly StringBuilder _text = new();
    private readonly List<TextStyle> _styles = [];

    /// <summary>Cells that it takes in one row.</summary>
    public int Width => TerminalText.WidthOf(_text.ToString());

    /// <summary>Adds characters.</summary>
    public void Append(ReadOnlySpan<char> text, TextStyle style)
    {
        _text.Append(text);
        for (var i = 0; i < text.Length; i++)
            _styles.Add(style);
    }

    /// <summary>A text that looks the same throughout, with the sequences for it.</summary>
    public static string Styled(string text, TextStyle style) => style == TextStyle.None ? text : Begin(style) + text + "\u001b[0m";

    /// <summary>Rows of at most so many cells; what has no blank is broken where it has to be.</summary>
    /// <param name="width">Cells of a row.</param>
    /// <param name="first">What stands before the first row.</param>
    /// <param name="rest">What stands before the others.</param>
    public List<string> Wrap(int width, string first = "", string rest = "")
    {
        var text = _text.ToString();
        var rows = new List<string>();
        var at = 0;
        do
        {
            var lead = rows.Count == 0 ? first : rest;
            var most = Math.Max(1, width - TerminalText.WidthOf(lead));
            var length = TerminalText.Fitting(text.AsSpan(at), most);
            var end = at + length;
            if (end < text.Length)
            {
                var blank = text[end] == ' ' ? end : text.LastIndexOf(' ', Math.Max(at, end - 1), Math.Max(0, end - at));
                if (blank > at && text.AsSpan(at, blank - at).ContainsAnyExcept(' '))
                    end = blank;
                else if (length == 0)
                    end = at + TerminalText.ElementLength(text.AsSpan(at));
            }
            rows.Add(lead + Row(text, at, end));
            at = end;
            while (at < text.Length && text[at] == ' ')
                at++;
        }
        while (at < text.Length);
        return rows;
    }

    private string Row(string text, int start, int end)
    {
        while (end > start && text[end - 1] == ' ')
            end--;
        var row = new StringBuilder();
        var style = TextStyle.None;
        for (var i = start; i < end; i++)
        {
            if (_styles[i] != style)
            {
                if (style != TextStyle.None)
                    row.Append("\u001b[0m");
                style = _styles[i];
                row.Append(Begin(style));
            }
            row.Append(text[i]);
        }
        if (style != TextStyle.None)
            row.Append("\u001b[0m");
        return row.ToString();
    }

    private static string Begin(TextStyle style)
    {
        if (style == TextStyle.None)
            return "";
        var codes = new List<string>();
        if (style.HasFlag(TextStyle.Bold))
            codes.Add("1");
        if (style.HasFlag(TextStyle.Dim))
            codes.Add("2");
        if (style.HasFlag(TextStyle.Italic))
            codes.Add("3");
        if (style.HasFlag(TextStyle.Underline))
            codes.Add("4");
        if (style.HasFlag(TextStyle.Strike))
            codes.Add("9");
        if (style.HasFlag(TextStyle.Code))
            codes.Add("36");
        return $"\u001b[{string.Join(';', codes)}m";
    }
}

/// <summary>Markdown within a line: emphasis, code, links.</summary>
internal static class InlineMarkdown
{
    // A longer line is shown as it is: what it would take to find its pairs grows with the square.
    private const int Longest = 4000;

    /// <summary>Adds a line to a text.</summary>
    /// <param name="output">What gets it.</param>
    /// <param name="line">The line.</param>
    /// <param name="style">The look of what has none of its own.</param>
    /// <param name="isLive">Whether more of it is to come: what is opened looks so before its end is there.</param>
    public static void Append(StyledText output, ReadOnlySpan<char> line, TextStyle style, bool isLive)
    {
        if (line.Length > Longest)
        {
            output.Append(line, style);
            return;
        }
        var plain = 0;
        var at = 0;
        while (at < line.Length)
        {
            if (line[at] == '\\' && at + 1 < line.Length && char.IsAscii(line[at + 1]) && char.IsPunctuation(line[at + 1]))
            {
                output.Append(line[plain..at], style);
                plain = at + 1;
                at += 2;
                continue;
            }
            if (Span(line, at, isLive) is not { } span)
            {
                at++;
                continue;
            }
            output.Append(line[plain..at], style);
            if (span.Style.HasFlag(TextStyle.Code))
                output.Append(line[span.Start..span.End], style | span.Style);
            else
                Append(output, line[span.Start..span.End], style | span.Style, isLive);
            if (span.Target.Length > 0)
                output.Append($" ({span.Target})", style | TextStyle.Dim);
            at = plain = span.Next;
        }
        output.Append(line[plain..], style);
    }

    private readonly record struct Found(int Start, int End, int Next, TextStyle Style, string Target = "");

    private static Found? Span(ReadOnlySpan<char> line, int at, bool isLive)
    {
        switch (line[at])
        {
            case '`':
                var ticks = Run(line, at);
                var code = line[(at + ticks)..];
                for (var i = 0; i < code.Length; i++)
                {
                    if (code[i] != '`')
                        continue;
                    var run = Run(code, i);
                    if (run == ticks)
                        return new Found(at + ticks, at + ticks + i, at + ticks + i + run, TextStyle.Code);
                    i += run - 1;
                }
                return isLive && code.Length > 0 ? new Found(at + ticks, line.Length, line.Length, TextStyle.Code) : null;
            case '*' or '_' or '~':
                return Emphasis(line, at, isLive);
            case '[':
                return Link(line, at);
            default:
                return null;
        }
    }

    private static Found? Emphasis(ReadOnlySpan<char> line, int at, bool isLive)
    {
        var mark = line[at];
        var count = Math.Min(Run(line, at), 2);
        if (mark == '~' && count < 2)
            return null;
        // An underscore within a word is part of it.
        if (mark == '_' && at > 0 && char.IsLetterOrDigit(line[at - 1]))
            return null;
        var start = at + count;
        if (start >= line.Length || char.IsWhiteSpace(line[start]))
            return null;
        var style = mark == '~' ? TextStyle.Strike : count == 2 ? TextStyle.Bold : TextStyle.Italic;
        for (var i = start + 1; i < line.Length; i++)
        {
            if (line[i] == '\\')
            {
                i++;
                continue;
            }
            if (line[i] != mark || char.IsWhiteSpace(line[i - 1]))
                continue;
            var run = Run(line, i);
            if ((count == 2 && run >= 2) || (count == 1 && run != 2))
            {
                var next = i + count;
                if (mark != '_' || next >= line.Length || !char.IsLetterOrDigit(line[next]))
                    return new Found(start, i, next, style);
            }
            i += run - 1;
        }
        return isLive ? new Found(start, line.Length, line.Length, style) : null;
    }

    private static Found? Link(ReadOnlySpan<char> line, int at)
    {
        var close = line[at..].IndexOf("](");
        if (close < 2)
            return null;
        var target = line[(at + close + 2)..];
        var end = target.IndexOf(')');
        if (end <= 0 || target[..end].Contains(' '))
            return null;
        var words = line.Slice(at + 1, close - 1);
        var url = target[..end];
        return new Found(at + 1, at + close, at + close + 2 + end + 1, TextStyle.Underline, words.SequenceEqual(url) ? "" : url.ToString());
    }

    private static int Run(ReadOnlySpan<char> line, int at)
    {
        var end = at;
        while (end < line.Length && line[end] == line[at])
            end++;
        return end - at;
    }
}
