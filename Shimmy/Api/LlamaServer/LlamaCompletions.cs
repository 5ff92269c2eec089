using System.Buffers;
using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models.Residency;

namespace Shimmy.Api.LlamaServer;

/// <summary><c>POST /completion</c>, <c>/completions</c> and <c>/infill</c>: llama-server's own form of generation.</summary>
internal static class LlamaCompletions
{
    public static void Map(RouteTable routes)
    {
        routes.MapPost("/completion", context => HandleAsync(context, fills: false));
        routes.MapPost("/completions", context => HandleAsync(context, fills: false));
        routes.MapPost("/infill", context => HandleAsync(context, fills: true));
    }

    private static async Task HandleAsync(HttpContext context, bool fills)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        RequestContext.Of(context).ConversationField = "prompt";
        // Read first: a request that is wrong loads no model.
        var mode = LlamaServerMode.Of(context);
        var asked = LlamaRequest.Read(fields, mode);
        var saysLimit = fields.Has("n_predict") || fields.Has("max_tokens") || fields.Has("max_completion_tokens");
        var gap = fills ? InfillFields.Read(fields) : null;
        var given = fills ? [] : LlamaPrompts.Read(fields, "prompt");
        var wanted = ModelRequest.Read(fields);
        UnreadFields.Check(fields, ModelResolver.LoggerOf(context));
        using var lease = await ModelResolver.AcquireAsync(context, wanted);
        var model = lease.Model;
        var request = await asked.WithDefaultsOfAsync(model, saysLimit, context.RequestAborted);
        // The settings of the answer tell them.
        request = request with { Options = request.Options with { Loras = lease.LorasOver(request.Options.Loras) } };
        List<Prompt> prompts = [];
        if (gap is not null)
            prompts.Add(await gap.PromptAsync(model, request.Predict, mode, context.RequestAborted));
        foreach (var element in given)
            prompts.Add(await LlamaPrompts.OfAsync(context, lease, element, "prompt", context.RequestAborted));
        var runs = new List<LlamaRun>();
        foreach (var prompt in prompts)
        {
            var text = await prompt.TextReadByAsync(model, context.RequestAborted);
            for (var i = 0; i < request.Choices; i++)
            {
                var options = mode.OptionsFor(prompt, model.Facts, request.Options.ForChoice(i));
                var answer = new LlamaAnswer(new LlamaOutline(lease.Entry.Name, model.Facts, request), runs.Count, text);
                runs.Add(new LlamaRun(new CompletionRequest { Prompt = prompt, Options = options, Grammar = request.Grammar }, answer));
            }
        }

        var log = PromptLog.Of(context);
        foreach (var run in runs)
            log?.Write(run.Request.Prompt);
        var events = AnswerMerge.SideBySide(
            runs.Count, (i, end) => LlamaGeneration.RunAsync(lease, request, runs[i], mode, end), context.RequestAborted);
        if (request.Stream)
        {
            await SseResponse.SendAsync(context, events, new Writer(runs, request.PingAfter));
            return;
        }
        await foreach (var outputEvent in events)
        {
            RequestContext.Of(context).Note(outputEvent);
            runs[outputEvent.Choice].Answer.Take(outputEvent);
        }
        await JsonResponse.WriteAsync(context, json =>
        {
            if (runs.Count > 1)
                json.WriteStartArray();
            foreach (var run in runs)
                json.WriteRawValue(run.Answer.WholeText(streamed: false).Span, skipInputValidation: true);
            if (runs.Count > 1)
                json.WriteEndArray();
        });
    }

    private sealed class Writer(IReadOnlyList<LlamaRun> runs, TimeSpan? ping) : IStreamWriter
    {
        public TimeSpan? PingAfter => ping;

        public void Write(IBufferWriter<byte> output, in OutputEvent outputEvent)
        {
            var answer = runs[outputEvent.Choice].Answer;
            answer.Take(outputEvent);
            answer.WritePiece(output, outputEvent);
        }
    }
}

