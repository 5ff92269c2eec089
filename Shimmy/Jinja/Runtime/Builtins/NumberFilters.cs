using System.Globalization;
using System.Numerics;

namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary>Filters over numbers.</summary>
internal static class NumberFilters
{
    /// <summary><c>int</c>: the default where the value is no number.</summary>
    public static Value ToInteger(Value value, Value?[] arguments, RenderContext context)
    {
        var absent = arguments[0] ?? IntegerValue.Of(0);
        switch (value)
        {
            case IntegerLikeValue integer:
                return IntegerValue.Of(integer.Number);
            case FloatValue { Number: var number }:
                return double.IsFinite(number) ? IntegerValue.Of(new BigInteger(number)) :
                    double.IsNaN(number) ? absent : throw TemplateException.Evaluation("cannot convert float infinity to integer");
            case TextValue text:
                context.Scan(text.Text.Length * 16L);
                if (ParseInteger(text.Text, Parameters.Integer(arguments[1], 10)) is { } parsed)
                    return IntegerValue.Of(parsed);
                return ParseFloat(text.Text) is { } wide && double.IsFinite(wide) ? IntegerValue.Of(new BigInteger(wide)) : absent;
            case UndefinedValue undefined:
                throw undefined.Fail();
            default:
                return absent;
        }
    }

    /// <summary><c>float</c>: the default where the value is no number.</summary>
    public static Value ToFloat(Value value, Value?[] arguments, RenderContext context)
    {
        switch (value)
        {
            case NumberValue number:
                return new FloatValue(number.ToDouble());
            case TextValue text:
                context.Scan(text.Text.Length * 16L);
                if (ParseFloat(text.Text) is { } parsed)
                    return new FloatValue(parsed);
                break;
            case UndefinedValue undefined:
                throw undefined.Fail();
        }

        return arguments[0] ?? new FloatValue(0);
    }

    /// <summary><c>round</c>.</summary>
    public static Value Round(Value value, Value?[] arguments)
    {
        var precision = Parameters.Integer(arguments[0], 0);
        var method = arguments[1] is null ? "common" : (arguments[1] as TextValue)?.Text;
        if (method is not ("common" or "ceil" or "floor"))
            throw TemplateException.Evaluation("method must be common, ceil or floor");
        if (value is not NumberValue number)
        {
            throw value is UndefinedValue undefined
                ? undefined.Fail()
                : TemplateException.Evaluation($"type {value.TypeName} doesn't define __round__ method");
        }

        if (method == "common")
        {
            return number is IntegerLikeValue integer
                ? IntegerValue.Of(RoundInteger(integer.Number, precision))
                : new FloatValue(FloatText.Round(number.ToDouble(), precision));
        }

        if (Math.Abs(precision) > 400)
            throw TemplateException.Evaluation("int too large to convert to float");
        var scale = Math.Pow(10, precision);
        var scaled = number.ToDouble() * scale;
        var rounded = method == "ceil" ? Math.Ceiling(scaled) : Math.Floor(scaled);
        if (!double.IsFinite(rounded))
            throw TemplateException.Evaluation("cannot convert float infinity to integer");
        // Python's ceil() and floor() give an integer, and the division by the scale gives a float.
        return new FloatValue(rounded / scale);
    }

    /// <summary><c>filesizeformat</c>.</summary>
    public static TextValue FileSize(Value value, Value?[] arguments)
    {
        var isBinary = Parameters.Flag(arguments[0]);
        var bytes = value switch
        {
            NumberValue number => number.ToDouble(),
            TextValue text when ParseFloat(text.Text) is { } parsed => parsed,
            TextValue text => throw TemplateException.Evaluation($"could not convert string to float: {TextRepr.Quote(text.Text)}"),
            UndefinedValue undefined => throw undefined.Fail(),
            _ => throw TemplateException.Evaluation($"float() argument must be a string or a real number, not '{value.TypeName}'"),
        };
        if (bytes == 1)
            return TextValue.Own("1 Byte");
        double unit = isBinary ? 1024 : 1000;
        if (bytes < unit)
            return TextValue.Own($"{(bytes <= -1 ? "-" : "")}{FloatText.Fixed(Math.Abs(Math.Truncate(bytes)), 0)} Bytes");
        var size = bytes / unit;
        var prefix = 0;
        for (; size >= unit && prefix < 7; prefix++)
            size /= unit;
        return TextValue.Own($"{FloatText.Fixed(size, 1)} {(isBinary ? "KMGTPEZY" : "kMGTPEZY")[prefix]}{(isBinary ? "iB" : "B")}");
    }

    /// <summary><c>int(text, base)</c>, or null where it fails.</summary>
    private static BigInteger? ParseInteger(string text, int radix)
    {
        if (radix is < 0 or 1 or > 36)
            return null;
        var digits = text.AsSpan().Trim();
        var isNegative = digits.StartsWith("-");
        if (isNegative || digits.StartsWith("+"))
            digits = digits[1..];
        if (digits.Length > 2 && digits[0] == '0' && PrefixRadix(digits[1]) is { } prefixed && (radix == 0 || radix == prefixed))
        {
            digits = digits[2..];
            radix = prefixed;
            if (digits[0] == '_')
                digits = digits[1..];
        }

        radix = radix == 0 ? 10 : radix;
        if (digits.IsEmpty || digits.Length > 4300 || digits[0] == '_' || digits[^1] == '_' || digits.IndexOf("__") >= 0)
            return null;
        var value = BigInteger.Zero;
        foreach (var unit in digits)
        {
            if (unit == '_')
                continue;
            var digit = char.IsAsciiLetter(unit) ? (unit | 0x20) - 'a' + 10 : char.IsDigit(unit) ? (int)char.GetNumericValue(unit) : 36;
            if (digit >= radix)
                return null;
            value = value * radix + digit;
        }

        return isNegative ? -value : value;
    }

    private static int? PrefixRadix(char unit) => (unit | 0x20) switch { 'x' => 16, 'o' => 8, 'b' => 2, _ => null };

    /// <summary><c>float(text)</c>, or null where it fails.</summary>
    private static double? ParseFloat(string text)
    {
        var trimmed = text.Trim();
        if (trimmed.StartsWith('_') || trimmed.EndsWith('_') || trimmed.Contains("__", StringComparison.Ordinal))
            return null;
        var plain = trimmed.TrimStart('+', '-');
        if (trimmed.Length - plain.Length <= 1)
        {
            var sign = trimmed.StartsWith('-') ? -1 : 1;
            if (plain.Equals("inf", StringComparison.OrdinalIgnoreCase) || plain.Equals("infinity", StringComparison.OrdinalIgnoreCase))
                return sign * double.PositiveInfinity;
            if (plain.Equals("nan", StringComparison.OrdinalIgnoreCase))
                return double.NaN;
        }

        const NumberStyles Styles = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        return double.TryParse(trimmed.Replace("_", "", StringComparison.Ordinal), Styles, CultureInfo.InvariantCulture, out var value)
            ? value
            : null;
    }

    private static BigInteger RoundInteger(BigInteger number, int precision)
    {
        if (precision >= 0)
            return number;
        if (precision < -4300)
            return BigInteger.Zero;
        var unit = BigInteger.Pow(10, -precision);
        return FloatText.DivideRounded(number, unit) * unit;
    }
}
