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
    private readonly string _fill;
    private readonly char _align;
    private readonly char _sign;
    private readonly bool _alternate;
    private readonly int _width;
    private readonly char _grouping;
    private readonly int _precision;
    private readonly char _type;

    private FormatSpecification(string text)
    {
        var at = 0;
        (_fill, _align, _sign, _precision) = (" ", '\0', '\0', -1);
        var fillSize = text.Length > 0 && Rune.TryGetRuneAt(text, 0, out var rune) ? rune.Utf16SequenceLength : 1;
        if (text.Length > fillSize && IsAlign(text[fillSize]))
        {
            (_fill, _align) = (text[..fillSize], text[fillSize]);
            at = fillSize + 1;
        }
        else if (text.Length > 0 && IsAlign(text[0]))
        {
            _align = text[at++];
        }

        if (at < text.Length && text[at] is '+' or '-' or ' ')
            _sign = text[at++];
        if (at < text.Length && text[at] == '#')
            (_alternate, at) = (true, at + 1);
        if (at < text.Length && text[at] == '0')
        {
            at++;
            if (_align == '\0')
                (_fill, _align) = ("0", '=');
        }

        _width = Number(text, ref at) ?? 0;
        if (at < text.Length && text[at] is ',' or '_')
            _grouping = text[at++];
        if (at < text.Length && text[at] == '.')
        {
            at++;
            _precision = Number(text, ref at) ?? throw TemplateException.Evaluation("Format specifier missing precision");
        }

        if (at < text.Length)
            _type = text[at++];
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
        output.Context.Reserve(format._width);
        switch (value)
        {
            case TextValue text:
                format.ApplyToText(text, output);
                break;
            case IntegerLikeValue integer when !IsFloatType(format._type):
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
        if (_type is not ('\0' or 's'))
            throw TemplateException.Evaluation($"Unknown format code '{_type}' for object of type 'str'");
        if (_sign != '\0')
            throw TemplateException.Evaluation("Sign not allowed in string format specifier");
        if (_align == '=' && _fill != "0")
            throw TemplateException.Evaluation("'=' alignment not allowed in string format specifier");
        if (_grouping != '\0')
            throw TemplateException.Evaluation($"Cannot specify '{_grouping}' with 's'.");
        if (_precision >= 0 && _precision < text.CodePoints)
            text = text.Substring(0, text.UnitOf(_precision));
        var missing = _width - text.CodePoints;
        var before = _align switch { '>' => missing, '^' => missing / 2, _ => 0 };
        Fill(output, before);
        output.Append(text);
        Fill(output, missing - Math.Max(before, 0));
    }

    private void ApplyToInteger(BigInteger number, TextBuilder output)
    {
        if (_precision >= 0)
            throw TemplateException.Evaluation("Precision not allowed in integer format specifier");
        if (_type == 'c')
        {
            if (!Rune.IsValid((int)BigInteger.Clamp(number, -1, int.MaxValue)))
                throw TemplateException.Evaluation("%c arg not in range(0x110000)");
            Write("", new Rune((int)number).ToString(), isNumber: false, output);
            return;
        }

        if (_type is not ('\0' or 'd' or 'n' or 'x' or 'X' or 'o' or 'b'))
            throw TemplateException.Evaluation($"Unknown format code '{_type}' for object of type 'int'");
        Write(SignOf(number.Sign < 0) + (_alternate ? NumberFormat.Prefix(_type) : ""), NumberFormat.Digits(number, _type),
            isNumber: true, output);
    }

    private void ApplyToFloat(double number, TextBuilder output)
    {
        var negative = double.IsNegative(number) && !double.IsNaN(number);
        var magnitude = Math.Abs(number);
        var digits = _type switch
        {
            '\0' when _precision < 0 => FloatText.Repr(magnitude),
            '\0' => FloatText.General(magnitude, _precision, keepZeros: false, withPoint: true),
            '%' => NumberFormat.Digits(magnitude * 100, 'f', _precision < 0 ? 6 : _precision, _alternate) + "%",
            'e' or 'E' or 'f' or 'F' or 'g' or 'G' or 'n' =>
                NumberFormat.Digits(magnitude, _type, _precision < 0 ? 6 : _precision, _alternate),
            _ => throw TemplateException.Evaluation($"Unknown format code '{_type}' for object of type 'float'"),
        };
        Write(SignOf(negative), digits, isNumber: true, output);
    }

    private string SignOf(bool negative) => negative ? "-" : _sign is '+' or ' ' ? _sign.ToString() : "";

    private void Write(string prefix, string digits, bool isNumber, TextBuilder output)
    {
        if (_grouping != '\0')
        {
            var size = _type is 'x' or 'X' or 'o' or 'b' ? 4 : 3;
            // Zeros that fill the width are grouped with the digits.
            while (_fill == "0" && _align == '=' &&
                prefix.Length + NumberFormat.Group("0" + digits, _grouping, size).Length <= _width)
            {
                digits = "0" + digits;
            }

            digits = NumberFormat.Group(digits, _grouping, size);
        }

        var missing = _width - prefix.Length - digits.Length;
        var side = _align == '\0' ? (isNumber ? '>' : '<') : _align;
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
        if (_fill.Length == 1)
        {
            output.Append(_fill[0], count);
        }
        else
        {
            for (; count > 0; count--)
                output.Append(_fill);
        }
    }
}