/// <summary>One answer to generate.</summary>
/// <param name="Request">What is generated.</param>
/// <param name="Answer">What it becomes.</param>
internal sealed record LlamaRun(CompletionRequest Request, LlamaAnswer Answer);

/// <summary>Runs an answer, and beyond the context where that may be shifted.</summary>
internal static class LlamaGeneration
{
    /// <summary>
    /// The events of an answer. One to a prompt with pictures ends with the context, as llama-server shifts none of a model that sees.
    /// </summary>
    public static IAsyncEnumerable<OutputEvent> RunAsync(
        ModelLease lease, LlamaRequest request, LlamaRun run, LlamaServerMode mode, CancellationToken cancellation) =>
        mode.ShiftsContext && run.Request.Prompt.Media.Count == 0
            ? ShiftedAsync(lease, request, run, cancellation)
            : ChatPipeline.CompleteAsync(lease, run.Request, cancellation);

    // A prompt that is too long loses whole halves of what is not kept, as llama-server cuts it; an answer that fills the context goes on
    // behind what is left when half is dropped.
    private static async IAsyncEnumerable<OutputEvent> ShiftedAsync(ModelLease lease, LlamaRequest request, LlamaRun run,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        var context = lease.Model.Facts.ContextLength;
        var prompt = run.Request.Prompt;
        List<int> tokens = [.. prompt.Tokens ?? await lease.Model.TokenizeAsync(prompt, cancellation).ConfigureAwait(false)];
        var keep = Math.Min(request.Keep < 0 ? tokens.Count : request.Keep, context - 4);
        if (tokens.Count >= context)
        {
            var block = Math.Max(1, (context - keep) / 2);
            var dropped = (tokens.Count - keep - block) / block * block;
            tokens.RemoveRange(keep, dropped);
            run.Answer.IsCut = true;
        }

        var most = run.Request.Options.MaxTokens;
        var (generated, isFirst) = (0, true);
        var (usage, timings) = (new Usage(0, 0, 0), new GenerationTimings(0, 0, 0));
        while (true)
        {
            var part = run.Request with
            {
                Prompt = Prompt.FromTokens([.. tokens]),
                Options = run.Request.Options with
                {
                    MaxTokens = most - generated,
                    // It counts until the first token; what is read again at a shift comes later.
                    PromptMilliseconds = isFirst ? run.Request.Options.PromptMilliseconds : null,
                    PredictMilliseconds = run.Request.Options.PredictMilliseconds is { } limit
                        ? Math.Max(1, limit - (int)timings.DecodeMilliseconds)
                        : null,
                },
            };
            OutputEnd? end = null;
            await foreach (var outputEvent in ChatPipeline.CompleteAsync(lease, part, cancellation).ConfigureAwait(false))
            {
                if (outputEvent.Tokens is { } some)
                {
                    tokens.AddRange(some.Select(token => token.Token));
                    generated += some.Count;
                }
                end = outputEvent.End;
                if (end is null && (isFirst || outputEvent.Start is null))
                    yield return outputEvent;
            }
            usage = isFirst ? end!.Usage : usage with { CompletionTokens = generated };
            timings = isFirst ? end!.Timings : timings with
            {
                DecodeMilliseconds = timings.DecodeMilliseconds + end!.Timings.PrefillMilliseconds + end.Timings.DecodeMilliseconds,
            };
            isFirst = false;
            if (end!.Reason != FinishReason.Length || generated >= (most ?? int.MaxValue) || tokens.Count < context)
            {
                yield return OutputEvent.OfEnd(end with { Usage = usage, Timings = timings });
                yield break;
            }
            run.Answer.IsCut = true;
            var discard = request.Discard > 0 ? Math.Min(request.Discard, tokens.Count - keep - 1) : (tokens.Count - keep) / 2;
            tokens.RemoveRange(keep, Math.Max(1, discard));
        }
    }
}
