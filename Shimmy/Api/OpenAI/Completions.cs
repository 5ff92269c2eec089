using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Shimmy.Chat;
using Shimmy.Chat.Cache;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models.Residency;

namespace Shimmy.Api.OpenAI;

/// <summary><c>POST /v1/completions</c>: goes on with prompts as they are.</summary>
internal static class Completions
{
    public static void Map(RouteTable routes) => routes.MapPost("/v1/completions", Handle, name: "completions");

    private static async Task Handle(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        // Read first: a request that is wrong loads no model.
        var logger = ModelResolver.LoggerOf(context);
        var mode = LlamaServerMode.Of(context);
        var request = CompletionRequestBody.Read(fields, logger, mode);
        using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields));
        var name = lease.Entry.Name;
        request = request.WithDefaultsOf(lease);
        var id = Answer.NewId("cmpl-");
        var created = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        var runs = await RunsAsync(lease.Model, request, mode, context.RequestAborted);
        var cache = CacheControl.Use(context);
        if (request.Stream)
        {
            var writer = new CompletionStreamWriter(id, created, name, request, [.. runs.Select(run => run.Echo)]);
            var events = AnswerMerge.OneAfterAnother(runs.Length,
                (i, end) => ChatPipeline.CompleteAsync(lease, runs[i].Request, end, cache, logger), context.RequestAborted);
            await SseResponse.SendAsync(context, events, writer);
            return;
        }
        var answers = await CollectAsync(context, lease, cache, runs, logger);
        // The answers to one prompt have it in common, and it counts once.
        var usage =
            answers.Select(
                (answer, i) => i % request.Choices == 0 ? answer.End.Usage : answer.End.Usage with { PromptTokens = 0, CachedTokens = 0 })
            .Aggregate((sum, usage) => sum + usage);
        await OpenAIJson.WriteAnswerAsync(context, (id, "text_completion", created, name), request.Extras, answers, usage, (json, i) =>
        {
            var text = runs[i].Echo + answers[i].Text;
            json.WriteString("text", text);
            CompletionLogprobs.Write(json, request.Extras, text, answers[i]);
        });
    }

    // One for each choice: n for the first prompt, n for the second …
    private static async Task<Run[]> RunsAsync(
        ILoadedModel model, CompletionRequestBody request, LlamaServerMode mode, CancellationToken cancellation)
    {
        var runs = new List<Run>();
        foreach (var prompt in request.Prompts)
        {
            var echo = request.Echo ? await EchoAsync(model, prompt, request, cancellation) : "";
            for (var i = 0; i < request.Choices; i++)
            {
                var options = mode.OptionsFor(prompt, model.Facts, request.Options.ForChoice(i));
                runs.Add(new Run(echo, new CompletionRequest { Prompt = prompt, Options = options, Grammar = request.Grammar }));
            }
        }
        return [.. runs];
    }

    // The prompt as it came; of one around a gap, what is in front of it.
    private static async Task<string> EchoAsync(ILoadedModel model, Prompt prompt,
        CompletionRequestBody request, CancellationToken cancellation) =>
        prompt.Tokens is { } tokens
            ? Encoding.UTF8.GetString((await model.DetokenizeAsync(tokens, cancellation)).Span)
            : prompt.Parts[request.Suffix is null ? 0 : 1].Text;

    // All prompts at once; one that fails ends the others, whose answers nobody would get.
    private static async Task<Answer[]> CollectAsync(
        HttpContext context, ModelLease lease, CachedExecution cache, Run[] runs, ILogger logger)
    {
        using var failed = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        return await Task.WhenAll(runs.Select(async run =>
        {
            try
            {
                return await Answer.CollectAsync(context, ChatPipeline.CompleteAsync(lease, run.Request, failed.Token, cache, logger));
            }
            catch
            {
                await failed.CancelAsync();
                throw;
            }
        }));
    }

    /// <summary>One choice.</summary>
    /// <param name="Echo">What of the prompt stands before the answer.</param>
    /// <param name="Request">What is generated.</param>
    private sealed record Run(string Echo, CompletionRequest Request);
}
