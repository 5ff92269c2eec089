using System.Globalization;
using System.Text;

namespace Shimmy.Cli.Terminal;

/// <summary>Text as a terminal shows it: how many cells it takes, and without characters that would steer the terminal.</summary>
internal static class TerminalText
{
    // Unicode's East Asian Wide and Fullwidth, and emoji that are shown as such, in ranges of first and last.
    private static readonly int[] Wide =
    [
        0x1100, 0x115F, 0x231A, 0x231B, 0x2329, 0x232A, 0x23E9, 0x23EC, 0x23F0, 0x23F0, 0x23F3, 0x23F3, 0x25FD, 0x25FE, 0x2614, 0x2615,
        0x2630, 0x2637, 0x2648, 0x2653, 0x267F, 0x267F, 0x268A, 0x268F, 0x2693, 0x2693, 0x26A1, 0x26A1, 0x26AA, 0x26AB, 0x26BD, 0x26BE,
        0x26C4, 0x26C5, 0x26CE, 0x26CE, 0x26D4, 0x26D4, 0x26EA, 0x26EA, 0x26F2, 0x26F3, 0x26F5, 0x26F5, 0x26FA, 0x26FA, 0x26FD, 0x26FD,
        0x2705, 0x2705, 0x270A, 0x270B, 0x2728, 0x2728, 0x274C, 0x274C, 0x274E, 0x274E, 0x2753, 0x2755, 0x2757, 0x2757, 0x2795, 0x2797,
        0x27B0, 0x27B0, 0x27BF, 0x27BF, 0x2B1B, 0x2B1C, 0x2B50, 0x2B50, 0x2B55, 0x2B55, 0x2E80, 0x2FFF, 0x3000, 0x303E, 0x3041, 0x33FF,
        0x3400, 0x4DBF, 0x4DC0, 0xA4CF, 0xA960, 0xA97C, 0xAC00, 0xD7A3, 0xF900, 0xFAFF, 0xFE10, 0xFE19, 0xFE30, 0xFE6F, 0xFF01, 0xFF60,
        0xFFE0, 0xFFE6, 0x16FE0, 0x18D08, 0x1AFF0, 0x1B2FB, 0x1D300, 0x1D376, 0x1F004, 0x1F004, 0x1F0CF, 0x1F0CF, 0x1F18E, 0x1F18E,
        0x1F191, 0x1F19A, 0x1F1E6, 0x1F202, 0x1F210, 0x1F23B, 0x1F240, 0x1F248, 0x1F250, 0x1F251, 0x1F260, 0x1F265, 0x1F300, 0x1F320,
        0x1F32D, 0x1F335, 0x1F337, 0x1F37C, 0x1F37E, 0x1F393, 0x1F3A0, 0x1F3CA, 0x1F3CF, 0x1F3D3, 0x1F3E0, 0x1F3F0, 0x1F3F4, 0x1F3F4,
        0x1F3F8, 0x1F43E, 0x1F440, 0x1F440, 0x1F442, 0x1F4FC, 0x1F4FF, 0x1F53D, 0x1F54B, 0x1F54E, 0x1F550, 0x1F567, 0x1F57A, 0x1F57A,
        0x1F595, 0x1F596, 0x1F5A4, 0x1F5A4, 0x1F5FB, 0x1F64F, 0x1F680, 0x1F6C5, 0x1F6CC, 0x1F6CC, 0x1F6D0, 0x1F6D2, 0x1F6D5, 0x1F6D7,
        0x1F6DC, 0x1F6DF, 0x1F6EB, 0x1F6EC, 0x1F6F4, 0x1F6FC, 0x1F7E0, 0x1F7EB, 0x1F7F0, 0x1F7F0, 0x1F90C, 0x1F93A, 0x1F93C, 0x1F945,
        0x1F947, 0x1F9FF, 0x1FA70, 0x1FAFF, 0x20000, 0x2FFFD, 0x30000, 0x3FFFD,
    ];

    private const int EmojiStyle = 0xFE0F;

    /// <summary>
    /// The text with its control characters shown (<c>␛</c>): all but the end of a line and the tab. What turns the direction of writing,
    /// or cannot be seen at all, is shown by its number.
    /// </summary>
    public static string Escaped(string text)
    {
        var at = 0;
        while (at < text.Length && !IsControl(text[at]))
            at++;
        if (at == text.Length)
            return text;
        var shown = new StringBuilder(text.Length + 8).Append(text, 0, at);
        foreach (var c in text.AsSpan(at))
        {
            if (!IsControl(c))
                shown.Append(c);
            else if (c < ' ')
                shown.Append((char)(0x2400 + c));
            else if (c == '\u007f')
                shown.Append('\u2421');
            else
                shown.Append(CultureInfo.InvariantCulture, $"<U+{(int)c:X4}>");
        }
        return shown.ToString();
    }

