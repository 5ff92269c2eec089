using Shimmy.Chat.Templates.Jinja.Text;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Methods;

/// <summary>The string methods that cut a text apart.</summary>
internal static class SplitMethods
{
    /// <summary><c>split</c>; a negative limit is none.</summary>
    public static ListValue Split(TextValue text, Value? separator, Value? limit, Rendering rendering)
    {
        var most = Parameters.Integer(limit, -1);
        IEnumerable<Value> parts = separator is null or NoneValue
            ? SplitAtSpace(text, most, rendering)
            : SplitAt(text, Separator(separator), most, rendering);
        return new ListValue([.. parts]);
    }

    /// <summary><c>rsplit</c>.</summary>
    public static ListValue SplitFromEnd(TextValue text, Value? separator, Value? limit, Rendering rendering)
    {
        var most = Parameters.Integer(limit, -1);
        if (most < 0)
            return Split(text, separator, null, rendering);
        var parts = separator is null or NoneValue
            ? SplitAtSpaceFromEnd(text, most, rendering)
            : SplitAtFromEnd(text, Separator(separator), most, rendering);
        parts.Reverse();
        return new ListValue([.. parts]);
    }

    /// <summary><c>splitlines</c>.</summary>
    public static ListValue SplitLines(TextValue text, bool keepEnds, Rendering rendering)
    {
        var lines = new List<Value>();
        var units = text.Text;
        rendering.Scan(units.Length * 8L);
        for (var start = 0; start < units.Length;)
        {
            rendering.Step();
            var end = start;
            while (end < units.Length && !CharacterClasses.IsLineBreak(units[end]))
                end++;
            var next = Math.Min(end + 1, units.Length);
            if (end + 1 < units.Length && units[end] == '\r' && units[end + 1] == '\n')
                next++;
            lines.Add(text.Substring(start, (keepEnds ? next : end) - start));
            start = next;
        }

        return new ListValue([.. lines]);
    }

    /// <summary><c>partition</c>, or <c>rpartition</c> from the end.</summary>
    public static TupleValue Partition(TextValue text, Value separator, bool fromEnd, Rendering rendering)
    {
        var by = Separator(separator);
        var at = fromEnd
            ? TextSearch.LastIndexOf(text.Text, by.Text, 0, text.Text.Length, rendering)
            : TextSearch.IndexOf(text.Text, by.Text, 0, rendering);
        var empty = TextValue.Empty.Marked(text.IsMarkup);
        if (at < 0)
            return new TupleValue(fromEnd ? [empty, empty, text] : [text, empty, empty]);
        var after = at + by.Text.Length;
        return new TupleValue([text.Substring(0, at), by.Marked(text.IsMarkup), text.Substring(after, text.Text.Length - after)]);
    }

    /// <summary>Splits at runs of white space, none of it kept.</summary>
    public static List<TextValue> SplitAtSpace(TextValue text, int limit, Rendering rendering)
    {
        var parts = new List<TextValue>();
        var units = text.Text;
        rendering.Scan(units.Length * 8L);
        var at = 0;
        while (true)
        {
            while (at < units.Length && CharacterClasses.IsSpace(units[at]))
                at++;
            if (at == units.Length)
                return parts;

            rendering.Step();
            var start = at;
            if (limit >= 0 && parts.Count == limit)
            {
                // Python keeps what follows as it is, white space at the end included.
                parts.Add(text.Substring(start, units.Length - start));
                return parts;
            }

            while (at < units.Length && !CharacterClasses.IsSpace(units[at]))
                at++;
            parts.Add(text.Substring(start, at - start));
        }
    }

    private static List<Value> SplitAt(TextValue text, TextValue separator, int limit, Rendering rendering)
    {
        var parts = new List<Value>();
        var start = 0;
        while ((limit < 0 || parts.Count < limit) &&
            TextSearch.IndexOf(text.Text, separator.Text, start, rendering) is >= 0 and var at)
        {
            rendering.Step();
            parts.Add(text.Substring(start, at - start));
            start = at + separator.Text.Length;
        }

        parts.Add(text.Substring(start, text.Text.Length - start));
        return parts;
    }

    private static List<Value> SplitAtFromEnd(TextValue text, TextValue separator, int limit, Rendering rendering)
    {
        var parts = new List<Value>();
        var end = text.Text.Length;
        while (parts.Count < limit &&
            TextSearch.LastIndexOf(text.Text, separator.Text, 0, end, rendering) is >= 0 and var at)
        {
            rendering.Step();
            parts.Add(text.Substring(at + separator.Text.Length, end - at - separator.Text.Length));
            end = at;
        }

        parts.Add(text.Substring(0, end));
        return parts;
    }

    private static List<Value> SplitAtSpaceFromEnd(TextValue text, int limit, Rendering rendering)
    {
        var parts = new List<Value>();
        var units = text.Text;
        rendering.Scan(units.Length * 8L);
        var end = units.Length;
        while (true)
        {
            while (end > 0 && CharacterClasses.IsSpace(units[end - 1]))
                end--;
            if (end == 0)
                return parts;

            rendering.Step();
            var start = end;
            if (parts.Count == limit)
            {
                // As in SplitAtSpace: the rest keeps its white space on the far side.
                parts.Add(text.Substring(0, end));
                return parts;
            }

            while (start > 0 && !CharacterClasses.IsSpace(units[start - 1]))
                start--;
            parts.Add(text.Substring(start, end - start));
            end = start;
        }
    }

    private static TextValue Separator(Value separator)
    {
        var text = Parameters.Text(separator);
        return text.Text.Length > 0 ? text : throw TemplateException.Evaluation("empty separator");
    }
}
