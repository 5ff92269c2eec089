namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary>The string methods that split a text: <c>split</c>, <c>splitlines</c>, <c>partition</c> and their like.</summary>
internal static class SplitMethods
{
    /// <summary><c>split</c>; a negative limit is none.</summary>
    public static ListValue Split(TextValue text, Value? separator, Value? limit, RenderContext context)
    {
        var most = Parameters.Integer(limit, -1);
        IEnumerable<Value> parts = separator is null or NoneValue
            ? SplitAtSpace(text, most, context)
            : SplitAt(text, Separator(separator), most, context);
        return new ListValue([.. parts]);
    }

    /// <summary><c>rsplit</c>.</summary>
    public static ListValue SplitFromEnd(TextValue text, Value? separator, Value? limit, RenderContext context)
    {
        var most = Parameters.Integer(limit, -1);
        if (most < 0)
            return Split(text, separator, null, context);
        var parts = separator is null or NoneValue
            ? SplitAtSpaceFromEnd(text, most, context)
            : SplitAtFromEnd(text, Separator(separator), most, context);
        parts.Reverse();
        return new ListValue([.. parts]);
    }

    /// <summary><c>splitlines</c>.</summary>
    public static ListValue SplitLines(TextValue text, bool keepEnds, RenderContext context)
    {
        var lines = new List<Value>();
        var units = text.Text;
        context.Scan(units.Length * 8L);
        for (var start = 0; start < units.Length;)
        {
            context.Step();
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
    public static TupleValue Partition(TextValue text, Value separator, bool fromEnd, RenderContext context)
    {
        var by = Separator(separator);
        var at = fromEnd
            ? TextSearch.LastIndexOf(text.Text, by.Text, 0, text.Text.Length, context)
            : TextSearch.IndexOf(text.Text, by.Text, 0, context);
        var empty = TextValue.Empty.Marked(text.IsMarkup);
        if (at < 0)
            return new TupleValue(fromEnd ? [empty, empty, text] : [text, empty, empty]);
        var after = at + by.Text.Length;
        return new TupleValue([text.Substring(0, at), by.Marked(text.IsMarkup), text.Substring(after, text.Text.Length - after)]);
    }

    /// <summary>Splits at runs of white space, none of it kept.</summary>
    public static List<TextValue> SplitAtSpace(TextValue text, int limit, RenderContext context)
    {
        var parts = new List<TextValue>();
        var units = text.Text;
        context.Scan(units.Length * 8L);
        var at = 0;
        while (true)
        {
            while (at < units.Length && CharacterClasses.IsSpace(units[at]))
                at++;
            if (at == units.Length)
                return parts;

            context.Step();
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

    private static List<Value> SplitAt(TextValue text, TextValue separator, int limit, RenderContext context)
    {
        var parts = new List<Value>();
        var start = 0;
        while ((limit < 0 || parts.Count < limit) &&
            TextSearch.IndexOf(text.Text, separator.Text, start, context) is >= 0 and var at)
        {
            context.Step();
            parts.Add(text.Substring(start, at - start));
            start = at + separator.Text.Length;
        }

        parts.Add(text.Substring(start, text.Text.Length - start));
        return parts;
    }

    private static List<Value> SplitAtFromEnd(TextValue text, TextValue separator, int limit, RenderContext context)
    {
        var parts = new List<Value>();
        var end = text.Text.Length;
        while (parts.Count < limit &&
            TextSearch.LastIndexOf(text.Text, separator.Text, 0, end, context) is >= 0 and var at)
        {
            context.Step();
            parts.Add(text.Substring(at + separator.Text.Length, end - at - separator.Text.Length));
            end = at;
        }

        parts.Add(text.Substring(0, end));
        return parts;
    }

    private static List<Value> SplitAtSpaceFromEnd(TextValue text, int limit, RenderContext context)
    {
        var parts = new List<Value>();
        var units = text.Text;
        context.Scan(units.Length * 8L);
        var end = units.Length;
        while (true)
        {
            while (end > 0 && CharacterClasses.IsSpace(units[end - 1]))
                end--;
            if (end == 0)
                return parts;

            context.Step();
            var start = end;
            if (parts.Count == limit)
            {
                // As in SplitAtSpace: the rest keeps its white space, here at the start.
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

/// <summary>The string methods that strip or pad the ends of a text.</summary>
internal static class TrimMethods
{
    /// <summary><c>strip</c>, <c>lstrip</c> and <c>rstrip</c>: of white space, or of any of the given characters.</summary>
    public static TextValue Strip(TextValue text, Value? characters, bool left, bool right, RenderContext context)
    {
        var chars = Parameters.OptionalText(characters);
        var units = text.Text;
        var (start, end) = (0, units.Length);
        if (left)
        {
            while (start < end && Stripped(start))
                start++;
        }

        if (right)
        {
            while (end > start && Stripped(end - 1))
                end--;
        }

        context.Step(units.Length - (end - start));
        context.Scan(end - start);
        // An emoji's second half may not be stripped alone.
        if (chars is not null && !text.IsNarrow)
            (start, end) = WholeCharacters(units, start, end);
        return text.Substring(start, end - start);

        bool Stripped(int unit) => chars is null ? CharacterClasses.IsSpace(units[unit]) : chars.Text.Contains(units[unit]);
    }

    /// <summary><c>removeprefix</c>.</summary>
    public static TextValue RemovePrefix(TextValue text, TextValue prefix) =>
        text.Text.StartsWith(prefix.Text, StringComparison.Ordinal)
            ? text.Substring(prefix.Text.Length, text.Text.Length - prefix.Text.Length)
            : text;

    /// <summary><c>removesuffix</c>.</summary>
    public static TextValue RemoveSuffix(TextValue text, TextValue suffix) =>
        text.Text.EndsWith(suffix.Text, StringComparison.Ordinal)
            ? text.Substring(0, text.Text.Length - suffix.Text.Length)
            : text;

    /// <summary>Fills a text up to a width, as <c>ljust</c>, <c>rjust</c> and <c>center</c> do.</summary>
    public static TextValue Pad(TextValue text, int width, Value? fill, Alignment alignment, RenderContext context)
    {
        var filler = fill is null ? TextValue.Own(" ") : Parameters.Text(fill);
        if (filler.CodePoints != 1)
            throw TemplateException.Evaluation("The fill character must be exactly one character long");
        var missing = width - (long)text.Length(context);
        if (missing <= 0)
            return text;

        var before = alignment switch
        {
            Alignment.Left => 0,
            Alignment.Right => missing,
            // Where the padding does not divide by two, CPython's rule (unicode_center) decides the side of the odd one.
            _ => missing / 2 + (missing & width & 1),
        };
        context.Reserve(width);
        var builder = context.Rent();
        Fill(before);
        builder.Append(text);
        Fill(missing - before);
        return context.Finish(builder, text.IsMarkup);

        void Fill(long count)
        {
            if (filler.Text.Length == 1)
            {
                builder.Append(filler.Text[0], (int)count, filler.Provenance.HasRequest);
            }
            else
            {
                for (; count > 0; count--)
                    builder.Append(filler);
            }
        }
    }

    /// <summary><c>zfill</c>: zeros after the sign.</summary>
    public static TextValue ZeroFill(TextValue text, int width, RenderContext context)
    {
        var missing = width - (long)text.Length(context);
        if (missing <= 0)
            return text;
        context.Reserve(width);
        var sign = text.Text.Length > 0 && text.Text[0] is '+' or '-' ? 1 : 0;
        var builder = context.Rent();
        builder.Append(text, 0, sign);
        builder.Append('0', (int)missing);
        builder.Append(text, sign, text.Text.Length - sign);
        return context.Finish(builder, text.IsMarkup);
    }

    /// <summary><c>expandtabs</c>.</summary>
    public static TextValue ExpandTabs(TextValue text, int size, RenderContext context)
    {
        var builder = context.Rent();
        var column = 0;
        for (var i = 0; i < text.Text.Length; i++)
        {
            context.Step();
            var unit = text.Text[i];
            if (unit == '\t')
            {
                var spaces = size > 0 ? size - column % size : 0;
                builder.Append(' ', spaces, text.Provenance.IsRequestAt(i));
                column += spaces;
                continue;
            }

            builder.Append(text, i, 1);
            if (!char.IsLowSurrogate(unit))
                column = unit is '\n' or '\r' ? 0 : column + 1;
        }

        return context.Finish(builder, text.IsMarkup);
    }

    private static (int Start, int End) WholeCharacters(string units, int start, int end)
    {
        if (start > 0 && start < units.Length && char.IsLowSurrogate(units[start]))
            start--;
        if (end > start && end < units.Length && char.IsHighSurrogate(units[end - 1]))
            end++;
        return (start, end);
    }
}

/// <summary>The alignment of a text in a wider field.</summary>
internal enum Alignment
{
    /// <summary>At the left.</summary>
    Left,

    /// <summary>At the right.</summary>
    Right,

    /// <summary>In the middle.</summary>
    Center,
}
