using System.Globalization;
using System.Numerics;
using System.Text;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Formats;

/// <summary>Writes the digits of a number for <c>format()</c> and <c>%</c>, without sign and padding.</summary>
internal static class NumberFormat
{
    /// <summary>The digits of an integer in a base, of its absolute value.</summary>
    public static string Digits(BigInteger number, char type)
    {
        number = BigInteger.Abs(number);
        return type switch
        {
            'x' => InBase(number, 4, 'a'),
            'X' => InBase(number, 4, 'A'),
            'o' => InBase(number, 3, 'a'),
            'b' => InBase(number, 1, 'a'),
            _ => Decimal(number),
        };
    }

    /// <summary>The prefix that <c>#</c> puts before the digits.</summary>
    public static string Prefix(char type) => type is 'x' or 'X' or 'o' or 'b' ? $"0{type}" : "";

    /// <summary>The digits of a float, of its absolute value.</summary>
    public static string Digits(double number, char type, int precision, bool alternate)
    {
        var digits = char.ToLowerInvariant(type) switch
        {
            'e' => FloatText.Exponent(number, precision),
            'g' or 'n' => FloatText.General(number, precision, keepZeros: alternate),
            _ => FloatText.Fixed(number, precision),
        };
        if (alternate && double.IsFinite(number) && !digits.Contains('.'))
            digits = digits.Contains('e') ? digits.Replace("e", ".e", StringComparison.Ordinal) : digits + ".";
        return char.IsUpper(type) ? digits.ToUpperInvariant() : digits;
    }

    /// <summary>Puts a separator between groups of digits of the whole part.</summary>
    public static string Group(string digits, char separator, int size)
    {
        var end = 0;
        while (end < digits.Length && char.IsAsciiHexDigit(digits[end]) && !(size == 3 && digits[end] is 'e' or 'E'))
            end++;
        var grouped = new StringBuilder(digits);
        for (var at = end - size; at > 0; at -= size)
            grouped.Insert(at, separator);
        return grouped.ToString();
    }

    /// <summary>A value as a double, for the formats of floats.</summary>
    public static double ToDouble(Value value) => value switch
    {
        NumberValue number => number.ToDouble(),
        UndefinedValue undefined => throw undefined.Fail(),
        _ => throw TemplateException.Evaluation($"must be real number, not {value.TypeName}"),
    };

    private static string Decimal(BigInteger number) => number.GetBitLength() > 14_285
        ? throw TemplateException.Evaluation("Exceeds the limit (4300 digits) for integer string conversion")
        : number.ToString(CultureInfo.InvariantCulture);

    private static string InBase(BigInteger number, int bits, char ten)
    {
        if (number.IsZero)
            return "0";
        var digits = new StringBuilder();
        var mask = (1 << bits) - 1;
        for (; !number.IsZero; number >>= bits)
        {
            var digit = (int)(number & mask);
            digits.Insert(0, (char)(digit < 10 ? '0' + digit : ten + digit - 10));
        }

        return digits.ToString();
    }
}
