using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat;
using Shimmy.Chat.Output;
using Shimmy.Engine;

namespace Shimmy.Api.OpenAI;

/// <summary><c>POST /v1/completions</c>: goes on with prompts as they are.</summary>
internal static class Completions
{
    public static void Map(RouteTable routes) => routes.MapPost("/v1/completions", Handle);

    private static async Task Handle(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        // Read first: a request that is wrong loads no model.
        var request = CompletionRequestBody.Read(fields);
        using var lease = await ModelAsked.AcquireAsync(context, fields);
        var name = lease.Entry.Name;
        RequestLog.Of(context).Model = name;
        request = request.WithDefaultsOf(lease.Model.Facts, fields);
        var id = OpenAIJson.NewId("cmpl-");
        var created = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        if (request.Stream)
        {
            var writer = new CompletionStreamWriter(id, created, name, request.IncludeUsage);
            await EventStream.SendAsync(context, OneAfterAnother(lease.Model, request, writer, context.RequestAborted), writer);
            return;
        }
        var answers = await CollectAsync(context, lease.Model, request);
        var usage = answers.Select(answer => answer.End.Usage).Aggregate(CompletionUsage.Add);
        RequestLog.Of(context).Usage = usage;
        await Reply.JsonAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("id", id);
            json.WriteString("object"u8, "text_completion"u8);
            json.WriteNumber("created", created);
            json.WriteString("model", name);
            json.WriteStartArray("choices");
            for (var i = 0; i < answers.Length; i++)
            {
                json.WriteStartObject();
                json.WriteNumber("index", i);
                json.WriteString("text", answers[i].Text);
                json.WriteNull("logprobs");
                json.WriteString("finish_reason", OpenAIJson.FinishReasonOf(answers[i].End));
                json.WriteEndObject();
            }
            json.WriteEndArray();
            OpenAIJson.WriteUsage(json, usage);
            json.WriteEndObject();
        });
    }

    // All prompts at once; one that fails ends the others, whose answers nobody would get.
    private static async Task<Answer[]> CollectAsync(HttpContext context, ILoadedModel model, CompletionRequestBody request)
    {
        using var failed = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        return await Task.WhenAll(request.Prompts.Select(async prompt =>
        {
            try
            {
                return await Answer.CollectAsync(context, Run(model, request, prompt, failed.Token));
            }
            catch
            {
                await failed.CancelAsync();
                throw;
            }
        }));
    }

    private static IAsyncEnumerable<OutputEvent> Run(ILoadedModel model, CompletionRequestBody request, Prompt prompt, CancellationToken cancellation) =>
        ChatPipeline.CompleteAsync(model, new GenerationRequest { Prompt = prompt, Options = request.Options, Grammar = request.Grammar }, cancellation);

    private static async IAsyncEnumerable<OutputEvent> OneAfterAnother(
        ILoadedModel model, CompletionRequestBody request, CompletionStreamWriter writer, [EnumeratorCancellation] CancellationToken cancellation)
    {
        for (var i = 0; i < request.Prompts.Count; i++)
        {
            writer.Index = i;
            writer.Last = i == request.Prompts.Count - 1;
            await foreach (var happened in Run(model, request, request.Prompts[i], cancellation).ConfigureAwait(false))
                yield return happened;
        }
    }
}
