using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.Ollama;

/// <summary>
/// <c>POST /api/embed</c>, and the older <c>/api/embeddings</c> for one text, whose values are as the model has them. Nothing to embed
/// loads the model.
/// </summary>
internal static class Embed
{
    public static void Map(RouteTable routes)
    {
        routes.MapPost("/api/embed", HandleEmbed, RoutePolicy.Recorded);
        routes.MapPost("/api/embeddings", HandleOlder, RoutePolicy.Recorded);
    }

    private static async Task HandleEmbed(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var call = OllamaCall.Read(RequestContext.Of(context), fields, ModelResolver.LoggerOf(context));
        var inputs = Inputs(fields);
        // Ollama cuts what is too long, unless it is asked not to.
        var truncates = EmbeddingRun.Truncates(fields, otherwise: true);
        var asked = fields.Whole("dimensions", 0, int.MaxValue);
        OllamaUnreadFields.Check(fields, ModelResolver.LoggerOf(context));
        using var lease = await call.AcquireAsync(context);
        // More than there are, and 0, are all.
        var dimensions = asked > 0 && asked < lease.Model.Facts.EmbeddingLength
            ? EmbeddingRun.Dimensions(asked, lease, ModelResolver.LoggerOf(context))
            : null;
        var (values, tokens) = await EmbeddingRun.AllAsync(context, lease, "input", inputs, truncates,
            call.OptionsFor(lease.Model.Facts, null).Loras);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("model", call.Model);
            json.WriteStartArray("embeddings");
            foreach (var vector in values)
                EmbeddingRun.WriteVector(json, null, EmbeddingRun.Normalised(vector, dimensions));
            json.WriteEndArray();
            call.WriteDurations(json);
            json.WriteNumber("prompt_eval_count", tokens);
            json.WriteEndObject();
        });
    }

    private static async Task HandleOlder(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var call = OllamaCall.Read(RequestContext.Of(context), fields, ModelResolver.LoggerOf(context));
        var prompt = fields.Text("prompt") ?? "";
        OllamaUnreadFields.Check(fields, ModelResolver.LoggerOf(context));
        using var lease = await call.AcquireAsync(context);
        var (values, _) = await EmbeddingRun.AllAsync(context, lease, "prompt", prompt.Length == 0 ? [] : [Prompt.FromText(prompt)],
            truncates: false, call.OptionsFor(lease.Model.Facts, null).Loras);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            EmbeddingRun.WriteVector(json, "embedding", values.Count == 0 ? [] : values[0]);
            json.WriteEndObject();
        });
    }

    // A text or several; an empty one is nothing.
    private static IReadOnlyList<Prompt> Inputs(RequestFields fields) => fields.Find("input") switch
    {
        null => [],
        { ValueKind: JsonValueKind.String } text => text.GetString()!.Length == 0 ? [] : [Prompt.FromText(text.GetString()!)],
        { ValueKind: JsonValueKind.Array } list =>
            [.. list.EnumerateArray().Select((text, i) => Prompt.FromText(RequestFields.TextOf(text, $"input[{i}]")))],
        { } other => throw ApiException.BadField("input", $"must be a string or an array of strings, not {RequestFields.Describe(other)}"),
    };
}
