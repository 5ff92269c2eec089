using System.Globalization;
using System.Text;

namespace Shimmy.Chat.Templates.Jinja.Formats;

/// <summary>
/// <c>datetime.strftime</c> in the C locale, with the flags of glibc (<c>%-d</c>). A naive time has no zone, so <c>%z</c> and
/// <c>%Z</c> give nothing.
/// </summary>
internal static class TimeFormat
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    /// <summary>Writes a time; <paramref name="rendering"/> pays for it, null where a directive stands for a few others.</summary>
    public static string Format(DateTime time, string format, Rendering? rendering)
    {
        rendering?.Step(format.Length);
        var text = new StringBuilder();
        for (var at = 0; at < format.Length; at++)
        {
            if (format[at] != '%' || at + 1 == format.Length)
            {
                text.Append(format[at]);
                continue;
            }

            var start = at++;
            var flag = format[at] is '-' or '_' or '0' or '^' or '#' ? format[at++] : '\0';
            var width = 0;
            while (at < format.Length && char.IsAsciiDigit(format[at]) && width < 1000)
                width = width * 10 + format[at++] - '0';
            rendering?.Step(width);
            rendering?.Reserve(text.Length + width);
            var directive = at < format.Length ? Directive(time, format[at]) : null;
            // What the C library does not know stays as it is.
            text.Append(directive is { } known ? Apply(known, flag, width) : format[start..Math.Min(at + 1, format.Length)]);
        }

        return text.ToString();
    }

    private static string Apply((string Text, int Width, char Pad) directive, char flag, int width)
    {
        var (text, least, pad) = directive;
        switch (flag)
        {
            case '-':
                return text;
            case '_':
                pad = ' ';
                break;
            case '0':
                pad = '0';
                break;
            case '^':
                text = text.ToUpperInvariant();
                break;
            case '#':
                text = text is "AM" or "PM" ? text.ToLowerInvariant() : text.ToUpperInvariant();
                break;
        }

        return text.PadLeft(Math.Max(least, width), pad);
    }

    private static (string Text, int Width, char Pad)? Directive(DateTime time, char directive) => directive switch
    {
        'a' => Words(time.ToString("ddd", Invariant)),
        'A' => Words(time.ToString("dddd", Invariant)),
        'b' or 'h' => Words(time.ToString("MMM", Invariant)),
        'B' => Words(time.ToString("MMMM", Invariant)),
        'c' => Words(Format(time, "%a %b %e %H:%M:%S %Y", null)),
        'C' => Number(time.Year / 100, 2),
        'd' => Number(time.Day, 2),
        'D' or 'x' => Words(Format(time, "%m/%d/%y", null)),
        'e' => Number(time.Day, 2, ' '),
        'f' => Number(time.Ticks % TimeSpan.TicksPerSecond / 10, 6),
        'F' => Words(Format(time, "%Y-%m-%d", null)),
        'g' => Number(ISOWeek.GetYear(time) % 100, 2),
        'G' => Number(ISOWeek.GetYear(time), 4),
        'H' => Number(time.Hour, 2),
        'I' => Number((time.Hour + 11) % 12 + 1, 2),
        'j' => Number(time.DayOfYear, 3),
        'k' => Number(time.Hour, 2, ' '),
        'l' => Number((time.Hour + 11) % 12 + 1, 2, ' '),
        'm' => Number(time.Month, 2),
        'M' => Number(time.Minute, 2),
        'n' => Words("\n"),
        'p' => Words(time.Hour < 12 ? "AM" : "PM"),
        'P' => Words(time.Hour < 12 ? "am" : "pm"),
        'r' => Words(Format(time, "%I:%M:%S %p", null)),
        'R' => Words(Format(time, "%H:%M", null)),
        's' => Number(new DateTimeOffset(DateTime.SpecifyKind(time, DateTimeKind.Utc)).ToUnixTimeSeconds(), 1),
        'S' => Number(time.Second, 2),
        't' => Words("\t"),
        'T' or 'X' => Words(Format(time, "%H:%M:%S", null)),
        'u' => Number(((int)time.DayOfWeek + 6) % 7 + 1, 1),
        'U' => Number((time.DayOfYear + 6 - (int)time.DayOfWeek) / 7, 2),
        'V' => Number(ISOWeek.GetWeekOfYear(time), 2),
        'w' => Number((int)time.DayOfWeek, 1),
        'W' => Number((time.DayOfYear + 6 - ((int)time.DayOfWeek + 6) % 7) / 7, 2),
        'y' => Number(time.Year % 100, 2),
        'Y' => Number(time.Year, 1),
        'z' or 'Z' => Words(""),
        '%' => Words("%"),
        _ => null,
    };

    private static (string Text, int Width, char Pad) Words(string text) => (text, 0, ' ');

    private static (string Text, int Width, char Pad) Number(long value, int width, char pad = '0') =>
        (value.ToString(Invariant), width, pad);
}
