using System.Collections.Concurrent;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output;
using Shimmy.Chat.Templates;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI;

/// <summary><c>POST /v1/chat/completions</c>.</summary>
internal static class ChatCompletions
{
    public static void Map(RouteTable routes)
    {
        routes.MapPost("/v1/chat/completions", Handle, name: "chat_completions");
        routes.MapPost("/v1/chat/completions/input_tokens", HandleInputTokens);
        // Not recorded: the id that it names is another in each run.
        routes.MapPost("/v1/chat/completions/control", HandleControl, RoutePolicy.None);
    }

    private static async Task Handle(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        // Read first: a request that is wrong loads no model.
        var logger = ModelResolver.LoggerOf(context);
        var mode = LlamaServerMode.Of(context);
        var request = ChatRequestBody.Read(fields, logger, mode);
        var wanted = ModelRequest.Read(fields);
        // Before the model is loaded: who leaves meanwhile reads the answer later.
        if (request.Stream && ConversationStreams.Begin(context) is { } outlives)
            await SseResponse.OutliveAsync(context, outlives, () => AnswerAsync(context, request, wanted, outlives));
        else
            await AnswerAsync(context, request, wanted, null);
    }

    private static async Task AnswerAsync(
        HttpContext context, ChatRequestBody request, ModelRequest wanted, ConversationStream? outlives)
    {
        var token = outlives?.Token ?? context.RequestAborted;
        var logger = ModelResolver.LoggerOf(context);
        using var lease = await ModelResolver.AcquireAsync(context, wanted, token);
        var name = lease.Entry.Name;
        request = request.WithDefaultsOf(lease);
        var id = Answer.NewId("chatcmpl-");
        using var controlled = ReasoningControls.Begin(id, request.Request.ReasoningControl);
        var created = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        var cache = CacheControl.Use(context);
        // llama-server's usage has no tokens of reasoning, nor has a stream without one.
        var countsReasoning = !request.Extras.AsLlamaServer && (!request.Stream || request.IncludeUsage);
        // Once for all choices. That all are looked up in the cache when the first is asked for, so that the header speaks of all, rests on
        // it as well: they wait for nothing before.
        var conversation = await MediaFields.LoaderOf(context).DecodeAsync(
            lease, request.Request with { CountsReasoningTokens = countsReasoning }, logger, token);
        var prepared = ChatPipeline.Prepare(await TemplateCache.OfAsync(lease, logger, token), conversation, logger);
        if (request.Extras.VerbosePrompt is not null)
            request = request.WithPrompt(await prepared.Prompt.TextReadByAsync(lease.Model, token));
        var choices = Enumerable.Range(0, request.Choices)
            .Select(i => ChatPipeline.ChatAsync(lease, conversation with { Options = conversation.Options.ForChoice(i) }, token, logger,
                cache, prepared: prepared)).ToArray();
        if (request.Stream)
        {
            var writer = new ChatStreamWriter(id, created, name, request.IncludeUsage, request.Choices, request.Extras);
            var events = choices.Length == 1 ? choices[0] : AnswerMerge.SideBySide(choices.Length, (i, _) => choices[i], token);
            await SseResponse.SendAsync(context, events, writer, outlives);
            return;
        }
        var answers = await Task.WhenAll(choices.Select(events => Answer.CollectAsync(context, events)));
        // Every answer has the same prompt, which counts once.
        var usage = answers.Skip(1)
            .Aggregate(answers[0].End.Usage,
                (sum, answer) => sum with { CompletionTokens = sum.CompletionTokens + answer.End.Usage.CompletionTokens });
        await OpenAIJson.WriteAnswerAsync(context, (id, "chat.completion", created, name), request.Extras, answers, usage, (json, i) =>
        {
            ChatAnswerJson.WriteMessage(json, answers[i]);
            ChatAnswerJson.WriteLogProbabilities(json, request.Extras.LogProbabilities ? answers[i].Tokens ?? [] : null);
        }, countsReasoning);
    }

    /// <summary>The tokens that the body of a chat request would be computed as, and the model that would; nothing is generated.</summary>
    public static async Task<(string Model, IReadOnlyList<int> Tokens)> PromptTokensAsync(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var logger = ModelResolver.LoggerOf(context);
        var request = ChatRequestBody.Read(fields, logger, LlamaServerMode.Of(context)).Request;
        using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields));
        var template = await TemplateCache.OfAsync(lease, logger, context.RequestAborted);
        var measured = await MediaFields.LoaderOf(context).MeasureAsync(lease.Model, request, logger, context.RequestAborted);
        var prompt = template.Render(measured, request.AddGenerationPrompt);
        return (lease.Entry.Name, await lease.Model.TokenizeAsync(prompt, context.RequestAborted));
    }

    // llama-server's: takes the same fields, counts their tokens and answers nothing.
    private static async Task HandleInputTokens(HttpContext context)
    {
        var (_, tokens) = await PromptTokensAsync(context);
        await JsonResponse.WriteAsync(context, json => OpenAIJson.WriteInputTokens(json, tokens.Count));
    }

    // llama-server's: ends the thinking of an answer that runs.
    private static async Task HandleControl(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var id = fields.RequiredText("id");
        if (fields.Choice("action", "reasoning_end") is null)
            throw ApiException.BadField("action", "is missing; 'reasoning_end' is allowed");
        if (!ReasoningControls.End(id))
        {
            throw new ApiException(404, $"no answer runs under the id {RequestFields.Quote(id)} that was sent with reasoning_control",
                "not_found", "id");
        }

        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteBoolean("success", true);
            json.WriteEndObject();
        });
    }
}

/// <summary>
/// Conversations whose thinking can be ended while they run (<c>reasoning_control</c>), by the ids of their answers.
/// </summary>
internal static class ReasoningControls
{
    private static readonly ConcurrentDictionary<string, ReasoningControl> Running = new(StringComparer.Ordinal);

    /// <summary>Lets an answer be found until the result is disposed.</summary>
    public static IDisposable Begin(string id, ReasoningControl? control)
    {
        if (control is not null)
            Running[id] = control;
        return new Entry(id);
    }

    /// <summary>Ends the thinking of an answer; false where none runs under this id that may be asked to.</summary>
    public static bool End(string id)
    {
        if (!Running.TryGetValue(id, out var control))
            return false;
        control.End();
        return true;
    }

    private sealed class Entry(string id) : IDisposable
    {
        public void Dispose() => Running.TryRemove(id, out _);
    }
}
