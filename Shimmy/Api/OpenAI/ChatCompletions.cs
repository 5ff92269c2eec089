using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Shimmy.Chat;

namespace Shimmy.Api.OpenAI;

/// <summary><c>POST /v1/chat/completions</c>.</summary>
internal static class ChatCompletions
{
    public static void Map(IEndpointRouteBuilder routes) => routes.MapPost("/v1/chat/completions", (RequestDelegate)Handle);

    private static async Task Handle(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        // Read first: a request that is wrong loads no model.
        var request = ChatRequestBody.Read(fields);
        using var lease = await ModelAsked.AcquireAsync(context, fields);
        var name = lease.Entry.Name;
        RequestLog.Of(context).Model = name;
        request = request.WithDefaultsOf(lease.Model.Facts, fields);
        var id = OpenAIJson.NewId("chatcmpl-");
        var created = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        var events = ChatPipeline.ChatAsync(lease.Model, request.Request, context.RequestAborted);
        if (request.Stream)
        {
            await EventStream.SendAsync(context, events, new ChatStreamWriter(id, created, name, request.IncludeUsage));
            return;
        }
        var answer = await Answer.CollectAsync(context, events);
        await Reply.JsonAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("id", id);
            json.WriteString("object"u8, "chat.completion"u8);
            json.WriteNumber("created", created);
            json.WriteString("model", name);
            json.WriteStartArray("choices");
            json.WriteStartObject();
            json.WriteNumber("index", 0);
            json.WriteStartObject("message");
            json.WriteString("role"u8, "assistant"u8);
            json.WriteString("content", answer.Text);
            json.WriteNull("refusal");
            json.WriteEndObject();
            json.WriteNull("logprobs");
            json.WriteString("finish_reason", OpenAIJson.FinishReasonOf(answer.End));
            json.WriteEndObject();
            json.WriteEndArray();
            OpenAIJson.WriteUsage(json, answer.End.Usage);
            json.WriteEndObject();
        });
    }
}
