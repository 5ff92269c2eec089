using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Chat.Media;
using Shimmy.Chat.Messages;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api;

/// <summary>Pictures and sounds in requests of every dialect. Their first bytes are checked, so that a wrong file loads no model.</summary>
internal static class MediaFields
{
    private const string Data = "data:";
    private const string FileUrl = "file://";

    /// <summary>The types of parts that a message of OpenAI's chat has, for errors.</summary>
    public const string ChatParts = "'text', 'image_url' and 'input_audio'";

    /// <summary>The decoder of the media of this server's requests.</summary>
    public static MediaLoader LoaderOf(HttpContext context) => context.RequestServices.GetRequiredService<MediaLoader>();

    /// <summary>
    /// OpenAI's <c>image_url</c>: an object with <c>url</c> and perhaps <c>detail</c>, or, as <c>/v1/responses</c> has it, the text itself.
    /// </summary>
    /// <param name="part">The part that has the field.</param>
    public static ContentPart ImageUrl(RequestFields part)
    {
        const string name = "image_url";
        part.Text("detail");
        if (part.Find(name) is { ValueKind: System.Text.Json.JsonValueKind.Object })
        {
            var image = part.Object(name)!;
            image.Text("detail");
            return OfUrl(image.RequiredText("url"), image.FullName("url"));
        }
        return OfUrl(part.RequiredText(name), part.FullName(name));
    }

    /// <summary>OpenAI's <c>input_audio</c>: an object with <c>data</c>, Base64 or a <c>data:</c> URI, and perhaps <c>format</c>.</summary>
    /// <param name="part">The part that has the field.</param>
    public static ContentPart InputAudio(RequestFields part)
    {
        const string name = "input_audio";
        var audio = part.Object(name) ?? throw ApiException.BadField(part.FullName(name), "is missing; an object with data and format is required");
        // Said by the client, and not believed: the first bytes decide.
        audio.Choice("format", "wav", "mp3", "flac");
        return OfUrl(audio.RequiredText("data"), audio.FullName("data"), MediumKind.Sound);
    }

    /// <summary>vLLM's <c>audio_url</c>: an object with <c>url</c>.</summary>
    /// <param name="part">The part that has the field.</param>
    public static ContentPart AudioUrl(RequestFields part)
    {
        const string name = "audio_url";
        var audio = part.Object(name) ?? throw ApiException.BadField(part.FullName(name), "is missing; an object with url is required");
        return OfUrl(audio.RequiredText("url"), audio.FullName("url"), MediumKind.Sound);
    }

    /// <summary>
    /// A picture or sound as a <c>data:</c> URI, an http or https URL, a file: URL for the folder of <c>--media-path</c>, or Base64 alone.
    /// Throws <see cref="ApiException"/>.
    /// </summary>
    /// <param name="text">The text.</param>
    /// <param name="field">The field's full name.</param>
    /// <param name="kind">What it must be; null where either may stand.</param>
    public static ContentPart OfUrl(string text, string field, MediumKind? kind = MediumKind.Picture)
    {
        text = text.Trim();
        if (text.StartsWith(Data, StringComparison.OrdinalIgnoreCase))
        {
            // The media type is not believed: the first bytes decide.
            var comma = text.IndexOf(',', StringComparison.Ordinal);
            // Spaces may stand before the word (whatwg.org, data: URL processor).
            var head = text.AsSpan(0, Math.Max(comma, 0)).TrimEnd();
            if (head.EndsWith("base64", StringComparison.OrdinalIgnoreCase) && head[..^6].TrimEnd().EndsWith(';'))
                return OfBase64(text[(comma + 1)..], field, kind);
            // No picture and no sound is text alone.
            return comma > 0 && text.AsSpan(comma).Contains('%')
                ? OfFile(PercentDecoded(text.AsSpan(comma + 1)), field, kind)
                : throw ApiException.BadField(
                    field, "is a data: URI that does not say ';base64,' in front of its data", CodeOf(kind));
        }
        if (!text.Contains(':', StringComparison.Ordinal))
            return OfBase64(text, field, kind);
        // The first part of a path is no host, and may hold what a host may not.
        var isFile = text.StartsWith(FileUrl, StringComparison.OrdinalIgnoreCase);
        return Uri.TryCreate(isFile ? FileUrl + "/" + text[FileUrl.Length..].TrimStart('/') : text, UriKind.Absolute, out var url)
            && (isFile || url.Scheme is "http" or "https")
            ? ContentPart.Of(new MediaSource(kind ?? MediumKind.Picture, field, default, url))
            : throw ApiException.BadField(field, $"must be a data: URI or an http(s) URL, not {RequestFields.Quote(text)}", CodeOf(kind));
    }

    /// <summary>
    /// A picture or sound of a turn. One of an earlier turn comes again with every request, and one in a tool's result is nothing that the
    /// user said, so neither is a reason to refuse the conversation: where it cannot be read, words will stand for it, which say whether
    /// the model could have seen it.
    /// </summary>
    /// <param name="isLenient">Whether the turn is an earlier one, or a tool's result.</param>
    /// <param name="read">Reads it; throws <see cref="ApiException"/> where it cannot.</param>
    /// <param name="field">The full name of the part's field.</param>
    /// <param name="kind">What it is.</param>
    public static ContentPart OfTurn(bool isLenient, Func<ContentPart> read, string field, MediumKind kind = MediumKind.Picture)
    {
        try
        {
            return read();
        }
        catch (ApiException e) when (isLenient)
        {
            return ContentPart.Of(new MediaSource(kind, e.Field ?? field, default) { Unreadable = e.Message });
        }
    }

