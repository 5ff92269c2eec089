using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text;
using Microsoft.Extensions.Logging;
using Shimmy.Chat.Cache;
using Shimmy.Chat.Grammars;
using Shimmy.Chat.Grammars.Tools;
using Shimmy.Chat.Media;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output;
using Shimmy.Chat.Output.Tools;
using Shimmy.Chat.Templates;
using Shimmy.Engine;
using Shimmy.Models.Residency;

namespace Shimmy.Chat;

/// <summary>
/// Runs one request on a loaded model, for all dialects and for the commands that answer. <c>bench</c> and <c>probe</c> measure the engine
/// without it, with a <see cref="GenerationRequest"/> of their own.
///
/// <code>
///   ChatRequest ─► template ─► GenerationRequest ─► engine ─► token events
///                                     │ cached?                  │ bytes → characters (Utf8Assembler)
///                                     ▼                          ▼ text up to the first stop sequence (StopSequences)
///   dialect     ◄── AnswerParser ◄── CachedExecution ◄─────── OutputEvent
/// </code>
///
/// The enumeration throws <see cref="EngineException"/> on its first move where the request is invalid; disposing of it cancels the
/// request.
/// </summary>
internal static class ChatPipeline
{
    /// <summary>
    /// Answers a conversation. <paramref name="logger"/> gets the choice of the chat template; <paramref name="cache"/> may have the
    /// answer; <paramref name="media"/> decodes pictures, with default limits where it is null; <paramref name="own"/> is a template in
    /// place of the model's; <paramref name="clock"/> lets the caller end the answer with its counts; <paramref name="prepared"/> is what
    /// several answers have in common.
    /// </summary>
    public static async IAsyncEnumerable<OutputEvent> ChatAsync(
        ModelLease lease, ChatRequest request, [EnumeratorCancellation] CancellationToken cancellation,
        ILogger? logger = null, CachedExecution? cache = null, MediaLoader? media = null, ChatTemplate? own = null,
        AnswerClock? clock = null, PreparedChat? prepared = null)
    {
        var template = own ?? prepared?.Template ?? await TemplateCache.OfAsync(lease, logger, cancellation).ConfigureAwait(false);
        request = await (media ?? MediaLoader.Default).DecodeAsync(lease, request, logger, cancellation).ConfigureAwait(false);
        clock ??= new AnswerClock();
        clock.Arrive();
        prepared ??= Prepare(template, request, logger);
        clock.Rendered(prepared.TemplateMilliseconds);
        var format = prepared.Format;
        var generation = new GenerationRequest
        {
            Prompt = prepared.Prompt,
            Options = request.Options with
            {
                Stop = [.. request.Options.Stop, .. template.Stop],
                Loras = lease.LorasOver(request.Options.Loras),
            },
            Grammar = prepared.Grammar?.Text,
            GrammarTrigger = prepared.Trigger,
            ShownControlTokens = request.ReasoningPlace == ReasoningPlace.InText && template.Reasoning is { } shown
                ? [.. format.VisibleTexts, shown.Open, shown.Close]
                : format.VisibleTexts,
        };
        var limit = (request.MaxReasoningTokens ?? (request.ReasoningControl is null ? null : int.MaxValue)) is { } budget
            && format.Reasoning is { } tags
            ? new ReasoningLimit(budget, tags, format.BeginsReasoning)
            : null;
        var events = limit is null
            ? GenerateAsync(lease, generation, clock, cancellation)
            : ReasoningBudget.RunAsync(lease, generation, limit, clock, cancellation, request.ReasoningControl);
        // Not cached: reasoning_control may end it early.
        if (request.ReasoningControl is not null)
            cache = null;
        events = cache?.Through(lease, generation, limit, events, cancellation) ?? events;
        var parser = format.IsPlain ? null : new AnswerParser(format);
        var reasoning = request.CountsReasoningTokens ? new StringBuilder() : null;
        var check = logger is null ? null : AnswerCheck.Of(request.Grammar);
        await foreach (var outputEvent in (parser is null
            ? events
            : ParsedAsync(events, parser, request)).ConfigureAwait(false))
        {
            reasoning?.Append(outputEvent.Reasoning);
            check?.Note(outputEvent, logger!);
            if (outputEvent.End is not { } end)
            {
                yield return outputEvent;
                if (outputEvent.Start is not null && request is { EchoesFinalMessage: true, ContinueFinalMessage: true })
                    yield return OutputEvent.OfText(request.Messages[^1].Text);
                continue;
            }
            var reasoningTokens = reasoning is null
                ? 0
                : await CountTokensAsync(lease.Model, reasoning.ToString(), cancellation).ConfigureAwait(false);
            var (called, endsInCall) = parser is null ? (false, false) : (parser.HasCalls, parser.EndsInCall);
            yield return outputEvent with { End = clock.Complete(end, called, endsInCall, reasoningTokens) };
        }
    }

