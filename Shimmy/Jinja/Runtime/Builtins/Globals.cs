using System.Globalization;
using System.Numerics;
using System.Text;

namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary>
/// The global functions, which every template has: Jinja's own, without <c>lipsum</c>, whose random text no chat template can want, and
/// those that transformers adds.
/// </summary>
internal static class Globals
{
    private static readonly Signature Message = new("message");
    private static readonly Signature Separator = new("sep=");
    private static readonly Signature TimeFormatText = new("format");

    private static readonly Dictionary<string, Value> Table = new(StringComparer.Ordinal)
    {
        ["range"] = FunctionValue.Function("range", (arguments, _) => Range(arguments)),
        ["dict"] = new FunctionValue("dict", "type", Dictionary),
        ["cycler"] = new FunctionValue("cycler", "type", (arguments, _) => Cycler(arguments)),
        ["joiner"] = new FunctionValue("joiner", "type", (arguments, _) =>
            new JoinerValue(Separator.Bind("joiner", arguments)[0] ?? TextValue.Own(", "))),
        ["namespace"] = new FunctionValue("namespace", "type", (arguments, context) =>
            new NamespaceValue(Dictionary(arguments, context))),
        ["raise_exception"] = FunctionValue.Function("raise_exception", (arguments, context) => throw new TemplateException(
            TemplateFailure.Refused, Message.Bind("raise_exception", arguments)[0]!.ToText(context).Text)),
        ["strftime_now"] = FunctionValue.Function("strftime_now", (arguments, context) => TextValue.Own(TimeFormat.Format(
            context.Clock.GetLocalNow().DateTime, Parameters.Text(TimeFormatText.Bind("strftime_now", arguments)[0]).Text, context))),
    };

    /// <summary>The function of a name, or null.</summary>
    public static Value? Find(string name) => Table.GetValueOrDefault(name);

    private static RangeValue Range(Arguments arguments)
    {
        if (arguments.Named.Length > 0)
            throw TemplateException.Evaluation("range() takes no keyword arguments");
        var bounds = Array.ConvertAll(arguments.Positional, Integer);
        return bounds.Length switch
        {
            1 => RangeValue.Of(BigInteger.Zero, bounds[0], BigInteger.One),
            2 => RangeValue.Of(bounds[0], bounds[1], BigInteger.One),
            3 => RangeValue.Of(bounds[0], bounds[1], bounds[2]),
            _ => throw TemplateException.Evaluation($"range expected 1 to 3 arguments, got {bounds.Length}"),
        };
    }

    private static BigInteger Integer(Value value) => value is IntegerLikeValue integer
        ? integer.Number
        : throw TemplateException.Evaluation($"'{value.TypeName}' object cannot be interpreted as an integer");

    private static CyclerValue Cycler(Arguments arguments) => arguments.Positional.Length > 0
        ? new CyclerValue(arguments.Positional)
        : throw TemplateException.Evaluation("at least one item has to be provided");

    private static DictionaryValue Dictionary(Arguments arguments, RenderContext context)
    {
        var entries = new List<KeyValuePair<Value, Value>>();
        switch (arguments.Positional)
        {
            case []:
                break;
            case [DictionaryValue dictionary]:
                entries.AddRange(dictionary.Entries);
                break;
            case [var pairs]:
                foreach (var pair in Parameters.Elements(pairs, context))
                {
                    entries.Add(Parameters.Elements(pair, context) is [var key, var value]
                        ? new(key, value)
                        : throw TemplateException.Evaluation("dictionary update sequence elements must have length 2"));
                }

                break;
            default:
                throw TemplateException.Evaluation("dict expected at most 1 argument");
        }

        foreach (var (name, value) in arguments.Named)
            entries.Add(new(TextValue.Own(name), value));
        return DictionaryValue.Of(entries, context);
    }
}

/// <summary>The result of <c>cycler()</c>: an object that goes through its items in turn, again and again.</summary>
internal sealed class CyclerValue(Value[] items) : Value
{
    private int _position;

    public override string TypeName => "Cycler";

    public override string ObjectName => "jinja2.utils.Cycler object";

    public override Value? Attribute(string name, RenderContext context) => name switch
    {
        "current" => items[_position],
        "pos" => IntegerValue.Of(_position),
        "items" => new TupleValue(items),
        "next" => FunctionValue.WithoutArguments(name, Next),
        "reset" => FunctionValue.WithoutArguments(name, Reset),
        _ => null,
    };

    public override void WriteRepr(TextBuilder text) => text.Append("<jinja2.utils.Cycler object>");

    private Value Next()
    {
        var current = items[_position];
        _position = (_position + 1) % items.Length;
        return current;
    }

    private NoneValue Reset()
    {
        _position = 0;
        return NoneValue.Instance;
    }
}

/// <summary>The result of <c>joiner()</c>: a function that returns nothing at its first call, the separator at every later one.</summary>
internal sealed class JoinerValue(Value separator) : Value
{
    private bool _used;

    public override string TypeName => "Joiner";

    public override string ObjectName => "jinja2.utils.Joiner object";

    public override bool IsCallable => true;

    public override Value? Attribute(string name, RenderContext context) => name switch
    {
        "sep" => separator,
        "used" => BooleanValue.Of(_used),
        _ => null,
    };

    public override Value Call(Arguments arguments, RenderContext context)
    {
        Signature.Empty.Bind("Joiner", arguments);
        if (_used)
            return separator;
        _used = true;
        return TextValue.Empty;
    }

    public override void WriteRepr(TextBuilder text) => text.Append("<jinja2.utils.Joiner object>");
}

/// <summary>The result of <c>namespace()</c>: an object with attributes to assign, the only value that a template can change.</summary>
internal sealed class NamespaceValue(DictionaryValue initial) : Value
{
    private readonly OrderedDictionary<string, Value> _attributes = Copy(initial);

    public override string TypeName => "Namespace";

    public override string ObjectName => "jinja2.utils.Namespace object";

    /// <summary>Sets an attribute.</summary>
    public void Set(string name, Value value) => _attributes[name] = value;

    public override Value? Attribute(string name, RenderContext context) => _attributes.GetValueOrDefault(name);

    public override void WriteRepr(TextBuilder text)
    {
        text.Context.Descend();
        text.Append("<Namespace {");
        var first = true;
        foreach (var (name, value) in _attributes)
        {
            if (!first)
                text.Append(", ");
            first = false;
            TextRepr.Write(TextValue.Own(name), text);
            text.Append(": ");
            value.WriteRepr(text);
        }

        text.Append("}>");
    }

    private static OrderedDictionary<string, Value> Copy(DictionaryValue initial)
    {
        var copy = new OrderedDictionary<string, Value>(StringComparer.Ordinal);
        foreach (var entry in initial.Entries)
        {
            if (entry.Key is TextValue name)
                copy[name.Text] = entry.Value;
        }

        return copy;
    }
}

/// <summary>
/// <c>datetime.strftime</c> in the C locale, with the flags of glibc (<c>%-d</c>). A naive time has no zone, so <c>%z</c> and
/// <c>%Z</c> give nothing.
/// </summary>
internal static class TimeFormat
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    /// <summary>
    /// Writes a time; the work counts as steps of <paramref name="context"/>, null for a directive that stands for a few others.
    /// </summary>
    public static string Format(DateTime time, string format, RenderContext? context)
    {
        context?.Step(format.Length);
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
            context?.Step(width);
            context?.Reserve(text.Length + width);
            var directive = at < format.Length ? Directive(time, format[at]) : null;
            // A directive that the C library does not know stays in the text as it is.
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
