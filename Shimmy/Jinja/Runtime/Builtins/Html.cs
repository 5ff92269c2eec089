using System.Net;

namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary>Escaping for HTML as MarkupSafe does it.</summary>
internal static class Html
{
    /// <summary><c>escape()</c>: text that is marked as safe stays as it is.</summary>
    public static TextValue Escape(Value value, Rendering rendering)
    {
        var text = value.ToText(rendering);
        return text.IsMarkup ? text : ForceEscape(text, rendering);
    }

    /// <summary>Escapes whatever the mark.</summary>
    public static TextValue ForceEscape(TextValue text, Rendering rendering)
    {
        rendering.Scan(text.Text.Length);
        if (text.Text.AsSpan().IndexOfAny("&<>'\"") < 0)
            return text.Marked(true);

        var builder = rendering.Rent();
        var plain = 0;
        for (var i = 0; i < text.Text.Length; i++)
        {
            if (EntityOf(text.Text[i]) is not { } entity)
                continue;
            builder.Append(text, plain, i - plain);
            builder.Append(entity, text.Provenance.IsRequestAt(i));
            plain = i + 1;
        }

        builder.Append(text, plain, text.Text.Length - plain);
        return rendering.Finish(builder, isMarkup: true);
    }

    /// <summary><c>Markup.striptags</c>: comments and tags go, white space becomes single spaces, entities become characters.</summary>
    public static TextValue StripTags(TextValue text, Rendering rendering)
    {
        var plain = Remove(Remove(text, "<!--", "-->", rendering), "<", ">", rendering);
        var words = SplitMethods.SplitAtSpace(plain, -1, rendering);
        var builder = rendering.Rent();
        for (var i = 0; i < words.Count; i++)
        {
            if (i > 0)
                builder.Append(' ', words[i].Provenance.HasRequest);
            builder.Append(words[i]);
        }

        return Unescape(rendering.Finish(builder), rendering);
    }

    /// <summary>Turns entities into characters.</summary>
    public static TextValue Unescape(TextValue text, Rendering rendering)
    {
        if (!text.Text.Contains('&'))
            return text.Marked(false);
        rendering.Reserve(text.Text.Length * 2L);
        // Entities may make any character, so a text that holds something of the request counts as the request's as a whole.
        return new TextValue(WebUtility.HtmlDecode(text.Text), Provenance.Of(text.Provenance.HasRequest));
    }

    private static TextValue Remove(TextValue text, string open, string close, Rendering rendering)
    {
        var builder = rendering.Rent();
        var kept = 0;
        while (TextSearch.IndexOf(text.Text, open, kept, rendering) is >= 0 and var start &&
            TextSearch.IndexOf(text.Text, close, start, rendering) is >= 0 and var end)
        {
            builder.Append(text, kept, start - kept);
            kept = end + close.Length;
        }

        builder.Append(text, kept, text.Text.Length - kept);
        return rendering.Finish(builder);
    }

    private static string? EntityOf(char unit) => unit switch
    {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '\'' => "&#39;",
        '"' => "&#34;",
        _ => null,
    };
}
