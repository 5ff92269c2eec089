using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Chat.Media;
using Shimmy.Chat.Messages;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api;

/// <summary>Pictures in requests of every dialect. Their first bytes are checked, so that a wrong file loads no model.</summary>
internal static class MediaFields
{
    private const string Data = "data:";
    private const string FileUrl = "file://";

    /// <summary>What decodes the media of this server's requests.</summary>
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

    /// <summary>
    /// A picture as a <c>data:</c> URI, an http or https URL, a file: URL for the folder of <c>--media-path</c>, or Base64 alone. Throws
    /// <see cref="ApiException"/>.
    /// </summary>
    public static ContentPart OfUrl(string text, string field)
    {
        text = text.Trim();
        if (text.StartsWith(Data, StringComparison.OrdinalIgnoreCase))
        {
            // The media type is not believed: the first bytes decide.
            var comma = text.IndexOf(',', StringComparison.Ordinal);
            return comma > 0 && text.AsSpan(0, comma).EndsWith(";base64", StringComparison.OrdinalIgnoreCase)
                ? OfBase64(text[(comma + 1)..], field)
                : throw ApiException.BadField(field, "is a data: URI that does not say ';base64,' in front of its data");
        }
        if (!text.Contains(':', StringComparison.Ordinal))
            return OfBase64(text, field);
        // The first part of a path is no host, and may hold what a host may not.
        var isFile = text.StartsWith(FileUrl, StringComparison.OrdinalIgnoreCase);
        return Uri.TryCreate(isFile ? FileUrl + "/" + text[FileUrl.Length..].TrimStart('/') : text, UriKind.Absolute, out var url)
            && (isFile || url.Scheme is "http" or "https")
            ? ContentPart.Of(new MediaSource(MediumKind.Picture, field, default, url))
            : throw ApiException.BadField(field, $"must be a data: URI or an http(s) URL, not {RequestFields.Quote(text)}");
    }

    /// <summary>
    /// A picture of a turn. One of an earlier turn comes again with every request, so it is never a reason to refuse the conversation:
    /// where it cannot be read, words stand for it.
    /// </summary>
    /// <param name="isHistory">Whether the turn is an earlier one.</param>
    /// <param name="read">Reads the picture; throws <see cref="ApiException"/> where it cannot.</param>
    public static ContentPart OfTurn(bool isHistory, Func<ContentPart> read)
    {
        try
        {
            return read();
        }
        catch (ApiException) when (isHistory)
        {
            return new ContentPart("[image omitted: it cannot be read]");
        }
    }

    /// <summary>A picture's file in Base64. Throws <see cref="ApiException"/>.</summary>
    public static ContentPart OfBase64(string text, string field)
    {
        var file = new byte[(text.Length / 4 * 3) + 3];
        if (!Convert.TryFromBase64String(text, file, out var length))
            throw ApiException.BadField(field, "is not Base64");
        return OfFile(file.AsMemory(0, length), field);
    }

    /// <summary>A picture's file. Throws <see cref="ApiException"/>.</summary>
    public static ContentPart OfFile(ReadOnlyMemory<byte> file, string field)
    {
        try
        {
            PictureHeader.Read(file.Span);
        }
        catch (FormatException e)
        {
            throw ApiException.BadField(field, e.Message, "invalid_image");
        }
        return ContentPart.Of(new MediaSource(MediumKind.Picture, field, file));
    }

    /// <summary>A picture as a <c>data:</c> URI, or its URL, to give back what a client sent.</summary>
    public static string UrlOf(MediaSource source) => source.Url?.OriginalString
        ?? $"data:image/{PictureHeader.Read(source.File.Span).Format.ToString().ToLowerInvariant()};base64," +
            Convert.ToBase64String(source.File.Span);

    /// <summary>The field <c>images</c>, an array of pictures as <see cref="OfUrl"/> takes them; empty where it is absent.</summary>
    public static IReadOnlyList<ContentPart> Images(RequestFields fields) => [.. OfTurns(fields, isHistory: false)];

    /// <summary>The field <c>images</c> of a turn, as Ollama has it.</summary>
    /// <param name="turn">The message.</param>
    /// <param name="isHistory">Whether the turn is an earlier one.</param>
    public static IEnumerable<ContentPart> OfTurns(RequestFields turn, bool isHistory)
    {
        var name = turn.FullName("images");
        return (turn.List("images") ?? []).Select((image, i) =>
            OfTurn(isHistory, () => OfUrl(RequestFields.TextOf(image, $"{name}[{i}]"), $"{name}[{i}]")));
    }

    /// <summary>Refuses a part with sound or a video.</summary>
    public static ApiException Unsupported(RequestFields part, string type) => ApiException.BadField(part.FullName("type"), type switch
    {
        "input_audio" or "audio" or "audio_url" =>
            $"'{type}' is not taken: this version of libmtmd adds silence to every sound, so models answer wrongly; text and pictures are",
        _ => $"{RequestFields.Quote(type)} is not supported; text and pictures are",
    });
}
