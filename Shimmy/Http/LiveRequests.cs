using Microsoft.AspNetCore.Http;
using Shimmy.Observability;

namespace Shimmy.Http;

/// <summary>The requests in flight and the last that ended, for <c>/api/events</c>. Thread-safe.</summary>
internal sealed class LiveRequests
{
    private const int MostEnded = 100;

    private readonly Lock _lock = new();
    private readonly Dictionary<RequestContext, LiveRequest> _running = [];
    private readonly Queue<EndedRequest> _ended = new(MostEnded);
    private long _last;

    /// <summary>The requests in flight, the oldest first.</summary>
    public IReadOnlyList<LiveRequest> Running
    {
        get
        {
            lock (_lock)
                return [.. _running.Values.OrderBy(request => request.Record.StartedAt)];
        }
    }

    /// <summary>Tokens generated so far by the requests in flight.</summary>
    public int TokensOfRunning => Running.Sum(request => request.Record.Usage?.CompletionTokens ?? 0);

    /// <summary>The requests that ended after the one with a number, as far as they are still known, in the order of their ends.</summary>
    public IReadOnlyList<EndedRequest> EndedAfter(long number)
    {
        lock (_lock)
            return _last <= number ? [] : [.. _ended.Where(request => request.Number > number)];
    }

    /// <summary>Takes note of a request that begins.</summary>
    public void Begin(HttpContext context)
    {
        var record = RequestContext.Of(context);
        lock (_lock)
        {
            _running[record] =
                new LiveRequest(record, context.TraceIdentifier, context.Request.Method, context.Request.Path.ToUriComponent());
        }
    }

    /// <summary>Takes note of its end.</summary>
    public void End(RequestContext record, RequestSummary summary)
    {
        lock (_lock)
        {
            _running.Remove(record);
            if (_ended.Count == MostEnded)
                _ended.Dequeue();
            _ended.Enqueue(new EndedRequest(++_last, summary, record.PromptText, record.AnswerText));
        }
    }
}

/// <summary>A request in flight.</summary>
/// <param name="Record">What is known of it so far.</param>
/// <param name="Id">Its id.</param>
/// <param name="Method">Its method.</param>
/// <param name="Path">Its path.</param>
internal sealed record LiveRequest(RequestContext Record, string Id, string Method, string Path);

/// <summary>A request that has ended.</summary>
/// <param name="Number">Counts up by one a request.</param>
/// <param name="Summary">How it ended.</param>
/// <param name="Prompt">What the model read; null where prompts are not logged.</param>
/// <param name="Answer">What it answered; null where prompts are not logged.</param>
internal sealed record EndedRequest(long Number, RequestSummary Summary, string? Prompt, string? Answer);
