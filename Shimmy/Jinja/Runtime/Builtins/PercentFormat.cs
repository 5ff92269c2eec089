using System.Globalization;
using System.Numerics;
using System.Text;

namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary>The <c>%</c> operator of strings (docs.python.org/3/library/stdtypes.html, "printf-style String Formatting").</summary>
internal sealed class PercentFormat
{
    private readonly TextValue _template;
    private readonly Value _argument;
    private readonly RenderContext _context;
    private readonly TextBuilder _output;
    private int _at;
    private int _used;

    private PercentFormat(TextValue template, Value argument, RenderContext context) =>
        (_template, _argument, _context, _output) = (template, argument, context, context.Rent());

    // CPython takes every value with subscripts for a mapping, lists included, and then ignores arguments that are not used.
    private bool IsMapping => _argument is not (TupleValue or TextValue) &&
        _argument is SequenceValue or DictionaryValue or RangeValue or UndefinedValue;

    /// <summary><c>template % argument</c>.</summary>
    public static TextValue Format(TextValue template, Value argument, RenderContext context) =>
        new PercentFormat(template, argument, context).Run();

    private TextValue Run()
    {
        var text = _template.Text;
        while (_at < text.Length)
        {
            _context.Step();
            var percent = text.IndexOf('%', _at);
            if (percent < 0)
                percent = text.Length;
            _output.Append(_template, _at, percent - _at);
            _at = percent + 1;
            if (percent < text.Length)
                Conversion();
        }

        var given = _argument is TupleValue tuple ? tuple.Items.Length : IsMapping ? _used : 1;
        if (_used < given)
            throw TemplateException.Evaluation("not all arguments converted during string formatting");
        return _context.Finish(_output, _template.IsMarkup);
    }

    private void Conversion()
    {
        var text = _template.Text;
        Value? keyed = null;
        if (Peek() == '(')
        {
            var nesting = 1;
            var start = ++_at;
            for (; nesting > 0; _at++)
                nesting += Peek() switch { '(' => 1, ')' => -1, '\0' => throw Incomplete(), _ => 0 };
            if (!IsMapping)
                throw TemplateException.Evaluation("format requires a mapping");
            var key = text[start..(_at - 1)];
            keyed = _argument.Item(TextValue.Own(key), _context) ?? throw TemplateException.Evaluation(TextRepr.Quote(key));
        }

        var flags = new Flags();
        for (; Peek() is '-' or '+' or ' ' or '#' or '0'; _at++)
            flags = flags.With(Peek());
        var width = Number() ?? 0;
        if (width < 0)
            (flags, width) = (flags.With('-'), -width);
        int? precision = null;
        if (Peek() == '.')
        {
            _at++;
            precision = Math.Max(0, Number() ?? 0);
        }

        while (Peek() is 'h' or 'l' or 'L')
            _at++;
        var type = Peek();
        _at++;
        if (type == '\0')
            throw Incomplete();
        if (type == '%')
        {
            _output.Append('%');
            return;
        }

        _context.Reserve(width);
        Write(type, keyed ?? Next(), flags, width, precision);
    }

    private void Write(char type, Value value, Flags flags, int width, int? precision)
    {
        switch (type)
        {
            case 's' or 'r' or 'a':
                WriteText(Converted(type, value), flags, width, precision);
                break;
            case 'c':
                WriteText(Character(value), flags, width, null);
                break;
            case 'd' or 'i' or 'u':
                WriteNumber(Integer(type, value), 'd', flags, width, precision);
                break;
            case 'x' or 'X' or 'o':
                if (value is not IntegerLikeValue integer)
                    throw TemplateException.Evaluation($"%{type} format: an integer is required, not {value.TypeName}");
                WriteNumber(integer.Number, type, flags, width, precision);
                break;
            case 'e' or 'E' or 'f' or 'F' or 'g' or 'G':
                var number = NumberFormat.ToDouble(value);
                WriteDigits(double.IsNegative(number) && !double.IsNaN(number), "",
                    NumberFormat.Digits(Math.Abs(number), type, precision ?? 6, flags.Alternate), flags, width);
                break;
            default:
                throw TemplateException.Evaluation(
                    $"unsupported format character '{type}' (0x{(int)type:x}) at index {_template.CodePointOf(_at - 1)}");
        }
    }

