using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat.Templates;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.Native;

/// <summary>
/// <c>POST /tokenize</c>: the tokens of a text (<c>content</c>, with llama.cpp's <c>add_special</c>, <c>parse_special</c> and
/// <c>with_pieces</c>; also texts and tokens in an array), or of a conversation (<c>messages</c>, as for <c>/apply-template</c>).
/// <c>POST /detokenize</c>: the text of <c>tokens</c>, special ones included (llama.cpp's answer <c>{content}</c>).
/// </summary>
internal static class Tokenize
{
    private static readonly JsonElement Nothing = JsonElement.Parse("[]");
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
        var mode = LlamaServerMode.Of(context);
        var content = fields.Find("content");
        // To llama-server what is absent is empty.
        if (content is null && mode.IsOn && !fields.Has("messages"))
            content = Nothing;
        if (content is not null == fields.Has("messages"))
        {
            throw ApiException.BadField("content", content is null
                ? "is missing; content or messages is required"
                : "was given beside messages; give one of them");
        }

        var conversation = content is null ? ConversationBody.Read(fields, mode) : null;
        if (conversation is not null)
        {
            foreach (var name in (string[])["add_special", "parse_special"])
                fields.Refuse(name, "can be given with content only: with messages the chat template decides about special tokens");
        }

        var prompts = content is { } given
            ? Prompts(given, fields.Flag("parse_special") ?? true, fields.Flag("add_special") ?? false)
            : [];
        var withPieces = fields.Flag("with_pieces") ?? false;

        using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields));
        if (conversation is not null)
        {
            var logger = ModelResolver.LoggerOf(context);
            var request = await MediaFields.LoaderOf(context)
                .MeasureAsync(lease.Model, conversation.Request, logger, context.RequestAborted);
            prompts.Add((await TemplateCache.OfAsync(lease, logger, context.RequestAborted))
                .Render(request, conversation.AddGenerationPrompt));
        }
        var tokens = new List<int>();
        for (var i = 0; i < prompts.Count; i++)
        {
            tokens.AddRange(prompts[i].Tokens is { } ready
                ? OfModel(lease.Model, ready, "content", i)
                : await lease.Model.TokenizeAsync(prompts[i], context.RequestAborted));
        }
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

    // A text, or texts and tokens, of which the first has what stands before all.
    private static List<Prompt> Prompts(JsonElement content, bool parsesSpecial, bool addsSpecial)
    {
        if (content.ValueKind != JsonValueKind.Array)
            return [Of(content, "content", isFirst: true)];
        var prompts = new List<Prompt>();
        foreach (var piece in content.EnumerateArray())
        {
            var name = $"content[{prompts.Count}]";
            prompts.Add(piece.ValueKind == JsonValueKind.Number
                ? Prompt.FromTokens([TokenOf(piece, name)])
                : Of(piece, name, isFirst: prompts.Count == 0));
        }
        return prompts;

        Prompt Of(JsonElement text, string name, bool isFirst) => new()
        {
            Parts = [new PromptPart(RequestFields.TextOf(text, name), parsesSpecial)],
            AddBos = addsSpecial && isFirst,
            AddEos = addsSpecial && isFirst,
        };
    }

    private static IReadOnlyList<int> OfModel(ILoadedModel model, IReadOnlyList<int> tokens, string name, int first = 0)
    {
        var last = model.Facts.VocabularySize - 1;
        for (var i = 0; i < tokens.Count; i++)
        {
            if (tokens[i] > last)
                throw ApiException.BadField($"{name}[{first + i}]", $"must be a token of this model, 0 to {last}, not {tokens[i]}");
        }
        return tokens;
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
        var given = fields.List("tokens") ?? (LlamaServerMode.Of(context).IsOn ? [] : throw ApiException.BadField(
            "tokens", "is missing; an array of token numbers is required", "missing_required_parameter"));
        var tokens = given.Select((token, i) => TokenOf(token, $"tokens[{i}]")).ToArray();
        using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields));
        var text = Encoding.UTF8.GetString(
            (await lease.Model.DetokenizeAsync(OfModel(lease.Model, tokens, "tokens"), context.RequestAborted)).Span);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("content", text);
            json.WriteEndObject();
        });
    }

    private static int TokenOf(JsonElement value, string name) =>
        RequestFields.WholeOf(value) is >= 0 and <= int.MaxValue and var token
            ? (int)token
            : throw ApiException.BadField(name, $"must be a token number, 0 or more, not {RequestFields.Describe(value)}");
}