    /// <summary>The same on one line: the end of a line is shown, too.</summary>
    public static string EscapedLine(string text) => Escaped(text.ReplaceLineEndings("⏎").Replace('\t', ' '));

    /// <summary>Cells that a text takes.</summary>
    public static int WidthOf(ReadOnlySpan<char> text)
    {
        var width = 0;
        while (text.Length > 0)
        {
            var length = ElementLength(text);
            width += ElementWidth(text[..length]);
            text = text[length..];
        }
        return width;
    }

    /// <summary>Characters of the first element of a text: what a cursor moves over at once.</summary>
    public static int ElementLength(ReadOnlySpan<char> text) =>
        text[0] < '\u0300' && (text.Length == 1 || text[1] < '\u0300') ? 1 : StringInfo.GetNextTextElementLength(text);

    /// <summary>The text without its last element: what Backspace leaves.</summary>
    public static string WithoutLast(string text)
    {
        var last = 0;
        for (int at = 0, length; at < text.Length; at += length)
            (last, length) = (at, ElementLength(text.AsSpan(at)));
        return text[..last];
    }

    /// <summary>Cells of one element.</summary>
    public static int ElementWidth(ReadOnlySpan<char> element)
    {
        if (element[0] < '\u0300' && element.Length == 1)
            return char.IsControl(element[0]) ? 0 : 1;
        var width = 0;
        foreach (var rune in element.EnumerateRunes())
        {
            if (rune.Value == EmojiStyle && width == 1)
                return 2;
            width = Math.Max(width, WidthOf(rune));
        }
        return width;
    }

    /// <summary>The longest beginning of a text that takes at most so many cells.</summary>
    public static int Fitting(ReadOnlySpan<char> text, int cells)
    {
        var at = 0;
        while (at < text.Length)
        {
            var length = ElementLength(text[at..]);
            cells -= ElementWidth(text.Slice(at, length));
            if (cells < 0)
                break;
            at += length;
        }
        return at;
    }

    /// <summary>The text, cut with an ellipsis where it takes more cells: at its end, or at its beginning.</summary>
    public static string Cut(string text, int cells, bool atBeginning = false)
    {
        if (text.Length <= cells / 2 || WidthOf(text) <= cells)
            return text;
        if (cells <= 1)
            return "…"[..Math.Max(0, cells)];
        if (!atBeginning)
            return text[..Fitting(text, cells - 1)] + "…";
        var at = 0;
        for (var width = WidthOf(text); width > cells - 1;)
        {
            var length = ElementLength(text.AsSpan(at));
            width -= ElementWidth(text.AsSpan(at, length));
            at += length;
        }
        return "…" + text[at..];
    }

    /// <summary>The text with blanks behind it up to a number of cells.</summary>
    public static string Padded(string text, int cells) => text + new string(' ', Math.Max(0, cells - WidthOf(text)));

    private static int WidthOf(Rune rune)
    {
        if (rune.Value < 0x300)
            return Rune.IsControl(rune) || rune.Value == 0xAD ? 0 : 1;
        switch (Rune.GetUnicodeCategory(rune))
        {
            case UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark or UnicodeCategory.Format or UnicodeCategory.Control:
                return 0;
            // Vowels and finals of Hangul, which join the letter before them.
            case UnicodeCategory.OtherLetter when rune.Value is >= 0x1160 and <= 0x11FF:
                return 0;
        }
        var (low, high) = (0, (Wide.Length / 2) - 1);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            if (rune.Value > Wide[(2 * middle) + 1])
                low = middle + 1;
            else if (rune.Value < Wide[2 * middle])
                high = middle - 1;
            else
                return 2;
        }
        return 1;
    }

    private static bool IsControl(char c) => c switch
    {
        '\n' or '\t' => false,
        < ' ' or '\u007f' => true,
        < '\u0080' => false,
        <= '\u009f' => true,
        // Directions and separators of lines.
        '\u061c' or '\u200e' or '\u200f' or (>= '\u2028' and <= '\u202e') or (>= '\u2066' and <= '\u2069') => true,
        _ => false,
    };
}
