using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI;

/// <summary>
/// <c>POST /v1/completions/render</c> and <c>/v1/chat/completions/render</c>: the tokens that the same body would be computed as, so that
/// a router can look for them among the blocks that KV events have reported. vLLM's routes; nothing is generated.
/// </summary>
internal static class Render
{
    public static void Map(RouteTable routes)
    {
        routes.MapPost("/v1/completions/render", HandleCompletion);
        routes.MapPost("/v1/chat/completions/render", HandleChat);
    }

    // One object for each prompt, as there may be several.
    private static async Task HandleCompletion(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var request = CompletionRequestBody.Read(fields, ModelResolver.LoggerOf(context), LlamaServerMode.Of(context));
        using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields));
        var rendered = new List<IReadOnlyList<int>>();
        foreach (var prompt in request.WithDefaultsOf(lease).Prompts)
            rendered.Add(await lease.Model.TokenizeAsync(prompt, context.RequestAborted));
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartArray();
            foreach (var tokens in rendered)
                Write(json, Answer.NewId("cmpl-"), lease.Entry.Name, tokens);
            json.WriteEndArray();
        });
    }

    private static async Task HandleChat(HttpContext context)
    {
        var (model, tokens) = await ChatCompletions.PromptTokensAsync(context);
        await JsonResponse.WriteAsync(context, json => Write(json, Answer.NewId("chatcmpl-"), model, tokens));
    }

    private static void Write(Utf8JsonWriter json, string id, string model, IReadOnlyList<int> tokens)
    {
        json.WriteStartObject();
        json.WriteString("request_id", id);
        json.WriteString("model", model);
        json.WriteStartArray("token_ids");
        // Readers take them for unsigned. A picture or a sound has none, and no block from there on is reported.
        foreach (var token in tokens.TakeWhile(token => token >= 0))
            json.WriteNumberValue(token);
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
