using System.Globalization;

namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary>
/// <c>tojson</c> as transformers defines it: Python's <c>json.dumps</c> with non-ASCII kept and nothing escaped for HTML. What
/// came in with the request stays marked as such; brackets, commas and quotes are the template's.
/// </summary>
internal sealed class JsonFilter
{
    private readonly TextBuilder _output;
    private readonly bool _asciiOnly;
    private readonly bool _sortKeys;
    private readonly TextValue? _indent;
    private readonly TextValue _itemSeparator;
    private readonly TextValue _keySeparator;

    private JsonFilter(TextBuilder output, Value?[] arguments)
    {
        _output = output;
        _asciiOnly = Parameters.Flag(arguments[0]);
        _indent = arguments[1] switch
        {
            null or NoneValue => null,
            TextValue text => text,
            var width => TextValue.Own(Spaces(Parameters.Integer(width, 0), output.Context)),
        };
        _sortKeys = Parameters.Flag(arguments[3]);
        (_itemSeparator, _keySeparator) = (TextValue.Own(_indent is null ? ", " : ","), TextValue.Own(": "));
        if (arguments[2] is not (null or NoneValue))
        {
            if (Parameters.Elements(arguments[2]!, output.Context) is not [var item, var key])
                throw TemplateException.Evaluation("separators must be two strings");
            (_itemSeparator, _keySeparator) = (Parameters.Text(item), Parameters.Text(key));
        }
    }

    /// <summary>The parameters.</summary>
    public static Signature Signature { get; } = new("ensure_ascii=", "indent=", "separators=", "sort_keys=");

    /// <summary>Writes a value as JSON.</summary>
    public static TextValue Apply(Value value, Value?[] arguments, RenderContext context)
    {
        // A builder of its own: the caller may hold another rented builder with text in it.
        var output = context.Rent();
        new JsonFilter(output, arguments).Write(value, 0);
        return context.Finish(output);
    }

    private static string Spaces(int count, RenderContext context)
    {
        context.Reserve(count);
        return new string(' ', Math.Max(0, count));
    }

    private void Write(Value value, int depth)
    {
        _output.Context.Descend();
        switch (value)
        {
            case TextValue text:
                WriteText(text);
                break;
            case NoneValue:
                _output.Append("null");
                break;
            case BooleanValue:
                _output.Append(value.IsTrue ? "true" : "false");
                break;
            case IntegerValue:
                value.WriteRepr(_output);
                break;
            case FloatValue number:
                _output.Append(Number(number.Number));
                break;
            case SequenceValue sequence:
                WriteList(sequence.Items, depth);
                break;
            case DictionaryValue dictionary:
                WriteDictionary(dictionary, depth);
                break;
            default:
                throw TemplateException.Evaluation($"Object of type {value.TypeName} is not JSON serializable");
        }
    }

    private static string Number(double number) => double.IsNaN(number) ? "NaN" :
        double.IsInfinity(number) ? number > 0 ? "Infinity" : "-Infinity" : FloatText.Repr(number);

    private void WriteList(Value[] items, int depth)
    {
        if (items.Length == 0)
        {
            _output.Append("[]");
            return;
        }

        _output.Append('[');
        for (var i = 0; i < items.Length; i++)
        {
            Separate(i, depth + 1);
            Write(items[i], depth + 1);
        }

        NewLine(depth);
        _output.Append(']');
    }

    private void WriteDictionary(DictionaryValue dictionary, int depth)
    {
        var entries = dictionary.Entries.ToArray();
        if (entries.Length == 0)
        {
            _output.Append("{}");
            return;
        }

        if (_sortKeys)
            entries = Sorting.Sort(entries, entry => entry.Key, reverse: false, _output.Context);
        _output.Append('{');
        for (var i = 0; i < entries.Length; i++)
        {
            Separate(i, depth + 1);
            WriteKey(entries[i].Key);
            _output.Append(_keySeparator);
            Write(entries[i].Value, depth + 1);
        }

        NewLine(depth);
        _output.Append('}');
    }

    private void WriteKey(Value key)
    {
        if (key is TextValue text)
        {
            WriteText(text);
            return;
        }

        if (key is not (NumberValue or NoneValue))
            throw TemplateException.Evaluation($"keys must be str, int, float, bool or None, not {key.TypeName}");
        _output.Append('"');
        Write(key, 0);
        _output.Append('"');
    }

    private void Separate(int index, int depth)
    {
        if (index > 0)
            _output.Append(_itemSeparator);
        NewLine(depth);
    }

    private void NewLine(int depth)
    {
        if (_indent is null)
            return;
        _output.Append('\n');
        for (; depth > 0; depth--)
            _output.Append(_indent);
    }

    private void WriteText(TextValue text)
    {
        var units = text.Text;
        _output.Context.Scan(units.Length * 4L);
        _output.Append('"');
        var plain = 0;
        for (var i = 0; i < units.Length; i++)
        {
            if (Escape(units[i]) is not { } escape)
                continue;
            _output.Append(text, plain, i - plain);
            _output.Append(escape, text.Provenance.IsRequestAt(i));
            plain = i + 1;
        }

        _output.Append(text, plain, units.Length - plain);
        _output.Append('"');
    }

    private string? Escape(char unit) => unit switch
    {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\f' => "\\f",
        '\b' => "\\b",
        < ' ' => Code(unit),
        > '~' when _asciiOnly => Code(unit),
        _ => null,
    };

    private static string Code(char unit) => "\\u" + ((int)unit).ToString("x4", CultureInfo.InvariantCulture);
}
