using Microsoft.AspNetCore.Http;
using Shimmy.Chat.Templates;
using Shimmy.Http;

namespace Shimmy.Api.Native;

/// <summary>
/// <c>POST /apply-template</c>: the prompt that a conversation becomes (llama.cpp's answer <c>{prompt}</c>), with where the template comes
/// from and the texts that end an answer.
/// </summary>
internal static class ApplyTemplate
{
    public static void Map(RouteTable routes) => routes.MapPost("/apply-template", Handle, RoutePolicy.Recorded);

    private static async Task Handle(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var conversation = ConversationBody.Read(fields);
        using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields));
        var template = await TemplateCache.OfAsync(lease, ModelResolver.LoggerOf(context), context.RequestAborted);
        var prompt = template.Render(conversation.Request, conversation.AddGenerationPrompt);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("prompt", string.Concat(prompt.Parts.Select(part => part.Text)));
            json.WriteString("template", template.Origin);
            json.WriteStartArray("stop");
            foreach (var stop in template.Stop)
                json.WriteStringValue(stop);
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }
}