    private TextValue Converted(char type, Value value)
    {
        var builder = _context.Rent();
        if (type == 's')
            builder.Append(value);
        else if (type == 'r')
            value.WriteRepr(builder);
        else
            TextRepr.WriteAscii(value, builder);
        var text = _context.Finish(builder, value is TextValue { IsMarkup: true } && type == 's');
        return _template.IsMarkup ? Html.Escape(text, _context) : text;
    }

    private static TextValue Character(Value value) => value switch
    {
        TextValue { CodePoints: 1 } text => text,
        IntegerLikeValue { Number: var point } when Rune.IsValid((int)BigInteger.Clamp(point, -1, int.MaxValue)) =>
            TextValue.Own(new Rune((int)point).ToString()),
        IntegerLikeValue => throw TemplateException.Evaluation("%c arg not in range(0x110000)"),
        _ => throw TemplateException.Evaluation("%c requires int or char"),
    };

    private static BigInteger Integer(char type, Value value) => value switch
    {
        IntegerLikeValue integer => integer.Number,
        FloatValue number => number.Truncate(),
        UndefinedValue undefined => throw undefined.Fail(),
        _ => throw TemplateException.Evaluation($"%{type} format: a real number is required, not {value.TypeName}"),
    };

    private void WriteText(TextValue text, Flags flags, int width, int? precision)
    {
        if (precision < text.CodePoints)
            text = text.Substring(0, text.UnitOf(precision.Value));
        var missing = width - text.CodePoints;
        if (!flags.Left)
            _output.Append(' ', missing);
        _output.Append(text);
        if (flags.Left)
            _output.Append(' ', missing);
    }

    private void WriteNumber(BigInteger number, char type, Flags flags, int width, int? precision)
    {
        var digits = NumberFormat.Digits(number, type);
        if (precision > digits.Length)
        {
            _context.Reserve(precision.Value);
            digits = digits.PadLeft(precision.Value, '0');
        }

        WriteDigits(number.Sign < 0, flags.Alternate ? NumberFormat.Prefix(type) : "", digits, flags, width);
    }

    private void WriteDigits(bool negative, string prefix, string digits, Flags flags, int width)
    {
        var sign = (negative ? "-" : flags.Plus ? "+" : flags.Space ? " " : "") + prefix;
        var missing = width - sign.Length - digits.Length;
        if (!flags.Left && !flags.Zero)
            _output.Append(' ', missing);
        _output.Append(sign);
        if (!flags.Left && flags.Zero)
            _output.Append('0', missing);
        _output.Append(digits);
        if (flags.Left)
            _output.Append(' ', missing);
    }

    private int? Number()
    {
        if (Peek() == '*')
        {
            _at++;
            return Next() is IntegerLikeValue { Number: var star }
                ? (int)BigInteger.Clamp(star, int.MinValue + 1, int.MaxValue)
                : throw TemplateException.Evaluation("* wants int");
        }

        var start = _at;
        while (char.IsAsciiDigit(Peek()))
            _at++;
        if (start == _at)
            return null;
        return int.TryParse(_template.Text.AsSpan(start, _at - start), NumberStyles.None, CultureInfo.InvariantCulture, out var n)
            ? n
            : throw TemplateException.Evaluation("width too big");
    }

    private Value Next()
    {
        var index = _used++;
        if (_argument is TupleValue tuple && index < tuple.Items.Length)
            return tuple.Items[index];
        return _argument is not TupleValue && index == 0
            ? _argument
            : throw TemplateException.Evaluation("not enough arguments for format string");
    }

    private char Peek() => _at < _template.Text.Length ? _template.Text[_at] : '\0';

    private static TemplateException Incomplete() => TemplateException.Evaluation("incomplete format");

    private readonly record struct Flags(bool Left, bool Plus, bool Space, bool Alternate, bool Zero)
    {
        public Flags With(char flag) => flag switch
        {
            '-' => this with { Left = true },
            '+' => this with { Plus = true },
            ' ' => this with { Space = true },
            '#' => this with { Alternate = true },
            _ => this with { Zero = true },
        };
    }
}