    /// <summary>A file in Base64; the rest as <see cref="OfUrl"/> has it. Throws <see cref="ApiException"/>.</summary>
    public static ContentPart OfBase64(string text, string field, MediumKind? kind = MediumKind.Picture)
    {
        var file = new byte[(text.Length / 4 * 3) + 3];
        if (!Convert.TryFromBase64String(text, file, out var length) && !Convert.TryFromBase64String(Plain(text), file, out length))
            throw ApiException.BadField(field, "is not Base64", CodeOf(kind));
        return OfFile(file.AsMemory(0, length), field, kind);
    }

    private static string CodeOf(MediumKind? kind) => MediaSource.CodeOf(kind ?? MediumKind.Picture);

    // Base64 as URLs have it: without padding, with two other digits, or with its own as %2B, %2F and %3D.
    private static string Plain(string text)
    {
        if (text.Contains('%', StringComparison.Ordinal))
            text = Uri.UnescapeDataString(text);
        text = string.Concat(text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)).Replace('-', '+').Replace('_', '/').TrimEnd('=');
        return text.PadRight((text.Length + 3) / 4 * 4, '=');
    }

    // What a data: URI has where it does not say Base64 (RFC 2397): bytes as characters, or as %XX.
    private static byte[] PercentDecoded(ReadOnlySpan<char> text)
    {
        var bytes = new byte[text.Length];
        var count = 0;
        for (var i = 0; i < text.Length; i++)
        {
            var isEscape = text[i] == '%' && i + 2 < text.Length && char.IsAsciiHexDigit(text[i + 1])
                && char.IsAsciiHexDigit(text[i + 2]);
            bytes[count++] = isEscape
                ? byte.Parse(text.Slice(i + 1, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)
                : (byte)text[i];
            i += isEscape ? 2 : 0;
        }
        return bytes[..count];
    }

    /// <summary>A file; the rest as <see cref="OfUrl"/> has it. Throws <see cref="ApiException"/>.</summary>
    public static ContentPart OfFile(ReadOnlyMemory<byte> file, string field, MediumKind? kind = MediumKind.Picture)
    {
        var found = kind ?? (SoundDecoder.IsSound(file.Span) ? MediumKind.Sound : MediumKind.Picture);
        try
        {
            if (found == MediumKind.Sound)
                SoundDecoder.FormatOf(file.Span);
            else
                PictureHeader.Read(file.Span);
        }
        catch (FormatException e)
        {
            throw ApiException.BadField(field, e.Message, MediaSource.CodeOf(found));
        }
        return ContentPart.Of(new MediaSource(found, field, file));
    }

    /// <summary>A picture as a <c>data:</c> URI, or its URL, to give back what a client sent.</summary>
    public static string UrlOf(MediaSource source) => source.Url?.OriginalString
        ?? $"data:image/{PictureHeader.Read(source.File.Span).Format.ToString().ToLowerInvariant()};base64," +
            Convert.ToBase64String(source.File.Span);

    /// <summary>The same of a sound whose bytes are given, as OpenAI's <c>input_audio</c>.</summary>
    public static void WriteInputAudio(System.Text.Json.Utf8JsonWriter json, MediaSource source)
    {
        json.WriteStartObject("input_audio");
        json.WriteString("data", source.Url?.OriginalString ?? Convert.ToBase64String(source.File.Span));
        if (source.Url is null)
            json.WriteString("format", SoundDecoder.FormatOf(source.File.Span).ToString().ToLowerInvariant());
        json.WriteEndObject();
    }

    /// <summary>
    /// The field <c>images</c> of a turn, an array of pictures as <see cref="OfUrl"/> takes them; empty where it is absent. Sounds may
    /// stand there as well, as Ollama's clients send them.
    /// </summary>
    /// <param name="turn">The message, or the request.</param>
    /// <param name="isLenient">Whether the turn is an earlier one, or a tool's result.</param>
    public static IReadOnlyList<ContentPart> Images(RequestFields turn, bool isLenient = false) => OfList(turn, "images", null, isLenient);

    /// <summary>The field <c>audio</c> of a turn, an array of sounds; the rest as <see cref="Images"/> has it.</summary>
    public static IReadOnlyList<ContentPart> Sounds(RequestFields turn, bool isLenient = false) =>
        OfList(turn, "audio", MediumKind.Sound, isLenient);

    private static IReadOnlyList<ContentPart> OfList(RequestFields turn, string name, MediumKind? kind, bool isLenient)
    {
        var full = turn.FullName(name);
        return [.. (turn.List(name) ?? []).Select((item, i) => OfTurn(isLenient,
            () => OfUrl(RequestFields.TextOf(item, $"{full}[{i}]"), $"{full}[{i}]", kind), $"{full}[{i}]", kind ?? MediumKind.Picture))];
    }

    /// <summary>Refuses a part of another kind.</summary>
    /// <param name="part">The part.</param>
    /// <param name="type">Its type.</param>
    /// <param name="known">The types that the dialect has.</param>
    public static ApiException Unsupported(RequestFields part, string type, string known) =>
        ApiException.BadField(part.FullName("type"), $"{RequestFields.Quote(type)} is not supported; {known} are");
}
