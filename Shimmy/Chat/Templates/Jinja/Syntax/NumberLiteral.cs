using System.Globalization;
using System.Numerics;

namespace Shimmy.Chat.Templates.Jinja.Syntax;

/// <summary>The number literals of Jinja: Python's, with underscores between digits.</summary>
internal static class NumberLiteral
{
    /// <summary>How long the float literal at this position is; 0 where there is none.</summary>
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

    /// <summary>How long the integer literal at this position is; at least 1.</summary>
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
            end++;
        return end;
    }

    private static char Unit(string source, int at) => at >= 0 && at < source.Length ? source[at] : '\0';
}
