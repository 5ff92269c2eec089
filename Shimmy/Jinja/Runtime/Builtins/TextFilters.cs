using System.Buffers;
using System.Text;

namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary>Filters over texts; a value that is no text is converted to one, as <c>str()</c> does.</summary>
internal static class TextFilters
{
    private static readonly SearchValues<char> NotInAttributeNames = SearchValues.Create(" \t\n\r\f\v/>=");

    /// <summary><c>replace</c>.</summary>
    public static TextValue Replace(Value value, Value?[] arguments, RenderContext context)
    {
        var text = value.ToText(context);
        var (old, replacement) = (arguments[0]!.ToText(context), arguments[1]!.ToText(context));
        var limit = arguments[2] is NoneValue ? -1 : Parameters.Integer(arguments[2], -1);
        if (!context.AutoEscape)
            return SearchMethods.Replace(text.Marked(false), old, replacement, limit, context).Marked(false);
        if (old.IsMarkup || (replacement.IsMarkup && !text.IsMarkup))
            text = Html.Escape(text, context);
        return SearchMethods.Replace(text, old, text.IsMarkup ? Html.Escape(replacement, context) : replacement, limit, context);
    }

    /// <summary><c>title</c>: a capital at the start of each word, where words begin behind space, hyphen and opening brackets.</summary>
    public static TextValue Title(Value value, RenderContext context)
    {
        var text = value.ToText(context);
        var builder = context.Rent();
        var start = 0;
        for (var i = 0; i <= text.Text.Length; i++)
        {
            if (i < text.Text.Length && !StartsWord(text.Text[i]))
                continue;
            AppendWord(text.Substring(start, i - start));
            if (i < text.Text.Length)
                builder.Append(text, i, 1);
            start = i + 1;
        }

        return context.Finish(builder, text.IsMarkup);

        static bool StartsWord(char unit) => unit is '-' or '(' or '{' or '[' or '<' || CharacterClasses.IsSpace(unit);

        void AppendWord(TextValue word)
        {
            if (word.Text.Length == 0)
                return;
            var first = Rune.TryGetRuneAt(word.Text, 0, out var rune) ? rune.Utf16SequenceLength : 1;
            builder.Append(CaseMapping.ToUpper(word.Substring(0, first), context));
            builder.Append(CaseMapping.ToLower(word.Substring(first, word.Text.Length - first), context));
        }
    }

    /// <summary><c>join</c>.</summary>
    public static TextValue Join(Value value, Value?[] arguments, RenderContext context)
    {
        var separator = (arguments[0] ?? TextValue.Empty).ToText(context);
        var path = AttributePath.Of(arguments[1]);
        var texts = new List<TextValue>();
        using var items = value.Iterate(context);
        while (items.MoveNext())
        {
            context.Step();
            texts.Add(path.Find(items.Current, context).ToText(context));
        }

        var isMarkup = context.AutoEscape && (separator.IsMarkup || texts.Exists(text => text.IsMarkup));
        if (isMarkup)
            separator = Html.Escape(separator, context);
        var builder = context.Rent();
        for (var i = 0; i < texts.Count; i++)
        {
            if (i > 0)
                builder.Append(separator);
            builder.Append(isMarkup ? Html.Escape(texts[i], context) : texts[i]);
        }

        return context.Finish(builder, isMarkup);
    }

    /// <summary><c>indent</c>.</summary>
    public static TextValue Indent(Value value, Value?[] arguments, RenderContext context)
    {
        var text = value as TextValue ?? throw (value is UndefinedValue undefined
            ? undefined.Fail()
            : TemplateException.Evaluation($"unsupported operand type(s) for +=: '{value.TypeName}' and 'str'"));
        var width = Parameters.Integer(arguments[0] is TextValue ? null : arguments[0], 4);
        context.Reserve(width);
        var indention = arguments[0] as TextValue ?? TextValue.Own(new string(' ', Math.Max(0, width)));
        var blank = Parameters.Flag(arguments[2]);
        // A newline is added so that the lines are those that splitlines gives, one behind a final newline included.
        var lines = SplitMethods.SplitLines(Arithmetic.Concatenate(text, TextValue.Own("\n"), context), false, context);
        var builder = context.Rent();
        for (var i = 0; i < lines.Items.Length; i++)
        {
            context.Step();
            if (i > 0)
                builder.Append('\n');
            if (i == 0 ? Parameters.Flag(arguments[1]) : blank || lines.Items[i].IsTrue)
                builder.Append(indention);
            builder.Append(lines.Items[i]);
        }

        return context.Finish(builder, text.IsMarkup);
    }

