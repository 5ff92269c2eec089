using System.Globalization;
using System.Numerics;
using System.Text;

namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary>
/// Python's format specification: <c>[[fill]align][sign][z][#][0][width][grouping][.precision][type]</c>
/// (docs.python.org/3/library/string.html, "Format Specification Mini-Language").
/// </summary>
internal readonly struct FormatSpecification
{
    private readonly string fill;
    private readonly char align;
    private readonly char sign;
    private readonly bool alternate;
    private readonly int width;
    private readonly char grouping;
    private readonly int precision;
    private readonly char type;

    private FormatSpecification(string text)
    {
        var at = 0;
        (fill, align, sign, precision) = (" ", '\0', '\0', -1);
        var fillSize = text.Length > 0 && Rune.TryGetRuneAt(text, 0, out var rune) ? rune.Utf16SequenceLength : 1;
        if (text.Length > fillSize && IsAlign(text[fillSize]))
        {
            (fill, align) = (text[..fillSize], text[fillSize]);
            at = fillSize + 1;
        }
        else if (text.Length > 0 && IsAlign(text[0]))
        {
            align = text[at++];
        }

        if (at < text.Length && text[at] is '+' or '-' or ' ')
            sign = text[at++];
        if (at < text.Length && text[at] == '#')
            (alternate, at) = (true, at + 1);
        if (at < text.Length && text[at] == '0')
        {
            at++;
            if (align == '\0')
                (fill, align) = ("0", '=');
        }

        width = Number(text, ref at) ?? 0;
        if (at < text.Length && text[at] is ',' or '_')
            grouping = text[at++];
        if (at < text.Length && text[at] == '.')
        {
            at++;
            precision = Number(text, ref at) ?? throw TemplateException.Evaluation("Format specifier missing precision");
        }

        if (at < text.Length)
            type = text[at++];
        if (at < text.Length)
            throw TemplateException.Evaluation("Invalid format specifier");

        static bool IsAlign(char unit) => unit is '<' or '>' or '=' or '^';
    }

    /// <summary>Appends <c>format(value, specification)</c>.</summary>
    public static void Apply(Value value, string specification, TextBuilder output)
    {
        if (specification.Length == 0)
        {
            output.Append(value);
            return;
        }

        if (value is not (TextValue or NumberValue))
            throw TemplateException.Evaluation($"unsupported format string passed to {value.TypeName}.__format__");
        var format = new FormatSpecification(specification);
        output.Rendering.Reserve(format.width);
        switch (value)
        {
            case TextValue text:
                format.ApplyToText(text, output);
                break;
            case IntegerLikeValue integer when !IsFloatType(format.type):
                format.ApplyToInteger(integer.Number, output);
                break;
            case NumberValue number:
                format.ApplyToFloat(number.ToDouble(), output);
                break;
        }
    }

    private static bool IsFloatType(char type) => type is 'e' or 'E' or 'f' or 'F' or 'g' or 'G' or '%';

    private static int? Number(string text, ref int at)
    {
        var start = at;
        while (at < text.Length && char.IsAsciiDigit(text[at]))
            at++;
        if (at == start)
            return null;
        return int.TryParse(text.AsSpan(start, at - start), NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw TemplateException.Evaluation("Too many decimal digits in format string");
    }

    private void ApplyToText(TextValue text, TextBuilder output)
    {
        if (type is not ('\0' or 's'))
            throw TemplateException.Evaluation($"Unknown format code '{type}' for object of type 'str'");
        if (sign != '\0')
            throw TemplateException.Evaluation("Sign not allowed in string format specifier");
        if (align == '=' && fill != "0")
            throw TemplateException.Evaluation("'=' alignment not allowed in string format specifier");
        if (grouping != '\0')
            throw TemplateException.Evaluation($"Cannot specify '{grouping}' with 's'.");
        if (precision >= 0 && precision < text.CodePoints)
            text = text.Substring(0, text.UnitOf(precision));
        var missing = width - text.CodePoints;
        var before = align switch { '>' => missing, '^' => missing / 2, _ => 0 };
        Fill(output, before);
        output.Append(text);
        Fill(output, missing - Math.Max(before, 0));
    }

    private void ApplyToInteger(BigInteger number, TextBuilder output)
    {
        if (precision >= 0)
            throw TemplateException.Evaluation("Precision not allowed in integer format specifier");
        if (type == 'c')
        {
            if (!Rune.IsValid((int)BigInteger.Clamp(number, -1, int.MaxValue)))
                throw TemplateException.Evaluation("%c arg not in range(0x110000)");
            Write("", new Rune((int)number).ToString(), isNumber: false, output);
            return;
        }

        if (type is not ('\0' or 'd' or 'n' or 'x' or 'X' or 'o' or 'b'))
            throw TemplateException.Evaluation($"Unknown format code '{type}' for object of type 'int'");
        Write(SignOf(number.Sign < 0) + (alternate ? NumberFormat.Prefix(type) : ""), NumberFormat.Digits(number, type),
            isNumber: true, output);
    }

    private void ApplyToFloat(double number, TextBuilder output)
    {
        var negative = double.IsNegative(number) && !double.IsNaN(number);
        var magnitude = Math.Abs(number);
        var digits = type switch
        {
            '\0' when precision < 0 => FloatText.Repr(magnitude),
            '\0' => FloatText.General(magnitude, precision, keepZeros: false, withPoint: true),
            '%' => NumberFormat.Digits(magnitude * 100, 'f', precision < 0 ? 6 : precision, alternate) + "%",
            'e' or 'E' or 'f' or 'F' or 'g' or 'G' or 'n' =>
                NumberFormat.Digits(magnitude, type, precision < 0 ? 6 : precision, alternate),
            _ => throw TemplateException.Evaluation($"Unknown format code '{type}' for object of type 'float'"),
        };
        Write(SignOf(negative), digits, isNumber: true, output);
    }

    private string SignOf(bool negative) => negative ? "-" : sign is '+' or ' ' ? sign.ToString() : "";

    private void Write(string prefix, string digits, bool isNumber, TextBuilder output)
    {
        if (grouping != '\0')
        {
            var size = type is 'x' or 'X' or 'o' or 'b' ? 4 : 3;
            // Zeros that fill the width are grouped with the digits.
            while (fill == "0" && align == '=' &&
                prefix.Length + NumberFormat.Group("0" + digits, grouping, size).Length <= width)
                digits = "0" + digits;
            digits = NumberFormat.Group(digits, grouping, size);
        }

        var missing = width - prefix.Length - digits.Length;
        var side = align == '\0' ? (isNumber ? '>' : '<') : align;
        var before = side switch { '>' => missing, '^' => missing / 2, _ => 0 };
        Fill(output, before);
        output.Append(prefix);
        if (side == '=')
            Fill(output, missing);
        output.Append(digits);
        if (side != '=')
            Fill(output, missing - Math.Max(before, 0));
    }

    private void Fill(TextBuilder output, int count)
    {
        if (fill.Length == 1)
            output.Append(fill[0], count);
        else
            for (; count > 0; count--)
                output.Append(fill);
    }
}
