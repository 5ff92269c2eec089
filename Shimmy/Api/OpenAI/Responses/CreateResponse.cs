using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Chat;
using Shimmy.Chat.Output;
using Shimmy.Chat.Templates;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI.Responses;

/// <summary>
/// <c>POST /v1/responses</c>, and <c>/v1/responses/input_tokens</c>, which takes the same fields, counts their tokens and answers nothing.
/// </summary>
internal static class CreateResponse
{
    public static void Map(RouteTable routes)
    {
        routes.MapPost("/v1/responses", Handle, name: "responses");
        routes.MapPost("/v1/responses/input_tokens", HandleInputTokens);
    }

    private static async Task Handle(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        RequestContext.Of(context).ConversationField = "input";
        var logger = ModelResolver.LoggerOf(context);
        var store = context.RequestServices.GetRequiredService<ResponseStore>();
        // Read first: a request that is wrong loads no model.
        var asked = ResponseRequestBody.Read(fields, store, logger, LlamaServerMode.Of(context));
        using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields));
        var outline = new ResponseHead(Answer.NewId("resp_"), DateTimeOffset.UtcNow.ToUnixTimeSeconds(), lease.Entry.Name,
            asked.WithDefaultsOf(lease.Model.Facts));
        using var running = store.Begin(outline.Id, context.RequestAborted);
        var writer = new ResponseWriter(outline, json => running.Json = json, stored =>
        {
            if (outline.Body.Store)
                store.Add(stored);
            running.End(stored);
        }, asked.Extras);
        var clock = new AnswerClock();
        var events = UntilCancelled(
            ChatPipeline.ChatAsync(lease, outline.Body.Request with { CountsReasoningTokens = true },
                running.Token, logger, CacheControl.Use(context), MediaFields.LoaderOf(context), clock: clock),
            running, clock, context.RequestAborted);
        if (asked.Stream)
        {
            await SseResponse.SendAsync(context, events, writer);
            return;
        }
        await foreach (var outputEvent in events)
        {
            writer.Take(outputEvent);
            RequestContext.Of(context).Note(outputEvent);
        }
        await JsonResponse.WriteAsync(context, json => json.WriteRawValue(writer.Json!, skipInputValidation: true));
    }

    private static async Task HandleInputTokens(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        RequestContext.Of(context).ConversationField = "input";
        var logger = ModelResolver.LoggerOf(context);
        var asked = ResponseRequestBody.Read(fields, context.RequestServices.GetRequiredService<ResponseStore>(), logger,
            LlamaServerMode.Of(context));
        using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields));
        var template = await TemplateCache.OfAsync(lease, logger, context.RequestAborted);
        var measured = await MediaFields.LoaderOf(context).MeasureAsync(lease.Model, asked.Request, logger, context.RequestAborted);
        var tokens = await lease.Model.TokenizeAsync(template.Render(measured), context.RequestAborted);
        await JsonResponse.WriteAsync(context, json => OpenAIJson.WriteInputTokens(json, tokens.Count));
    }

    // An answer that another request cancels ends without an error.
    private static async IAsyncEnumerable<OutputEvent> UntilCancelled(
        IAsyncEnumerable<OutputEvent> events, RunningResponse running, AnswerClock clock,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        GenerationStart? start = null;
        var pieces = 0;
        await using var enumerator = events.GetAsyncEnumerator(cancellation);
        while (true)
        {
            bool more;
            try
            {
                more = await enumerator.MoveNextAsync().ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (running.Cancelled && !cancellation.IsCancellationRequested)
            {
                break;
            }
            if (!more)
                yield break;
            var outputEvent = enumerator.Current;
            start = outputEvent.Start ?? start;
            pieces += outputEvent.Start is null ? 1 : 0;
            yield return outputEvent.End is { } end && running.Cancelled
                ? outputEvent with { End = end with { IsCancelled = true } }
                : outputEvent;
        }
        yield return OutputEvent.OfEnd(clock.Cancelled(start, pieces));
    }
}
