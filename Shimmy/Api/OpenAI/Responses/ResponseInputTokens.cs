using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Templates;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI.Responses;

/// <summary><c>POST /v1/responses/input_tokens</c>: how many tokens a request would be, which takes the same fields and answers nothing.</summary>
internal static class ResponseInputTokens
{
    public static void Map(RouteTable routes) => routes.MapPost("/v1/responses/input_tokens", Handle);

    private static async Task Handle(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var logger = ModelResolver.LoggerOf(context);
        var asked = ResponseRequestBody.Read(fields, context.RequestServices.GetRequiredService<ResponseStore>(), logger);
        using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields));
        var template = await TemplateCache.OfAsync(lease, logger, context.RequestAborted);
        var tokens = await lease.Model.TokenizeAsync(Render(template, asked.Request), context.RequestAborted);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("object"u8, "response.input_tokens"u8);
            json.WriteNumber("input_tokens", tokens.Count);
            json.WriteEndObject();
        });
    }

    private static Prompt Render(ChatTemplate template, ChatRequest request)
    {
        try
        {
            return template.Render(request);
        }
        catch (EngineException e) when (TemplateRefusal.Is(e))
        {
            throw TemplateRefusal.Reworded(e);
        }
    }
}
