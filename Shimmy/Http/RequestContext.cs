using System.Diagnostics;
using System.Text;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat.Cache;
using Shimmy.Chat.Output;
using Shimmy.Observability;

namespace Shimmy.Http;

/// <summary>
/// The record of a request while it runs: route, model, API key, usage and times, for the access log, metrics and traces.
/// </summary>
internal sealed class RequestContext
{
    private const string Messages = "messages";
    private const int MostKept = 16_384;
    private static readonly object Key = new();

    private readonly long _arrived = Stopwatch.GetTimestamp();
    private readonly List<AnswerTimings> _answers = [];
    private readonly DateTimeOffset _startedAt = DateTimeOffset.UtcNow;
    private Usage _begun = new(0, 0, 0);
    private Usage? _ended;
    private int _running;
    private int _pieces;
    private long _acquired;
    private long _first;
    private StringBuilder? _answer;

    /// <summary>The route that the request was matched with, before anything else; null outside the server's pipeline.</summary>
    public RouteMatch? Match { get; set; }

    /// <summary>The pattern of the route, once its handler was called.</summary>
    public string? Route { get; set; }

    /// <summary>The registered name of the model that the request was resolved to; null before that, or where none was found.</summary>
    public string? Model { get; set; }

    /// <summary>The name of a model as the request spells it, once its body was read, for the log; it may be no model's.</summary>
    public string? RequestedModel { get; set; }

    /// <summary>The field of the body that has the conversation or the prompt, where that is another than OpenAI's chat has.</summary>
    public string ConversationField { get; set; } = Messages;

    /// <summary>The error text that the client got, for the log.</summary>
    public string? Refusal { get; set; }

    /// <summary>
    /// Tokens of the request, of all its answers together. An answer that was broken off counts with its prompt and the pieces that were
    /// sent: a client that leaves early has used them all the same.
    /// </summary>
    public Usage? Usage
    {
        get
        {
            lock (_answers)
                return _running <= 0 ? _ended : _begun with { CompletionTokens = Math.Max(_pieces, _ended?.CompletionTokens ?? 0) };
        }
        set => _ended = value;
    }

    /// <summary>The API key of the request; null where the server requires none.</summary>
    public ApiKey? Client { get; set; }

    /// <summary>The trace that the request belongs to.</summary>
    public TraceContext Trace { get; set; } = TraceContext.None;

    /// <summary>The request's use of the response cache; null where it generates nothing.</summary>
    public CachedExecution? Cache { get; set; }

    /// <summary>Time of arrival.</summary>
    public DateTimeOffset StartedAt => _startedAt;

    /// <summary>Time since the arrival.</summary>
    public TimeSpan Elapsed => Stopwatch.GetElapsedTime(_arrived);

    /// <summary>Time from the arrival to the first token; null before it.</summary>
    public TimeSpan? ToFirstToken => _first == 0 ? null : Stopwatch.GetElapsedTime(_arrived, _first);

    /// <summary>How far a request in flight has come: reading, loading, queued, prefill, generating.</summary>
    public string Stage => _first != 0 ? "generating"
        : _begun.PromptTokens > 0 ? "prefill"
        : _acquired != 0 ? "queued"
        : Model is null ? "reading" : "loading";

    /// <summary>The prompt; null where prompts are not logged.</summary>
    public string? PromptText { get; private set; }

    /// <summary>The beginning of what it has answered so far; null where prompts are not logged.</summary>
    public string? AnswerText
    {
        get
        {
            lock (_answers)
                return _answer?.ToString();
        }
    }

    /// <summary>Keeps a prompt and the answer to it, or their beginnings.</summary>
    public void KeepTexts(string prompt)
    {
        lock (_answers)
        {
            PromptText ??= prompt.Length > MostKept ? string.Concat(prompt.AsSpan(0, MostKept), "…") : prompt;
            _answer ??= new StringBuilder();
        }
    }

    /// <summary>The record of this request.</summary>
    public static RequestContext Of(HttpContext context) =>
        context.Items.TryGetValue(Key, out var known) ? (RequestContext)known! : Renew(context);

    /// <summary>Begins a record for a further request on the same WebSocket; API key and route stay.</summary>
    public static RequestContext Renew(HttpContext context)
    {
        var before = context.Items.TryGetValue(Key, out var known) ? (RequestContext?)known : null;
        var log = new RequestContext
        {
            Client = before?.Client,
            Match = before?.Match,
            Route = before?.Route,
            Trace = before is null ? TraceContext.None : before.Trace.Next()
        };
        context.Items[Key] = log;
        return log;
    }

    /// <summary>What this request calls a field that OpenAI's chat has.</summary>
    public string FieldOf(string field) => field == Messages ? ConversationField : field;

    /// <summary>Takes note that the model is loaded.</summary>
    public void NoteLoaded() => _acquired = Stopwatch.GetTimestamp();

    /// <summary>Takes note of an event of an answer. Thread-safe: answers may run side by side.</summary>
    public void Note(in OutputEvent outputEvent)
    {
        if (outputEvent.Start is { } start)
        {
            lock (_answers)
            {
                _running++;
                _begun += new Usage(start.PromptTokens, start.CachedTokens, 0);
            }
            return;
        }
        if (_first == 0 && outputEvent.Progress is null)
            Interlocked.CompareExchange(ref _first, Stopwatch.GetTimestamp(), 0);
        if (outputEvent.End is not { } end)
        {
            if (outputEvent.PromptToken is null && outputEvent.Progress is null)
                Interlocked.Increment(ref _pieces);
            if (_answer is { Length: < MostKept } answer)
            {
                lock (_answers)
                    answer.Append(outputEvent.Reasoning).Append(outputEvent.Text);
            }
            return;
        }
        lock (_answers)
        {
            _running--;
            _answers.Add(new AnswerTimings(end.TemplateMilliseconds, end.Timings.QueueMilliseconds, end.Timings.PrefillMilliseconds,
                end.Timings.DecodeMilliseconds, end.Usage.CompletionTokens, Stopwatch.GetElapsedTime(_arrived)));
            _ended = _ended is null ? end.Usage : _ended + end.Usage;
        }
    }

    /// <summary>The request as it ended.</summary>
    public RequestSummary Summarise(HttpContext context, string method, int status, string? brokenBy = null)
    {
        var used = Usage;
        return new RequestSummary
        {
            Id = context.TraceIdentifier,
            Trace = Trace,
            StartedAt = _startedAt,
            ToModel = _acquired == 0 ? null : Stopwatch.GetElapsedTime(_arrived, _acquired),
            Method = method,
            // Escaped as in a URL: what a client sends could forge a line of the log.
            Path = context.Request.Path.ToUriComponent(),
            Route = Route,
            Model = Model,
            Key = Client?.Name,
            Status = status,
            BrokenBy = brokenBy,
            RequestedModel = OneLine(RequestedModel),
            Refusal = OneLine(Refusal),
            Cache = Cache?.OutcomeName,
            PromptTokens = used?.PromptTokens ?? 0,
            CachedTokens = used?.CachedTokens ?? 0,
            GeneratedTokens = used?.CompletionTokens ?? 0,
            Elapsed = Elapsed,
            ToFirstToken = ToFirstToken,
            Answers = [.. _answers],
        };
    }

    // What a client sends could forge a line of the log.
    private static string? OneLine(string? text) => text is null ? null : ShownText.Of(text, 500, instead: ' ');
}
