using System.Diagnostics;
using Microsoft.AspNetCore.Http;
using Shimmy.Caching;
using Shimmy.Chat.Output;
using Shimmy.Observability;

namespace Shimmy.Api;

/// <summary>What becomes known of a request while it runs, for its line in the log and the metrics; filled in by the endpoints.</summary>
internal sealed class RequestLog
{
    private static readonly object Key = new();

    private readonly long _arrived = Stopwatch.GetTimestamp();
    private readonly List<AnswerTimings> _answers = [];
    private readonly DateTimeOffset _startedAt = DateTimeOffset.UtcNow;
    private long _acquired;
    private long _first;

    /// <summary>The pattern of the route.</summary>
    public string? Route { get; set; }

    /// <summary>The model that answered.</summary>
    public string? Model { get; set; }

    /// <summary>Tokens of the request, of all its answers together.</summary>
    public Usage? Usage { get; set; }

    /// <summary>Whose key the request came with; null where keys are not asked for.</summary>
    public ClientKey? Client { get; set; }

    /// <summary>The trace that the request belongs to.</summary>
    public TraceContext Trace { get; set; } = TraceContext.None;

    /// <summary>Its use of the response cache; null where it generates nothing.</summary>
    public CacheUse? Cache { get; set; }

    /// <summary>The log of this request.</summary>
    public static RequestLog Of(HttpContext context) =>
        context.Items.TryGetValue(Key, out var known) ? (RequestLog)known! : Renew(context);

    /// <summary>Begins a log of its own for a further request on the same connection; who asks stays known.</summary>
    public static RequestLog Renew(HttpContext context)
    {
        var before = context.Items.TryGetValue(Key, out var known) ? (RequestLog?)known : null;
        var log = new RequestLog { Client = before?.Client, Route = before?.Route, Trace = before is null ? TraceContext.None : before.Trace.Next() };
        context.Items[Key] = log;
        return log;
    }

    /// <summary>Takes note that the model is loaded.</summary>
    public void NoteModel(string name)
    {
        Model = name;
        _acquired = Stopwatch.GetTimestamp();
    }

    /// <summary>Takes note of what an answer says: its first piece, and its end. From any thread.</summary>
    public void Note(in OutputEvent happened)
    {
        if (happened.Start is not null)
            return;
        if (_first == 0)
            Interlocked.CompareExchange(ref _first, Stopwatch.GetTimestamp(), 0);
        if (happened.End is not { } end)
            return;
        lock (_answers)
        {
            _answers.Add(new AnswerTimings(end.TemplateMilliseconds, end.Timings.QueueMilliseconds, end.Timings.PrefillMilliseconds,
                end.Timings.DecodeMilliseconds, end.Usage.CompletionTokens, Stopwatch.GetElapsedTime(_arrived)));
            Usage = Usage is { } before
                ? new Usage(before.PromptTokens + end.Usage.PromptTokens, before.CachedTokens + end.Usage.CachedTokens, before.CompletionTokens + end.Usage.CompletionTokens)
                : end.Usage;
        }
    }

    /// <summary>The request as it ended.</summary>
    public RequestSummary Summarise(HttpContext context, string method, int status, string? brokenBy = null) => new()
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
        Cache = Cache?.Outcome is { } outcome ? CacheHeader.WordOf(outcome) : null,
        PromptTokens = Usage?.PromptTokens ?? 0,
        CachedTokens = Usage?.CachedTokens ?? 0,
        GeneratedTokens = Usage?.CompletionTokens ?? 0,
        Elapsed = Stopwatch.GetElapsedTime(_arrived),
        ToFirstToken = _first == 0 ? null : Stopwatch.GetElapsedTime(_arrived, _first),
        Answers = [.. _answers],
    };
}
