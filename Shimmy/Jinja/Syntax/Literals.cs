using System.Globalization;
using System.Numerics;
using System.Text;
using Shimmy.Jinja.Runtime;

namespace Shimmy.Jinja.Syntax;

/// <summary>The escapes of string literals, as Python's unicode-escape codec resolves them.</summary>
internal static class StringLiteral
{
    /// <summary>Resolves the escapes; an escape that Python does not know stays as it is.</summary>
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
        {
            throw error($"truncated \\{kind}{new string('X', size)} escape");
        }

        if (point is >= 0 and <= 0xFFFF)
            text.Append((char)point);
        else if (Rune.IsValid(point))
            text.Append(new Rune(point).ToString());
        else
            throw error("illegal Unicode character");
    }
}

/// <summary>The number literals of Jinja: Python's, with underscores between digits.</summary>
internal static class NumberLiteral
{
    /// <summary>The length of the float literal at this position; 0 where there is none.</summary>
    public static int FloatLength(string source, int start)
    {
        var whole = Digits(source, start);
        if (whole == start)
            return 0;
        var end = whole;
        if (Unit(source, end) == '.' && Digits(source, end + 1) is var fraction && fraction > end + 1)
            end = fraction;
        if (Unit(source, end) is 'e' or 'E')
        {
            var digits = Unit(source, end + 1) is '+' or '-' ? end + 2 : end + 1;
            if (Digits(source, digits) is var exponent && exponent > digits)
                end = exponent;
        }

        return end == whole ? 0 : end - start;
    }

    /// <summary>The length of the integer literal at this position; at least 1.</summary>
    public static int IntegerLength(string source, int start)
    {
        if (source[start] != '0')
            return Digits(source, start) - start;
        var prefixed = char.ToLowerInvariant(Unit(source, start + 1)) switch
        {
            'b' => Run(source, start + 2, unit => unit is '0' or '1'),
            'o' => Run(source, start + 2, unit => unit is >= '0' and <= '7'),
            'x' => Run(source, start + 2, char.IsAsciiHexDigit),
            _ => start,
        };
        return (prefixed > start + 2 ? prefixed : Run(source, start, unit => unit == '0')) - start;
    }

    /// <summary>The value of an integer literal without underscores.</summary>
    public static BigInteger Integer(string text) => (text.Length > 2 ? char.ToLowerInvariant(text[1]) : '\0') switch
    {
        'b' => Parse(text, 2),
        'o' => Parse(text, 8),
        'x' => Parse(text, 16),
        _ => BigInteger.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture),
    };

    private static BigInteger Parse(string text, int radix)
    {
        var value = BigInteger.Zero;
        foreach (var unit in text.AsSpan(2))
            value = value * radix + Convert.ToInt32(unit.ToString(), 16);
        return value;
    }

    private static int Digits(string source, int at) => Run(source, at, char.IsAsciiDigit);

    /// <summary>The end of a run of digits, in which single underscores may stand between (after a prefix, also before) digits.</summary>
    private static int Run(string source, int at, Func<char, bool> isDigit)
    {
        var end = at;
        while (isDigit(Unit(source, end)) ||
            (Unit(source, end) == '_' && isDigit(Unit(source, end + 1)) && (end > at || char.IsLetter(Unit(source, at - 1)))))
        {
            end++;
        }

        return end;
    }

    private static char Unit(string source, int at) => at >= 0 && at < source.Length ? source[at] : '\0';
}
