using System.Globalization;
using System.Numerics;
using System.Text;

namespace Shimmy.Jinja.Runtime;

/// <summary>
/// Writes floats as Python does. Digits are computed exactly, with ties to even, because .NET rounds the ties of its formats
/// away from zero.
/// </summary>
internal static class FloatText
{
    /// <summary>The most digits after the point that a template may ask for.</summary>
    public const int MostPrecision = 4300;

    /// <summary><c>repr()</c>: the shortest digits that give the number back, with an exponent outside 1e-4 to 1e16.</summary>
    public static string Repr(double value) => Shortest(value, withPoint: true);

    /// <summary>The shortest digits, with <c>.0</c> after whole numbers where asked for.</summary>
    public static string Shortest(double value, bool withPoint)
    {
        if (!double.IsFinite(value))
            return Special(value);
        if (value == 0)
            return (double.IsNegative(value) ? "-0" : "0") + (withPoint ? ".0" : "");

        var scientific = value.ToString("E16", CultureInfo.InvariantCulture);
        var shortest = value.ToString("R", CultureInfo.InvariantCulture);
        // Both agree on the exponent but for numbers that round up to a power of ten, where R's digits decide.
        var (digits, exponent) = Digits(shortest.Contains('E') ? shortest : scientific, shortest);
        var sign = double.IsNegative(value) ? "-" : "";
        return sign + (exponent is >= -4 and < 16
            ? Positional(digits, exponent, withPoint)
            : Scientific(digits, exponent));
    }

    /// <summary><c>%.nf</c>, of the absolute value.</summary>
    public static string Fixed(double value, int precision)
    {
        if (!double.IsFinite(value))
            return Special(Math.Abs(value));
        Check(precision);
        var digits = Scaled(Math.Abs(value), precision).ToString(CultureInfo.InvariantCulture);
        if (precision == 0)
            return digits;
        digits = digits.PadLeft(precision + 1, '0');
        return $"{digits[..^precision]}.{digits[^precision..]}";
    }

    /// <summary><c>%.ne</c>, of the absolute value.</summary>
    public static string Exponent(double value, int precision)
    {
        if (!double.IsFinite(value))
            return Special(Math.Abs(value));
        Check(precision);
        var (digits, exponent) = Significant(Math.Abs(value), precision + 1);
        return Scientific(digits, exponent);
    }

    /// <summary><c>%.ng</c>, of the absolute value.</summary>
    public static string General(double value, int precision, bool keepZeros, bool withPoint = false)
    {
        if (!double.IsFinite(value))
            return Special(Math.Abs(value));
        Check(precision);
        var (digits, exponent) = Significant(Math.Abs(value), Math.Max(precision, 1));
        if (!keepZeros)
            digits = digits.TrimEnd('0') is { Length: > 0 } trimmed ? trimmed : "0";
        // Without a type, format() wants a digit after the point and so turns to the exponent one digit earlier.
        return exponent < -4 || exponent >= Math.Max(precision, 1) - (withPoint ? 1 : 0)
            ? Scientific(digits, exponent)
            : Positional(digits, exponent, withPoint);
    }

    /// <summary>Rounds to digits after the point (before it, where negative), ties to even on the exact value.</summary>
    public static double Round(double value, int digits)
    {
        if (!double.IsFinite(value) || digits > 330)
            return value;
        if (digits < -330)
            return value * 0;
        var rounded = double.Parse(
            digits >= 0
                ? Fixed(value, digits)
                : (Scaled(Math.Abs(value), digits) * BigInteger.Pow(10, -digits)).ToString(CultureInfo.InvariantCulture),
            CultureInfo.InvariantCulture);
        return double.CopySign(rounded, value);
    }

    /// <summary>The number as an integer times a power of two.</summary>
    public static (BigInteger Mantissa, int Exponent) Decompose(double value)
    {
        var bits = BitConverter.DoubleToInt64Bits(value);
        var exponent = (int)((bits >> 52) & 0x7FF);
        var mantissa = bits & 0xFFFFFFFFFFFFF;
        if (exponent == 0)
            exponent++;
        else
            mantissa |= 1L << 52;
        return (bits < 0 ? -mantissa : mantissa, exponent - 1075);
    }

    /// <summary>Divides, rounding to the nearest, ties to even. Both are positive.</summary>
    public static BigInteger DivideRounded(BigInteger dividend, BigInteger divisor)
    {
        var quotient = BigInteger.DivRem(dividend, divisor, out var remainder);
        var half = (remainder << 1).CompareTo(divisor);
        return half > 0 || (half == 0 && !quotient.IsEven) ? quotient + 1 : quotient;
    }

    private static BigInteger Scaled(double value, int decimals)
    {
        var (mantissa, exponent) = Decompose(value);
        var dividend = exponent > 0 ? mantissa << exponent : mantissa;
        var divisor = exponent < 0 ? BigInteger.One << -exponent : BigInteger.One;
        if (decimals >= 0)
            dividend *= BigInteger.Pow(10, decimals);
        else
            divisor *= BigInteger.Pow(10, -decimals);
        return DivideRounded(dividend, divisor);
    }

    private static (string Digits, int Exponent) Significant(double value, int count)
    {
        if (value == 0)
            return (new string('0', count), 0);
        var exponent = (int)Math.Floor(Math.Log10(value));
        while (true)
        {
            var digits = Scaled(value, count - 1 - exponent).ToString(CultureInfo.InvariantCulture);
            if (digits.Length == count)
                return (digits, exponent);
            exponent += digits.Length > count ? 1 : -1;
        }
    }

    private static (string Digits, int Exponent) Digits(string scientific, string shortest)
    {
        var digits = new StringBuilder();
        foreach (var unit in shortest)
        {
            if (unit == 'E')
                break;
            if (char.IsAsciiDigit(unit))
                digits.Append(unit);
        }

        var trimmed = digits.ToString().TrimStart('0').TrimEnd('0');
        return (trimmed, int.Parse(scientific.AsSpan(scientific.IndexOf('E') + 1), NumberStyles.AllowLeadingSign,
            CultureInfo.InvariantCulture));
    }

    private static string Positional(string digits, int exponent, bool withPoint)
    {
        if (exponent < 0)
            return "0." + new string('0', -exponent - 1) + digits;
        if (digits.Length > exponent + 1)
            return $"{digits[..(exponent + 1)]}.{digits[(exponent + 1)..]}";
        return digits.PadRight(exponent + 1, '0') + (withPoint ? ".0" : "");
    }

    private static string Scientific(string digits, int exponent) => string.Create(CultureInfo.InvariantCulture,
        $"{digits[0]}{(digits.Length > 1 ? "." : "")}{digits[1..]}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}");

    private static string Special(double value) => double.IsNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";

    private static void Check(int precision)
    {
        if (precision > MostPrecision)
            throw TemplateException.Limit($"a number is formatted with more than {MostPrecision} digits");
    }
}

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