    /// <summary>
    /// Renders a conversation, whose media are decoded, and decides what an answer must match. For several answers this is done once.
    /// </summary>
    public static PreparedChat Prepare(ChatTemplate template, ChatRequest request, ILogger? logger)
    {
        var begun = Stopwatch.GetTimestamp();
        var prompt = template.Render(request, request.AddGenerationPrompt);
        var rendered = Stopwatch.GetElapsedTime(begun).TotalMilliseconds;
        var format = FormatOf(template, request, prompt);
        var (grammar, trigger) = ConstraintOf(request, format, logger);
        return new PreparedChat(template, prompt, format, grammar, trigger, rendered);
    }

    private static async Task<int> CountTokensAsync(ILoadedModel model, string text, CancellationToken cancellation)
    {
        if (text.Length == 0)
            return 0;
        var prompt = new Prompt { Parts = [new PromptPart(text, ParseSpecial: false)], AddBos = false };
        return (await model.TokenizeAsync(prompt, cancellation).ConfigureAwait(false)).Count;
    }

    // The grammar, and the text after which it applies: an answer that begins inside the reasoning is free up to the closing tag.
    private static (Grammar? Grammar, string? Trigger) ConstraintOf(ChatRequest request, AnswerFormat format, ILogger? logger)
    {
        var thought = format is { Reasoning: { } tags, BeginsReasoning: true } ? tags.Close : null;
        if (format.Calls is not { } calls)
            return (request.Grammar, request.Grammar is null ? null : thought);
        try
        {
            if (request.ToolChoice == ToolChoice.Required)
                return (ToolCallConstraint.Build(calls, request.Tools, request.ParallelToolCalls, afterTrigger: false), thought);
            // The request's grammar is for answers in text; a call is an alternative to it.
            if (request.Grammar is { } words)
                return (Lenient(afterTrigger: false).Or(words), thought);
            // Calls are optional: the grammar applies once one has begun. Calls of bare JSON have no trigger, and JSON may be an answer as
            // well.
            return calls.Trigger.Length == 0
                ? (null, null)
                : (Lenient(afterTrigger: true), calls.Trigger);
        }
        catch (SchemaException e)
        {
            throw ChatTemplate.Refusal(e.Place.Length == 0 ? "tools" : e.Place, e.Message);
        }

        Grammar Lenient(bool afterTrigger)
        {
            var grammar = ToolCallConstraint.BuildLenient(calls, request.Tools, request.ParallelToolCalls, afterTrigger, out var odd);
            foreach (var reason in logger is null ? [] : odd)
                PipelineLog.UncheckedArguments(logger!, reason);
            return grammar;
        }
    }

    private static AnswerFormat FormatOf(ChatTemplate template, ChatRequest request, Prompt prompt)
    {
        var tags = request.ContinueFinalMessage || request.ReasoningPlace == ReasoningPlace.InText ? null : template.Reasoning;
        return new AnswerFormat
        {
            Reasoning = tags,
            BeginsReasoning = tags is not null && TextEndsWith(prompt, tags.Open),
            ReasoningStaysInText = request.ReasoningPlace == ReasoningPlace.Both,
            Calls = request.Tools.Count == 0 || request.ToolChoice == ToolChoice.None ? null : template.ToolCalls ?? ToolCallSyntax.Generic,
            Tools = request.Tools.GroupBy(tool => tool.Name).ToDictionary(tools => tools.Key, tools => tools.First().Parameters),
        };
    }

    private static bool TextEndsWith(Prompt prompt, string tag)
    {
        // The tag and the line breaks behind it are few parts; no known template writes more than eight.
        var end = "";
        for (var i = prompt.Parts.Count - 1; i >= Math.Max(0, prompt.Parts.Count - 8); i--)
            end = prompt.Parts[i].Text + end;
        return end.AsSpan().TrimEnd().EndsWith(tag);
    }

