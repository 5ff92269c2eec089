using Microsoft.AspNetCore.Http;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output;
using Shimmy.Chat.Templates;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.LlamaServer;

/// <summary>
/// <c>POST /embedding</c>: embeddings in llama-server's form, a list of vectors for each text. <c>POST
/// /v1/chat/completions/input_tokens</c>: the tokens of a conversation.
/// </summary>
internal static class LlamaTexts
{
    public static void Map(RouteTable routes)
    {
        routes.MapPost("/embedding", HandleEmbedding);
        routes.MapPost("/v1/chat/completions/input_tokens", HandleInputTokens);
    }

    private static async Task HandleEmbedding(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var field = fields.Has("content") ? "content" : "input";
        var given = LlamaPrompts.Read(fields, field);
        var norm = fields.Whole("embd_normalize", -1, 100) ?? 2;
        var loras = LoraFields.Read(fields);
        using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields));
        var embeddings = await Task.WhenAll(given.Select(async element => await lease.Model.EmbedAsync(
            new EmbeddingRequest
            {
                Prompt = await LlamaPrompts.OfAsync(context, lease.Model, element, context.RequestAborted) is { Media.Count: 0 } prompt
                    ? prompt
                    : throw ApiException.BadField(field, "pictures and sounds are not embedded; send text"),
                Loras = loras ?? lease.Loras,
                Place = lease.Place,
            }, context.RequestAborted)));
        RequestContext.Of(context).Usage = new Usage(embeddings.Sum(embedding => embedding.Tokens), 0, 0);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartArray();
            for (var i = 0; i < embeddings.Length; i++)
            {
                json.WriteStartObject();
                json.WriteNumber("index", i);
                json.WriteStartArray("embedding");
                json.WriteStartArray();
                foreach (var value in Normalised(embeddings[i].Values, norm))
                    json.WriteNumberValue(value);
                json.WriteEndArray();
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndArray();
        });
    }

    // llama.cpp's: -1 leaves it, 0 scales the greatest to that of 16 bits, others divide by the norm of that number.
    private static float[] Normalised(float[] values, int norm)
    {
        var size = norm switch
        {
            -1 => 1.0,
            0 => values.Max(Math.Abs) / 32760.0,
            2 => Math.Sqrt(values.Sum(value => (double)value * value)),
            _ => Math.Pow(values.Sum(value => Math.Pow(Math.Abs(value), norm)), 1.0 / norm),
        };
        return size > 0 ? Array.ConvertAll(values, value => (float)(value / size)) : values;
    }

    private static async Task HandleInputTokens(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var logger = ModelResolver.LoggerOf(context);
        var thinking = ThinkingFields.Read(fields, most: null);
        var request = LlamaServerMode.Of(context).Apply(new ChatRequest
        {
            Messages = ChatMessages.Read(fields),
            Tools = ToolFields.Read(fields, logger).Tools,
            EnableThinking = thinking.Enabled,
            TemplateArguments = thinking.TemplateArguments,
            ContinueFinalMessage = ChatMessages.Continues(fields),
        }, fields);
        using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields));
        var template = await TemplateCache.OfAsync(lease, logger, context.RequestAborted);
        var measured = await MediaFields.LoaderOf(context).MeasureAsync(lease.Model, request, logger, context.RequestAborted);
        var tokens = await lease.Model.TokenizeAsync(template.Render(measured), context.RequestAborted);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("object"u8, "response.input_tokens"u8);
            json.WriteNumber("input_tokens", tokens.Count);
            json.WriteEndObject();
        });
    }
}
