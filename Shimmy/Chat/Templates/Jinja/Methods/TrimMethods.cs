using Shimmy.Chat.Templates.Jinja.Text;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Methods;

/// <summary>The string methods that take something off the ends of a text or fill them up.</summary>
internal static class TrimMethods
{
    /// <summary><c>strip</c>, <c>lstrip</c> and <c>rstrip</c>: of white space, or of any of the given characters.</summary>
    public static TextValue Strip(TextValue text, Value? characters, bool left, bool right, Rendering rendering)
    {
        var chars = Parameters.OptionalText(characters);
        var units = text.Text;
        var (start, end) = (0, units.Length);
        if (left)
            while (start < end && Stripped(start))
                start++;
        if (right)
            while (end > start && Stripped(end - 1))
                end--;
        rendering.Step(units.Length - (end - start));
        rendering.Scan(end - start);
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
    public static TextValue Pad(TextValue text, int width, Value? fill, Alignment alignment, Rendering rendering)
    {
        var filler = fill is null ? TextValue.Own(" ") : Parameters.Text(fill);
        if (filler.CodePoints != 1)
            throw TemplateException.Evaluation("The fill character must be exactly one character long");
        var missing = width - (long)text.Length(rendering);
        if (missing <= 0)
            return text;

        var before = alignment switch
        {
            Alignment.Left => 0,
            Alignment.Right => missing,
            // CPython's rule for the odd one (unicode_center).
            _ => missing / 2 + (missing & width & 1),
        };
        rendering.Reserve(width);
        var builder = rendering.Rent();
        Fill(before);
        builder.Append(text);
        Fill(missing - before);
        return rendering.Finish(builder, text.IsMarkup);

        void Fill(long count)
        {
            if (filler.Text.Length == 1)
                builder.Append(filler.Text[0], (int)count, filler.Provenance.HasRequest);
            else
                for (; count > 0; count--)
                    builder.Append(filler);
        }
    }

    /// <summary><c>zfill</c>: zeros after the sign.</summary>
    public static TextValue ZeroFill(TextValue text, int width, Rendering rendering)
    {
        var missing = width - (long)text.Length(rendering);
        if (missing <= 0)
            return text;
        rendering.Reserve(width);
        var sign = text.Text.Length > 0 && text.Text[0] is '+' or '-' ? 1 : 0;
        var builder = rendering.Rent();
        builder.Append(text, 0, sign);
        builder.Append('0', (int)missing);
        builder.Append(text, sign, text.Text.Length - sign);
        return rendering.Finish(builder, text.IsMarkup);
    }

    /// <summary><c>expandtabs</c>.</summary>
    public static TextValue ExpandTabs(TextValue text, int size, Rendering rendering)
    {
        var builder = rendering.Rent();
        var column = 0;
        for (var i = 0; i < text.Text.Length; i++)
        {
            rendering.Step();
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

        return rendering.Finish(builder, text.IsMarkup);
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

/// <summary>Where a text stands in a wider field.</summary>
internal enum Alignment
{
    /// <summary>At the left.</summary>
    Left,

    /// <summary>At the right.</summary>
    Right,

    /// <summary>In the middle.</summary>
    Center,
}
