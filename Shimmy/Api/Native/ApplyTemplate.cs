using Microsoft.AspNetCore.Http;
using Shimmy.Chat.Messages;
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
        var mode = LlamaServerMode.Of(context);
        var conversation = ConversationBody.Read(fields, mode);
        conversation = conversation with { Request = mode.Apply(conversation.Request, fields) };
        using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields));
        var template = await TemplateCache.OfAsync(lease, ModelResolver.LoggerOf(context), context.RequestAborted);
        var request = await MediaFields.LoaderOf(context)
            .MeasureAsync(lease.Model, conversation.Request, ModelResolver.LoggerOf(context), context.RequestAborted);
        var prompt = template.Render(request, conversation.AddGenerationPrompt);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("prompt", MediaMarkers.TextOf(prompt));
            json.WriteString("template", template.Origin);
            json.WriteStartArray("stop");
            foreach (var stop in template.Stop)
                json.WriteStringValue(stop);
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }
}

/// <summary>
/// A conversation as <c>/apply-template</c> and <c>/tokenize</c> take it, in OpenAI's form with llama.cpp's additions: <c>messages</c>,
/// <c>tools</c>, <c>add_generation_prompt</c>, <c>continue_final_message</c>, <c>enable_thinking</c>, <c>chat_template_kwargs</c>.
/// </summary>
internal sealed record ConversationBody(ChatRequest Request, bool AddGenerationPrompt)
{
    /// <summary>Reads the body; throws <see cref="ApiException"/> naming the field that is wrong.</summary>
    public static ConversationBody Read(RequestFields fields, LlamaServerMode mode)
    {
        var continues = ChatMessages.Continues(fields);
        var thinking = ThinkingFields.Read(fields, most: null, infers: !mode.IsOn);
        return new ConversationBody(
            new ChatRequest
            {
                Messages = ChatMessages.Read(fields),
                Tools = ToolFields.Read(fields, logger: null).Tools,
                EnableThinking = thinking.Enabled,
                ContinueFinalMessage = continues,
                ContinuationField = ChatMessages.ContinuationField(fields),
                TemplateArguments = thinking.TemplateArguments,
            },
            fields.Flag("add_generation_prompt") ?? !continues);
    }
}