    /// <summary><c>truncate</c>.</summary>
    public static Value Truncate(Value value, Value?[] arguments, RenderContext context)
    {
        var length = Parameters.Integer(arguments[0], 255);
        var end = arguments[2] is null ? TextValue.Own("...") : Parameters.Text(arguments[2]);
        var leeway = arguments[3] is NoneValue ? 5 : Parameters.Integer(arguments[3], 5);
        if (length < end.CodePoints)
            throw TemplateException.Evaluation($"expected length >= {end.CodePoints}, got {length}");
        if (leeway < 0)
            throw TemplateException.Evaluation($"expected leeway >= 0, got {leeway}");
        // A value that is short enough is returned unchanged, whatever its type.
        if (value.Length(context) <= (long)length + leeway)
            return value;
        var text = value as TextValue ??
            throw TemplateException.Evaluation($"can only concatenate {value.TypeName} (not \"str\") to {value.TypeName}");
        var kept = text.Substring(0, text.UnitOf(length - end.CodePoints));
        if (!Parameters.Flag(arguments[1]) && kept.Text.LastIndexOf(' ') is >= 0 and var space)
            kept = kept.Substring(0, space);
        return Arithmetic.Concatenate(kept, end, context);
    }

    /// <summary><c>wordcount</c>: runs of letters, digits and underscores.</summary>
    public static IntegerValue CountWords(Value value, RenderContext context)
    {
        var (count, inWord) = (0, false);
        foreach (var rune in value.ToText(context).Text.EnumerateRunes())
        {
            context.Step();
            var isWord = CharacterClasses.IsWord(rune);
            count += isWord && !inWord ? 1 : 0;
            inWord = isWord;
        }

        return IntegerValue.Of(count);
    }

    /// <summary><c>format</c>: <c>text % arguments</c>.</summary>
    public static TextValue Format(Value value, Arguments arguments, RenderContext context)
    {
        if (arguments.Positional.Length > 0 && arguments.Named.Length > 0)
            throw TemplateException.Evaluation("can't handle positional and keyword arguments at the same time");
        var operand = arguments.Named.Length == 0
            ? (Value)new TupleValue(arguments.Positional)
            : DictionaryValue.OfDistinct(Array.ConvertAll(arguments.Named,
                argument => new KeyValuePair<Value, Value>(TextValue.Own(argument.Key), argument.Value)));
        return PercentFormat.Format(value.ToText(context), operand, context);
    }

    /// <summary><c>urlencode</c>: a text for a path, pairs for a query.</summary>
    public static TextValue UrlEncode(Value value, RenderContext context)
    {
        var builder = context.Rent();
        if (value is TextValue || !value.IsIterable)
        {
            AppendUrl(value.ToText(context), "/", builder);
            return context.Finish(builder);
        }

        var pairs = value is DictionaryValue ? SequenceFilters.Items(value) : value;
        using var items = pairs.Iterate(context);
        for (var isFirst = true; items.MoveNext(); isFirst = false)
        {
            if (Parameters.Elements(items.Current, context) is not [var key, var item])
                throw TemplateException.Evaluation("not enough values to unpack (expected 2)");
            if (!isFirst)
                builder.Append('&');
            AppendUrl(key.ToText(context), "", builder);
            builder.Append('=');
            AppendUrl(item.ToText(context), "", builder);
        }

        return context.Finish(builder);
    }

    /// <summary><c>xmlattr</c>.</summary>
    public static TextValue XmlAttributes(Value value, Value?[] arguments, RenderContext context)
    {
        if (value is not DictionaryValue dictionary)
            throw TemplateException.Evaluation($"'{value.TypeName}' object has no attribute 'items'");
        var builder = context.Rent();
        var space = Parameters.Flag(arguments[0], absent: true);
        foreach (var (key, item) in dictionary.Entries)
        {
            if (item is NoneValue or UndefinedValue)
                continue;
            var name = Parameters.Text(key);
            if (name.Text.AsSpan().IndexOfAny(NotInAttributeNames) >= 0)
                throw TemplateException.Evaluation($"Invalid character in attribute name: {TextRepr.Quote(name.Text)}");
            if (space)
                builder.Append(' ');
            space = true;
            builder.Append(Html.Escape(name, context));
            builder.Append("=\"");
            builder.Append(Html.Escape(item, context));
            builder.Append('"');
        }

        return context.Finish(builder, context.AutoEscape);
    }

    private static void AppendUrl(TextValue text, string safe, TextBuilder builder)
    {
        builder.Context.Scan(text.Text.Length * 8L);
        Span<byte> bytes = stackalloc byte[4];
        for (var i = 0; i < text.Text.Length;)
        {
            var isRequest = text.Provenance.IsRequestAt(i);
            var size = Rune.TryGetRuneAt(text.Text, i, out var rune) ? rune.Utf16SequenceLength : 1;
            rune = size == 1 && char.IsSurrogate(text.Text[i]) ? Rune.ReplacementChar : rune;
            if (rune.IsAscii && (char.IsAsciiLetterOrDigit((char)rune.Value) || "_.-~".Contains((char)rune.Value) ||
                safe.Contains((char)rune.Value)))
            {
                builder.Append((char)rune.Value, isRequest);
            }
            else if (rune.Value == ' ' && safe.Length == 0)
            {
                builder.Append('+', isRequest);
            }
            else
            {
                foreach (var part in bytes[..rune.EncodeToUtf8(bytes)])
                    builder.Append($"%{part:X2}", isRequest);
            }

            i += size;
        }
    }
}
