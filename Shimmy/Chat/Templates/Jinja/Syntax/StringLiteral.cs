using System.Globalization;
using System.Text;

namespace Shimmy.Chat.Templates.Jinja.Syntax;

/// <summary>The escapes of string literals, as Python's unicode-escape codec resolves them.</summary>
internal static class StringLiteral
{
    /// <summary>Resolves the escapes; what Python does not know stays as it is.</summary>
    public static string Unescape(ReadOnlySpan<char> literal, Func<string, TemplateException> error)
    {
        if (!literal.Contains('\\'))
            return literal.ToString();

        var text = new StringBuilder(literal.Length);
        for (var at = 0; at < literal.Length; at++)
        {
            if (literal[at] != '\\')
            {
                text.Append(literal[at]);
                continue;
            }

            at++;
            var unit = literal[at];
            switch (unit)
            {
                case '\n':
                    break;
                case '\\' or '\'' or '"':
                    text.Append(unit);
                    break;
                case >= '0' and <= '7':
                    var digits = Octal(literal[at..]);
                    text.Append((char)Convert.ToInt32(literal.Slice(at, digits).ToString(), 8));
                    at += digits - 1;
                    break;
                case 'x' or 'u' or 'U':
                    var size = unit switch { 'x' => 2, 'u' => 4, _ => 8 };
                    AppendHex(text, literal[(at + 1)..], size, unit, error);
                    at += size;
                    break;
                case 'N':
                    throw error("characters by name (\\N{…}) are not supported; write \\u and the code point");
                default:
                    text.Append(Simple(unit) is { } simple ? simple.ToString() : $"\\{unit}");
                    break;
            }
        }

        return text.ToString();
    }

    private static char? Simple(char unit) => unit switch
    {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'a' => '\a',
        'b' => '\b',
        'f' => '\f',
        'v' => '\v',
        _ => null,
    };

    private static int Octal(ReadOnlySpan<char> literal)
    {
        var digits = 0;
        while (digits < 3 && digits < literal.Length && literal[digits] is >= '0' and <= '7')
            digits++;
        return digits;
    }

    private static void AppendHex(StringBuilder text, ReadOnlySpan<char> literal, int size, char kind,
        Func<string, TemplateException> error)
    {
        if (literal.Length < size || !int.TryParse(literal[..size], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture,
            out var point))
            throw error($"truncated \\{kind}{new string('X', size)} escape");
        if (point is >= 0 and <= 0xFFFF)
            text.Append((char)point);
        else if (Rune.IsValid(point))
            text.Append(new Rune(point).ToString());
        else
            throw error("illegal Unicode character");
    }
}
