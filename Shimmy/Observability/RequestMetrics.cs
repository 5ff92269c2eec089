using System.Globalization;

namespace Shimmy.Observability;

/// <summary>What is counted of requests. Models and routes are labels, and only names that exist: no client can make series without end.</summary>
internal sealed class RequestMetrics
{
    private static readonly double[] Seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
    private static readonly double[] ShortSeconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5];

    private readonly Counter _requests = new("shimmy_requests_total", "Requests that have ended, by model, route and HTTP status (499: the client left).");
    private readonly Counter _broken = new("shimmy_broken_streams_total", "Streams that ended with an error after they had begun.");
    private readonly Counter _promptTokens = new("shimmy_prompt_tokens_total", "Tokens of prompts.");
    private readonly Counter _cachedTokens = new("shimmy_prompt_tokens_cached_total", "Tokens of prompts that were taken over and not computed again.");
    private readonly Counter _generatedTokens = new("shimmy_generated_tokens_total", "Tokens generated.");
    private readonly Counter _cache = new("shimmy_response_cache_requests_total", "Requests by what the response cache did: hit, miss or bypass.");
    private readonly Histogram _elapsed = new("shimmy_request_duration_seconds", "From the arrival of a request to its end.", Seconds);
    private readonly Histogram _toFirstToken = new("shimmy_time_to_first_token_seconds", "From the arrival of a request to the first piece of its answer.", Seconds);
    private readonly Histogram _perToken = new("shimmy_time_per_output_token_seconds", "Time of each token of an answer behind its first.", ShortSeconds);
    private readonly Histogram _queued = new("shimmy_queue_duration_seconds", "Time that a prompt waited for a slot of its loaded model.", Seconds);
    private readonly Histogram _prefill = new("shimmy_prefill_duration_seconds", "From the slot to the first token of an answer.", Seconds);
    private long _running;

    /// <summary>Requests that have ended.</summary>
    public long Requests => _requests.Total;

    /// <summary>Requests in flight, <c>/health</c> and <c>/metrics</c> not counted.</summary>
    public long Running => Interlocked.Read(ref _running);

    /// <summary>Tokens of prompts.</summary>
    public long PromptTokens => _promptTokens.Total;

    /// <summary>Tokens of prompts that were not computed again.</summary>
    public long CachedTokens => _cachedTokens.Total;

    /// <summary>Tokens generated.</summary>
    public long GeneratedTokens => _generatedTokens.Total;

    /// <summary>A request came.</summary>
    public void Begin() => Interlocked.Increment(ref _running);

    /// <summary>A request that <see cref="Begin"/> counted is over.</summary>
    public void End() => Interlocked.Decrement(ref _running);

    /// <summary>Counts a request that has ended.</summary>
    public void Observe(RequestSummary request)
    {
        var model = MetricsText.Labels("model", request.Model ?? "");
        var route = MetricsText.Labels("model", request.Model ?? "", "route", request.Route ?? "");
        _requests.Add(MetricsText.Labels("model", request.Model ?? "", "route", request.Route ?? "",
            "status", request.Status.ToString(CultureInfo.InvariantCulture)));
        _elapsed.Observe(route, request.Elapsed.TotalSeconds);
        if (request.BrokenBy is not null)
            _broken.Add(model);
        if (request.ToFirstToken is { } first)
            _toFirstToken.Observe(model, first.TotalSeconds);
        if (request.Cache is { } outcome)
            _cache.Add(MetricsText.Labels("outcome", outcome));
        // What came from the response cache was computed, and counted, when it was put there.
        if (request.Model is null || request.Cache == "hit")
            return;
        _promptTokens.Add(model, request.PromptTokens);
        _cachedTokens.Add(model, request.CachedTokens);
        _generatedTokens.Add(model, request.GeneratedTokens);
        foreach (var answer in request.Answers)
        {
            _queued.Observe(model, answer.QueueMilliseconds / 1000);
            _prefill.Observe(model, answer.PrefillMilliseconds / 1000);
            if (answer.Tokens > 1)
                _perToken.Observe(model, answer.DecodeMilliseconds / 1000 / (answer.Tokens - 1));
        }
    }

    /// <summary>Writes all families.</summary>
    public void WriteTo(MetricsText text)
    {
        foreach (var counter in (ReadOnlySpan<Counter>)[_requests, _broken, _promptTokens, _cachedTokens, _generatedTokens, _cache])
            counter.WriteTo(text);
        foreach (var histogram in (ReadOnlySpan<Histogram>)[_elapsed, _toFirstToken, _perToken, _queued, _prefill])
            histogram.WriteTo(text);
        text.Single("shimmy_requests_in_flight", "gauge", "Requests that the server works on now.", Running);
    }
}
