using Shimmy.Chat.Templates.Jinja.Text;
using Shimmy.Chat.Templates.Jinja.Values;

namespace Shimmy.Chat.Templates.Jinja.Methods;

/// <summary>The string methods that look for something in a text, and <c>replace</c>.</summary>
internal static class SearchMethods
{
    /// <summary><c>find</c> and <c>rfind</c>: the position, or -1.</summary>
    public static long Find(TextValue text, Value? part, Value? start, Value? stop, bool last, Rendering rendering)
    {
        var (from, to) = Window(text, start, stop, rendering);
        var sought = Parameters.Text(part).Text;
        if (from > to)
            return -1;
        var at = last
            ? TextSearch.LastIndexOf(text.Text, sought, from, to, rendering)
            : TextSearch.IndexOf(text.Text, sought, from, rendering);
        return at < 0 || at + sought.Length > to ? -1 : text.CodePointOf(at);
    }

    /// <summary><c>index</c> and <c>rindex</c>: the position, or a failure.</summary>
    public static long Index(TextValue text, Value? part, Value? start, Value? stop, bool last, Rendering rendering) =>
        Find(text, part, start, stop, last, rendering) is >= 0 and var at
            ? at
            : throw TemplateException.Evaluation("substring not found");

    /// <summary><c>count</c> of occurrences that do not overlap.</summary>
    public static long Count(TextValue text, Value? part, Value? start, Value? stop, Rendering rendering)
    {
        var (from, to) = Window(text, start, stop, rendering);
        var sought = Parameters.Text(part);
        if (from > to)
            return 0;
        if (sought.Text.Length == 0)
            return text.CodePointOf(to) - text.CodePointOf(from) + 1;
        long count = 0;
        for (var at = TextSearch.IndexOf(text.Text, sought.Text, from, rendering); at >= 0 && at + sought.Text.Length <= to;
            at = TextSearch.IndexOf(text.Text, sought.Text, at + sought.Text.Length, rendering))
        {
            rendering.Step();
            count++;
        }

        return count;
    }

    /// <summary><c>startswith</c> or <c>endswith</c>; the affix may be a tuple of several.</summary>
    public static bool HasAffix(TextValue text, Value? affix, Value? start, Value? stop, bool atEnd, Rendering rendering)
    {
        var (from, to) = Window(text, start, stop, rendering);
        if (affix is not TupleValue affixes)
            return affix is TextValue single
                ? from <= to && Matches(single)
                : throw TemplateException.Evaluation(
                    $"{(atEnd ? "endswith" : "startswith")} first arg must be str or a tuple of str, not {affix?.TypeName}");
        foreach (var item in affixes.Items)
            if (from <= to && Matches(Parameters.Text(item)))
                return true;
        return false;

        bool Matches(TextValue candidate)
        {
            rendering.Scan(candidate.Text.Length);
            var window = text.Text.AsSpan(from, to - from);
            return atEnd ? window.EndsWith(candidate.Text) : window.StartsWith(candidate.Text);
        }
    }

    /// <summary><c>replace</c>; a negative limit is none.</summary>
    public static TextValue Replace(TextValue text, TextValue old, TextValue replacement, int limit, Rendering rendering)
    {
        var builder = rendering.Rent();
        var kept = 0;
        for (var replaced = 0; limit < 0 || replaced < limit; replaced++)
        {
            rendering.Step();
            var at = old.Text.Length > 0
                ? TextSearch.IndexOf(text.Text, old.Text, kept, rendering)
                : NextGap(text.Text, kept, replaced);
            if (at < 0)
                break;
            builder.Append(text, kept, at - kept);
            builder.Append(replacement);
            kept = at + old.Text.Length;
        }

        if (kept == 0 && builder.Length == 0)
        {
            rendering.Return(builder);
            return text;
        }

        builder.Append(text, kept, text.Text.Length - kept);
        return rendering.Finish(builder, text.IsMarkup);
    }

    /// <summary>The UTF-16 bounds of <c>start</c> and <c>stop</c>; start may lie behind stop.</summary>
    private static (int From, int To) Window(TextValue text, Value? start, Value? stop, Rendering rendering)
    {
        if (start is null && stop is null)
            return (0, text.Text.Length);
        var length = text.Length(rendering);
        var from = Bound(start, 0);
        var to = Math.Min(Bound(stop, length), length);
        return from > length ? (1, 0) : (text.UnitOf(from), text.UnitOf(to));

        int Bound(Value? bound, int absent)
        {
            var value = bound is NoneValue ? absent : Parameters.Integer(bound, absent);
            return value < 0 ? Math.Max(0, value + length) : value;
        }
    }

    /// <summary>Where the empty text occurs next: before each character and at the end.</summary>
    private static int NextGap(string text, int kept, int replaced)
    {
        if (replaced == 0)
            return 0;
        if (kept >= text.Length)
            return -1;
        return kept + (char.IsHighSurrogate(text[kept]) && kept + 1 < text.Length && char.IsLowSurrogate(text[kept + 1]) ? 2 : 1);
    }
}
