using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Templates;
using Shimmy.Http;

namespace Shimmy.Api.Anthropic;

/// <summary>
/// <c>POST /v1/messages</c> and <c>/v1/messages/count_tokens</c>. Versions and betas in the headers are what the client likes.
/// </summary>
internal static class Messages
{
    public static void Map(RouteTable routes)
    {
        routes.MapPost("/v1/messages", Handle, name: "messages");
        routes.MapPost("/v1/messages/count_tokens", HandleCount);
    }

    private static async Task Handle(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        // Read first: a request that is wrong loads no model.
        var logger = ModelResolver.LoggerOf(context);
        var asked = MessagesRequestBody.Read(fields, logger, counts: false, LlamaServerMode.Of(context));
        using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields));
        var name = lease.Entry.Name;
        asked = asked.WithDefaultsOf(lease.Model.Facts);
        var id = Answer.NewId("msg_");
        var events = ChatPipeline.ChatAsync(lease, asked.Request, context.RequestAborted, logger, CacheControl.Use(context),
            MediaFields.LoaderOf(context));
        if (asked.Stream)
        {
            await SseResponse.SendAsync(context, events, new MessageStreamWriter(id, name, asked, context.TraceIdentifier));
            return;
        }
        var answer = await Answer.CollectAsync(context, events);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            AnthropicJson.WriteHead(json, id, name);
            json.WriteStartArray("content");
            WriteContent(json, answer);
            json.WriteEndArray();
            AnthropicJson.WriteStop(json, answer.End, asked.Request.Options.Stop, asked.ContextLimit);
            AnthropicJson.WriteUsage(json, answer.End.Usage.PromptTokens, answer.End.Usage.CachedTokens,
                answer.End.Usage.CompletionTokens, asked.Caches);
            json.WriteEndObject();
        });
    }

    private static async Task HandleCount(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var logger = ModelResolver.LoggerOf(context);
        var asked = MessagesRequestBody.Read(fields, logger, counts: true, LlamaServerMode.Of(context));
        using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields));
        var template = await TemplateCache.OfAsync(lease, logger, context.RequestAborted);
        var measured = await MediaFields.LoaderOf(context).MeasureAsync(lease.Model, asked.Request, logger, context.RequestAborted);
        var tokens = await lease.Model.TokenizeAsync(template.Render(measured), context.RequestAborted);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteNumber("input_tokens", tokens.Count);
            json.WriteEndObject();
        });
    }

    private static void WriteContent(Utf8JsonWriter json, Answer answer)
    {
        if (answer.Reasoning.Length > 0)
        {
            json.WriteStartObject();
            json.WriteString("type"u8, "thinking"u8);
            json.WriteString("thinking", answer.Reasoning);
            json.WriteString("signature", AnthropicJson.Signature(answer.Reasoning));
            json.WriteEndObject();
        }
        if (answer.Text.Length > 0)
        {
            json.WriteStartObject();
            json.WriteString("type"u8, "text"u8);
            json.WriteString("text", answer.Text);
            json.WriteEndObject();
        }
        foreach (var (name, arguments) in answer.Calls)
        {
            json.WriteStartObject();
            json.WriteString("type"u8, "tool_use"u8);
            json.WriteString("id", AnthropicJson.NewCallId());
            json.WriteString("name", name);
            json.WritePropertyName("input");
            WriteInput(json, arguments);
            json.WriteEndObject();
        }
    }

    // A call that max_tokens cut is no JSON yet; its input is then empty, and stop_reason says why.
    private static void WriteInput(Utf8JsonWriter json, string arguments)
    {
        try
        {
            using var input = JsonDocument.Parse(SurrogateRepair.Of(arguments));
            input.RootElement.WriteTo(json);
        }
        catch (JsonException)
        {
            json.WriteStartObject();
            json.WriteEndObject();
        }
    }
}
