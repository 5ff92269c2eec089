using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat.Templates;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.Native;

/// <summary>
/// <c>POST /tokenize</c>: the tokens of a text (<c>content</c>, with llama.cpp's <c>add_special</c>, <c>parse_special</c> and
/// <c>with_pieces</c>), or of a conversation (<c>messages</c>, as for <c>/apply-template</c>). <c>POST /detokenize</c>: the text of
/// <c>tokens</c>, special ones included (llama.cpp's answer <c>{content}</c>).
/// </summary>
internal static class Tokenize
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    public static void Map(RouteTable routes)
    {
        routes.MapPost("/tokenize", HandleTokenize, RoutePolicy.Recorded);
        routes.MapPost("/detokenize", HandleDetokenize, RoutePolicy.Recorded);
    }

    private static async Task HandleTokenize(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var content = fields.Text("content");
        if (content is not null == fields.Has("messages"))
        {
            throw ApiException.BadField("content", content is null
                ? "is missing; content or messages is required"
                : "was given beside messages; give one of them");
        }

        var conversation = content is null ? ConversationBody.Read(fields, LlamaServerMode.Of(context)) : null;
        if (conversation is not null)
        {
            foreach (var name in (string[])["add_special", "parse_special"])
                fields.Refuse(name, "can be given with content only: with messages the chat template decides about special tokens");
        }

        var text = content is null ? null : new Prompt
        {
            Parts = [new PromptPart(content, fields.Flag("parse_special") ?? true)],
            AddBos = fields.Flag("add_special") ?? false,
            AddEos = fields.Flag("add_special") ?? false,
        };
        var withPieces = fields.Flag("with_pieces") ?? false;

        using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields));
        var request = conversation is null ? null : await MediaFields.LoaderOf(context)
            .MeasureAsync(lease.Model, conversation.Request, ModelResolver.LoggerOf(context), context.RequestAborted);
        var prompt = text ?? (await TemplateCache.OfAsync(lease, ModelResolver.LoggerOf(context), context.RequestAborted))
            .Render(request!, conversation!.AddGenerationPrompt);
        var tokens = await lease.Model.TokenizeAsync(prompt, context.RequestAborted);
        var pieces = withPieces ? await PiecesOfAsync(lease.Model, tokens, context.RequestAborted) : null;
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("tokens");
            foreach (var token in tokens)
            {
                if (pieces is null)
                    json.WriteNumberValue(token);
                else
                    WritePiece(json, token, pieces[token]);
            }
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private static async Task<Dictionary<int, byte[]>> PiecesOfAsync(ILoadedModel model,
        IReadOnlyList<int> tokens, CancellationToken cancellation)
    {
        var pieces = new Dictionary<int, byte[]>();
        foreach (var token in tokens.Distinct())
            pieces[token] = token < 0 ? [] : (await model.DetokenizeAsync([token], cancellation)).ToArray();
        return pieces;
    }

    // As in llama.cpp: the piece is a text, or its bytes where they are no characters of their own.
    private static void WritePiece(Utf8JsonWriter json, int token, byte[] piece)
    {
        json.WriteStartObject();
        json.WriteNumber("id", token);
        try
        {
            json.WriteString("piece", Strict.GetString(piece));
        }
        catch (DecoderFallbackException)
        {
            json.WriteStartArray("piece");
            foreach (var part in piece)
                json.WriteNumberValue(part);
            json.WriteEndArray();
        }
        json.WriteEndObject();
    }

    private static async Task HandleDetokenize(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var given = fields.List("tokens")
            ?? throw ApiException.BadField("tokens", "is missing; an array of token numbers is required", "missing_required_parameter");
        var tokens = given.Select((token, i) => TokenOf(token, i)).ToArray();
        using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields));
        var last = lease.Model.Facts.VocabularySize - 1;
        var outside = Array.FindIndex(tokens, token => token > last);
        if (outside >= 0)
            throw ApiException.BadField($"tokens[{outside}]", $"must be a token of this model, 0 to {last}, not {tokens[outside]}");
        var text = Encoding.UTF8.GetString((await lease.Model.DetokenizeAsync(tokens, context.RequestAborted)).Span);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("content", text);
            json.WriteEndObject();
        });
    }

    private static int TokenOf(JsonElement value, int index) =>
        RequestFields.WholeOf(value) is >= 0 and <= int.MaxValue and var token
            ? (int)token
            : throw ApiException.BadField($"tokens[{index}]", $"must be a token number, 0 or more, not {RequestFields.Describe(value)}");
}