    private static async IAsyncEnumerable<OutputEvent> ParsedAsync(
        IAsyncEnumerable<OutputEvent> events, AnswerParser parser, ChatRequest request)
    {
        List<GeneratedToken>? tokens = null;
        await foreach (var outputEvent in events.ConfigureAwait(false))
        {
            if (outputEvent.Tokens is { } reported)
                (tokens ??= []).AddRange(reported);
            if (outputEvent.Start is not null || outputEvent.Progress is not null)
            {
                yield return outputEvent;
                continue;
            }
            foreach (var part in outputEvent.End is { } end
                ? parser.End(end.Reason != FinishReason.Stop || (end.StopString is { } stop && request.Options.Stop.Contains(stop)))
                : parser.Push(outputEvent.Text))
            {
                // Without parallel calls, only the first is passed on.
                if (part.Call is { Index: > 0 } && !request.ParallelToolCalls)
                    continue;
                yield return part with { Tokens = tokens, Elapsed = outputEvent.Elapsed };
                tokens = tokens is null ? null : [];
            }
            if (outputEvent.End is not null)
                yield return outputEvent;
        }
    }

    /// <summary>
    /// Continues a prompt as it is, without a chat template. The response cache is asked by this call itself, before the enumeration
    /// begins.
    /// </summary>
    public static IAsyncEnumerable<OutputEvent> CompleteAsync(
        ModelLease lease, CompletionRequest request, CancellationToken cancellation, CachedExecution? cache = null, ILogger? logger = null)
    {
        var generation = new GenerationRequest
        {
            Prompt = request.Prompt,
            Options = request.Options with { Loras = lease.LorasOver(request.Options.Loras) },
            Grammar = request.Grammar?.Text,
        };
        var events = GenerateAsync(lease, generation, new AnswerClock(), cancellation);
        events = cache?.Through(lease, generation, null, events, cancellation) ?? events;
        return logger is not null && AnswerCheck.Of(request.Grammar) is { } check ? check.Through(events, logger) : events;
    }

    /// <summary>Runs one request of the engine: bytes of tokens to text, cut at the first stop sequence.</summary>
    internal static async IAsyncEnumerable<OutputEvent> GenerateAsync(
        ModelLease lease, GenerationRequest request, AnswerClock clock, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var characters = new Utf8Assembler();
        var stops = new StopSequences([.. request.Options.Stop, .. lease.Model.Spec.Defaults.Stop]);
        var tokens = request.Options is { TopLogProbabilities: null, ReportTokens: false } ? null : new List<GeneratedToken>();
        using var limit = TimeLimit.Of(request.Options, clock);
        clock.Send();
        await foreach (var engineEvent in lease.Model.GenerateAsync(request with { Place = lease.Place }, cancellation,
            limit?.Over ?? CancellationToken.None).ConfigureAwait(false))
        {
            if (engineEvent.Start is { } start)
            {
                clock.Admit(start);
                limit?.Begin();
                yield return OutputEvent.OfStart(start) with { Elapsed = clock.Elapsed };
            }
            else if (engineEvent.IsProgress)
            {
                yield return OutputEvent.OfProgress(engineEvent.Token) with { Elapsed = clock.Elapsed };
            }
            else if (engineEvent.End is { } end)
            {
                var rest = stops.Push(characters.Flush());
                rest += stops.Hit is null ? stops.Flush() : "";
                if (rest.Length > 0 || tokens is { Count: > 0 })
                    yield return TextOf(rest);
                yield return OutputEvent.OfEnd(clock.End(limit?.Of(end) ?? end, stops.Hit)) with { Elapsed = clock.Elapsed };
            }
            else if (engineEvent.OfPrompt)
            {
                yield return OutputEvent.OfText(
                    "") with
                { PromptToken = new GeneratedToken(engineEvent.Token, engineEvent.Piece, engineEvent.LogProbability) };
            }
            else
            {
                clock.Count(engineEvent.Draft);
                limit?.Note(engineEvent.Piece.Span);
                var text = stops.Push(characters.Push(engineEvent.Piece.Span));
                tokens?.Add(new GeneratedToken(engineEvent.Token, engineEvent.Piece, engineEvent.LogProbability));
                if (text.Length > 0)
                {
                    yield return TextOf(text);
                    tokens?.Clear();
                }
                if (stops.Hit is not { } stop)
                    continue;
                // Leaving the enumeration cancels the request in the engine, which knows no stop sequences.
                yield return OutputEvent.OfEnd(clock.End(stop)) with { Elapsed = clock.Elapsed };
                yield break;
            }
        }

        OutputEvent TextOf(string text) =>
            tokens is null ? OutputEvent.OfText(text) : OutputEvent.OfText(text) with { Tokens = [.. tokens], Elapsed = clock.Elapsed };
    }
}

