using System.Globalization;

namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary>
/// <c>tojson</c> as transformers defines it: Python's <c>json.dumps</c> with non-ASCII kept and nothing escaped for HTML. What
/// came in with the request stays marked as such; brackets, commas and quotes are the template's.
/// </summary>
internal sealed class JsonFilter
{
    private readonly TextBuilder output;
    private readonly bool asciiOnly;
    private readonly bool sortKeys;
    private readonly TextValue? indent;
    private readonly TextValue itemSeparator;
    private readonly TextValue keySeparator;

    private JsonFilter(TextBuilder output, Value?[] arguments)
    {
        this.output = output;
        asciiOnly = Parameters.Flag(arguments[0]);
        indent = arguments[1] switch
        {
            null or NoneValue => null,
            TextValue text => text,
            var width => TextValue.Own(Spaces(Parameters.Integer(width, 0), output.Rendering)),
        };
        sortKeys = Parameters.Flag(arguments[3]);
        (itemSeparator, keySeparator) = (TextValue.Own(indent is null ? ", " : ","), TextValue.Own(": "));
        if (arguments[2] is not (null or NoneValue))
        {
            if (Parameters.Elements(arguments[2]!, output.Rendering) is not [var item, var key])
                throw TemplateException.Evaluation("separators must be two strings");
            (itemSeparator, keySeparator) = (Parameters.Text(item), Parameters.Text(key));
        }
    }

    /// <summary>The parameters.</summary>
    public static Signature Signature { get; } = new("ensure_ascii=", "indent=", "separators=", "sort_keys=");

    /// <summary>Writes a value as JSON.</summary>
    public static TextValue Apply(Value value, Value?[] arguments, Rendering rendering)
    {
        // A builder of its own: values may be written while another rented one is in use, but never this one twice.
        var output = rendering.Rent();
        new JsonFilter(output, arguments).Write(value, 0);
        return rendering.Finish(output);
    }

    private static string Spaces(int count, Rendering rendering)
    {
        rendering.Reserve(count);
        return new string(' ', Math.Max(0, count));
    }

    private void Write(Value value, int depth)
    {
        output.Rendering.Descend();
        switch (value)
        {
            case TextValue text:
                WriteText(text);
                break;
            case NoneValue:
                output.Append("null");
                break;
            case BooleanValue:
                output.Append(value.IsTrue ? "true" : "false");
                break;
            case IntegerValue:
                value.WriteRepr(output);
                break;
            case FloatValue number:
                output.Append(Number(number.Number));
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
            output.Append("[]");
            return;
        }

        output.Append('[');
        for (var i = 0; i < items.Length; i++)
        {
            Separate(i, depth + 1);
            Write(items[i], depth + 1);
        }

        NewLine(depth);
        output.Append(']');
    }

    private void WriteDictionary(DictionaryValue dictionary, int depth)
    {
        var entries = dictionary.Entries.ToArray();
        if (entries.Length == 0)
        {
            output.Append("{}");
            return;
        }

        if (sortKeys)
            entries = Sorting.Sort(entries, entry => entry.Key, reverse: false, output.Rendering);
        output.Append('{');
        for (var i = 0; i < entries.Length; i++)
        {
            Separate(i, depth + 1);
            WriteKey(entries[i].Key);
            output.Append(keySeparator);
            Write(entries[i].Value, depth + 1);
        }

        NewLine(depth);
        output.Append('}');
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
        output.Append('"');
        Write(key, 0);
        output.Append('"');
    }

    private void Separate(int index, int depth)
    {
        if (index > 0)
            output.Append(itemSeparator);
        NewLine(depth);
    }

    private void NewLine(int depth)
    {
        if (indent is null)
            return;
        output.Append('\n');
        for (; depth > 0; depth--)
            output.Append(indent);
    }

    private void WriteText(TextValue text)
    {
        var units = text.Text;
        output.Rendering.Scan(units.Length * 4L);
        output.Append('"');
        var plain = 0;
        for (var i = 0; i < units.Length; i++)
        {
            if (Escape(units[i]) is not { } escape)
                continue;
            output.Append(text, plain, i - plain);
            output.Append(escape, text.Provenance.IsRequestAt(i));
            plain = i + 1;
        }

        output.Append(text, plain, units.Length - plain);
        output.Append('"');
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
        > '~' when asciiOnly => Code(unit),
        _ => null,
    };

    private static string Code(char unit) => "\\u" + ((int)unit).ToString("x4", CultureInfo.InvariantCulture);
}
