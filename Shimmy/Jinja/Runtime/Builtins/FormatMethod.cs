using System.Globalization;

namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary><c>str.format</c> and <c>str.format_map</c>, with attributes looked up as the sandbox allows.</summary>
internal sealed class FormatMethod
{
    private readonly TextValue _template;
    private readonly Func<string, Value> _named;
    private readonly Value[] _positional;
    private readonly RenderContext _context;
    private int _automatic;
    private bool _numbered;

    private FormatMethod(TextValue template, Value[] positional, Func<string, Value> named, RenderContext context) =>
        (_template, _positional, _named, _context) = (template, positional, named, context);

    /// <summary><c>template.format(*positional, **named)</c>.</summary>
    public static TextValue Format(TextValue template, Arguments arguments, RenderContext context) =>
        new FormatMethod(template, arguments.Positional, name => arguments.Find(name) ?? throw Missing(name), context).Run();

    /// <summary><c>template.format_map(mapping)</c>.</summary>
    public static TextValue Format(TextValue template, Value mapping, RenderContext context) => new FormatMethod(template, [],
        name => mapping.Item(TextValue.Own(name), context) ?? throw Missing(name), context).Run();

    private static TemplateException Missing(string name) => TemplateException.Evaluation($"format() has no argument '{name}'");

    private TextValue Run()
    {
        var output = _context.Rent();
        Expand(_template, 0, _template.Text.Length, output, depth: 2);
        return _context.Finish(output, _template.IsMarkup);
    }

    private void Expand(TextValue text, int start, int end, TextBuilder output, int depth)
    {
        if (depth < 0)
            throw TemplateException.Evaluation("Max string recursion exceeded");
        var units = text.Text;
        for (var at = start; at < end;)
        {
            _context.Step();
            var brace = units.AsSpan(at, end - at).IndexOfAny('{', '}');
            if (brace < 0)
            {
                output.Append(text, at, end - at);
                return;
            }

            brace += at;
            output.Append(text, at, brace - at);
            if (brace + 1 < end && units[brace + 1] == units[brace])
            {
                output.Append(text, brace, 1);
                at = brace + 2;
            }
            else if (units[brace] == '}')
            {
                throw TemplateException.Evaluation("Single '}' encountered in format string");
            }
            else
            {
                at = Field(text, brace + 1, end, output, depth);
            }
        }
    }

    /// <summary>Expands the field that begins here; returns the position after its closing brace.</summary>
    private int Field(TextValue text, int start, int end, TextBuilder output, int depth)
    {
        var units = text.Text;
        var close = Close(units, start, end);
        var nameEnd = start;
        // A bracket holds any key up to its closing bracket.
        for (var bracketed = false; nameEnd < close && (bracketed || units[nameEnd] is not ('!' or ':')); nameEnd++)
            bracketed = units[nameEnd] == '[' || (bracketed && units[nameEnd] != ']');

        var conversion = '\0';
        var specification = nameEnd;
        if (nameEnd < close && units[nameEnd] == '!')
        {
            if (nameEnd + 1 >= close || (nameEnd + 2 < close && units[nameEnd + 2] != ':'))
                throw TemplateException.Evaluation("expected ':' after conversion specifier");
            conversion = units[nameEnd + 1];
            specification = nameEnd + 2;
        }

        var value = Convert(Resolve(units[start..nameEnd]), conversion);
        var inner = _context.Rent();
        if (specification < close)
            Expand(text, specification + 1, close, inner, depth - 1);
        Write(value, _context.Finish(inner).Text, output);
        return close + 1;
    }

    private static int Close(string units, int start, int end)
    {
        var nesting = 1;
        for (var at = start; at < end; at++)
        {
            if (units[at] == '{')
                nesting++;
            else if (units[at] == '}' && --nesting == 0)
                return at;
        }

        throw TemplateException.Evaluation("expected '}' before end of string");
    }

    private Value Resolve(string field)
    {
        var end = field.AsSpan().IndexOfAny('.', '[');
        var first = end < 0 ? field : field[..end];
        var value = First(first);
        for (var at = end; at >= 0 && at < field.Length;)
        {
            if (field[at] == '.')
            {
                var next = field.AsSpan(at + 1).IndexOfAny('.', '[');
                var stop = next < 0 ? field.Length : at + 1 + next;
                value = Lookup.Attribute(value, NotEmpty(field[(at + 1)..stop]), _context);
                at = stop;
            }
            else if (field[at] == '[')
            {
                var stop = field.IndexOf(']', at);
                if (stop < 0)
                    throw TemplateException.Evaluation("Missing ']' in format string");
                var key = NotEmpty(field[(at + 1)..stop]);
                value = Lookup.Item(value, Index(key) is { } index ? IntegerValue.Of(index) : TextValue.Own(key), _context);
                at = stop + 1;
            }
            else
            {
                throw TemplateException.Evaluation("Only '.' or '[' may follow ']' in format field specifier");
            }
        }

        return value;
    }

    private Value First(string name)
    {
        var index = Index(name);
        if (name.Length > 0 && index is null)
            return _named(name);
        var isAutomatic = name.Length == 0;
        if (isAutomatic ? _numbered : _automatic > 0)
            throw TemplateException.Evaluation("cannot switch between manual field specification and automatic field numbering");
        _numbered = !isAutomatic;
        var place = index ?? _automatic++;
        return place < _positional.Length
            ? _positional[place]
            : throw TemplateException.Evaluation("Replacement index out of range for positional args tuple");
    }

    private static int? Index(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var index) ? index : null;

    private static string NotEmpty(string name) =>
        name.Length > 0 ? name : throw TemplateException.Evaluation("Empty attribute in format string");

    private Value Convert(Value value, char conversion)
    {
        var output = _context.Rent();
        switch (conversion)
        {
            case '\0':
                _context.Return(output);
                return value;
            case 's':
                output.Append(value);
                break;
            case 'r':
                value.WriteRepr(output);
                break;
            case 'a':
                TextRepr.WriteAscii(value, output);
                break;
            default:
                throw TemplateException.Evaluation($"Unknown conversion specifier {conversion}");
        }

        return _context.Finish(output);
    }

    private void Write(Value value, string specification, TextBuilder output)
    {
        if (!_template.IsMarkup)
        {
            FormatSpecification.Apply(value, specification, output);
            return;
        }

        if (value is TextValue { IsMarkup: true } && specification.Length > 0)
            throw TemplateException.Evaluation("Unsupported format specification for Markup.");
        var formatted = _context.Rent();
        FormatSpecification.Apply(value, specification, formatted);
        output.Append(Html.Escape(_context.Finish(formatted, value is TextValue { IsMarkup: true }), _context));
    }
}