/// <summary>What all answers to one conversation have in common.</summary>
/// <param name="Template">The chat template.</param>
/// <param name="Prompt">The conversation as the template wrote it.</param>
/// <param name="Format">How the model writes reasoning and tool calls.</param>
/// <param name="Grammar">What an answer must match; null for anything.</param>
/// <param name="Trigger">The text after which the grammar holds; null from the beginning.</param>
/// <param name="TemplateMilliseconds">How long the template took.</param>
internal sealed record PreparedChat(
    ChatTemplate Template, Prompt Prompt, AnswerFormat Format, Grammar? Grammar, string? Trigger, double TemplateMilliseconds);

/// <summary>
/// Checks a finished answer against what of its schema the grammar could not express, and logs what is wrong. The answer itself stays:
/// it may have been streamed already.
/// </summary>
internal sealed class AnswerCheck
{
    private readonly Func<string, string?> _problemOf;
    private readonly StringBuilder _text = new();
    private bool _called;

    private AnswerCheck(Func<string, string?> problemOf) => _problemOf = problemOf;

    /// <summary>The check that a grammar needs; null where it says all of its schema.</summary>
    public static AnswerCheck? Of(Grammar? grammar) => grammar?.ProblemOf is { } problemOf ? new AnswerCheck(problemOf) : null;

    /// <summary>Takes the next event; at the end of a whole answer in text, logs what is wrong with it.</summary>
    public void Note(in OutputEvent outputEvent, ILogger logger)
    {
        _text.Append(outputEvent.Text);
        _called |= outputEvent.Call is not null;
        if (outputEvent.End is { Reason: FinishReason.Stop, StopString: null, IsCancelled: false } && !_called
            && _problemOf(_text.ToString()) is { } problem)
        {
            PipelineLog.Unsatisfied(logger, problem);
        }
    }

    /// <summary>The events, each of which it takes.</summary>
    public async IAsyncEnumerable<OutputEvent> Through(IAsyncEnumerable<OutputEvent> events, ILogger logger)
    {
        await foreach (var outputEvent in events.ConfigureAwait(false))
        {
            Note(outputEvent, logger);
            yield return outputEvent;
        }
    }
}

/// <summary>Lines of the pipeline in the log.</summary>
internal static partial class PipelineLog
{
    [LoggerMessage(LogLevel.Warning, "the arguments of a tool are not checked against its schema: {Reason}")]
    public static partial void UncheckedArguments(ILogger logger, string reason);

    [LoggerMessage(LogLevel.Warning, "an answer does not satisfy its schema, of which a grammar expresses a part: {Problem}")]
    public static partial void Unsatisfied(ILogger logger, string problem);
}

/// <summary>
/// The limits of an answer's time, as llama-server has them: of the prompt, and of the answer from its first token on, once that has a line
/// break. What is over then ends as an answer of its greatest length does.
/// </summary>
internal sealed class TimeLimit : IDisposable
{
    private readonly CancellationTokenSource _over = new();
    private readonly GenerationOptions _options;
    private readonly AnswerClock _clock;
    private bool _hasToken;
    private bool _hasLine;

    private TimeLimit(GenerationOptions options, AnswerClock clock) => (_options, _clock) = (options, clock);

    /// <summary>Cancelled where the time is over.</summary>
    public CancellationToken Over => _over.Token;

    /// <summary>The limits of a request; null where it has none.</summary>
    public static TimeLimit? Of(GenerationOptions options, AnswerClock clock) =>
        options is { PromptMilliseconds: null, PredictMilliseconds: null } ? null : new TimeLimit(options, clock);

    /// <summary>The prompt is begun.</summary>
    public void Begin()
    {
        if (_options.PromptMilliseconds is { } most)
            _over.CancelAfter(most);
    }

    /// <summary>A token was generated, which the clock has counted; with the first one the prompt is done.</summary>
    public void Note(ReadOnlySpan<byte> piece)
    {
        if (!_hasToken)
            _over.CancelAfter(Timeout.Infinite);
        _hasToken = true;
        _hasLine |= piece.Contains((byte)'\n');
        if (_hasLine && _options.PredictMilliseconds < _clock.SinceFirstToken.TotalMilliseconds)
            _over.Cancel();
    }

    /// <summary>The end as it is reported.</summary>
    public GenerationEnd Of(GenerationEnd end) =>
        end.Reason == FinishReason.Cancelled && _over.IsCancellationRequested ? end with { Reason = FinishReason.Length } : end;

    /// <inheritdoc/>
    public void Dispose() => _over.Dispose();
}
