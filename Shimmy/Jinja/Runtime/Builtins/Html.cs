using System.Net;

namespace Shimmy.Jinja.Runtime.Builtins;

/// <summary>Escaping for HTML as MarkupSafe does it.</summary>
internal static class Html
{
    /// <summary><c>escape()</c>: text that is marked as safe stays as it is.</summary>
    public static TextValue Escape(Value value, RenderContext context)
    {
        var text = value.ToText(context);
        return text.IsMarkup ? text : ForceEscape(text, context);
    }

    /// <summary><c>forceescape</c>: escapes text that is marked as safe, too.</summary>
    public static TextValue ForceEscape(TextValue text, RenderContext context)
    {
        context.Scan(text.Text.Length);
        if (text.Text.AsSpan().IndexOfAny("&<>'\"") < 0)
            return text.Marked(true);

        var builder = context.Rent();
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
        return context.Finish(builder, isMarkup: true);
    }

    /// <summary><c>Markup.striptags</c>: comments and tags go, white space becomes single spaces, entities become characters.</summary>
    public static TextValue StripTags(TextValue text, RenderContext context)
    {
        var plain = Remove(Remove(text, "<!--", "-->", context), "<", ">", context);
        var words = SplitMethods.SplitAtSpace(plain, -1, context);
        var builder = context.Rent();
        for (var i = 0; i < words.Count; i++)
        {
            if (i > 0)
                builder.Append(' ', words[i].Provenance.HasRequest);
            builder.Append(words[i]);
        }

        return Unescape(context.Finish(builder), context);
    }

    /// <summary>Turns entities into characters.</summary>
    public static TextValue Unescape(TextValue text, RenderContext context)
    {
        if (!text.Text.Contains('&'))
            return text.Marked(false);
        context.Reserve(text.Text.Length * 2L);
        // Entities may make any character, so a text that holds something of the request counts as the request's as a whole.
        return new TextValue(WebUtility.HtmlDecode(text.Text), Provenance.Of(text.Provenance.HasRequest));
    }

    private static TextValue Remove(TextValue text, string open, string close, RenderContext context)
    {
        var builder = context.Rent();
        var kept = 0;
        while (TextSearch.IndexOf(text.Text, open, kept, context) is >= 0 and var start &&
            TextSearch.IndexOf(text.Text, close, start, context) is >= 0 and var end)
        {
            builder.Append(text, kept, start - kept);
            kept = end + close.Length;
        }

        builder.Append(text, kept, text.Text.Length - kept);
        return context.Finish(builder);
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
