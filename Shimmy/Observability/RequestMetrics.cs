using System.Globalization;

namespace Shimmy.Observability;

/// <summary>
/// Metrics of HTTP requests. Labels are only models and routes that exist, so that clients cannot create any number of series. Thread-safe.
/// </summary>
internal sealed class RequestMetrics
{
    private static readonly double[] Seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
    private static readonly double[] ShortSeconds =
        [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5];

    private readonly Counter _requests = new("shimmy_requests_total",
        "Finished requests, by model, route and HTTP status (499: client closed the request).");
    private readonly Counter _broken = new("shimmy_broken_streams_total",
        "Streamed responses that ended with an error after they had begun.");
    private readonly Counter _promptTokens = new("shimmy_prompt_tokens_total", "Prompt tokens.");
    private readonly Counter _cachedTokens = new("shimmy_prompt_tokens_cached_total",
        "Prompt tokens that were reused from the KV cache (prompt caching).");
    private readonly Counter _generatedTokens = new("shimmy_generated_tokens_total", "Generated tokens.");
    private readonly Counter _cache = new("shimmy_response_cache_requests_total",
        "Requests by outcome of the response cache: hit, miss or bypass.");
    private readonly Histogram _elapsed = new("shimmy_request_duration_seconds", "Time from the arrival of a request to its end.", Seconds);
    private readonly Histogram _toFirstToken = new("shimmy_time_to_first_token_seconds",
        "Time from the arrival of a request to the first token of its answer (TTFT).", Seconds);
    private readonly Histogram _perToken = new("shimmy_time_per_output_token_seconds",
        "Time per output token after the first (TPOT, inter-token latency).", ShortSeconds);
    private readonly Histogram _queued = new("shimmy_queue_duration_seconds", "Time in the queue for a slot of the loaded model.", Seconds);
    private readonly Histogram _prefill = new("shimmy_prefill_duration_seconds",
        "Time from getting a slot to the first token (prefill).", Seconds);
    private long _running;
    private long _observed;
    private volatile Written? _written;

    /// <summary>Number of finished requests.</summary>
    public long Requests => _requests.Total;

    /// <summary>Number of requests in flight, without <c>/health</c> and <c>/metrics</c>.</summary>
    public long Running => Interlocked.Read(ref _running);

    /// <summary>Prompt tokens of finished requests.</summary>
    public long PromptTokens => _promptTokens.Total;

    /// <summary>Prompt tokens that were reused from the KV cache.</summary>
    public long CachedTokens => _cachedTokens.Total;

    /// <summary>Generated tokens of finished requests.</summary>
    public long GeneratedTokens => _generatedTokens.Total;

    /// <summary>Counts a request as in flight, until <see cref="End"/>.</summary>
    public void Begin() => Interlocked.Increment(ref _running);

    /// <summary>Ends what <see cref="Begin"/> began.</summary>
    public void End() => Interlocked.Decrement(ref _running);

    /// <summary>Counts a finished request in all metrics.</summary>
    public void Observe(RequestSummary request)
    {
        Count(request);
        // Behind the counts: what was written before is then written again.
        Interlocked.Increment(ref _observed);
    }

    /// <summary>Writes all metrics.</summary>
    public void WriteTo(MetricsText text)
    {
        // Most scrapes find what the one before them found, and these are most of the text.
        var observed = Interlocked.Read(ref _observed);
        if (_written is { } written && written.Observed == observed)
        {
            text.Write(written.Text);
        }
        else
        {
            var from = text.Length;
            foreach (var counter in (ReadOnlySpan<Counter>)[_requests, _broken, _promptTokens, _cachedTokens, _generatedTokens, _cache])
                counter.WriteTo(text);
            foreach (var histogram in (ReadOnlySpan<Histogram>)[_elapsed, _toFirstToken, _perToken, _queued, _prefill])
                histogram.WriteTo(text);
            _written = new Written(observed, text.Written[from..].ToArray());
        }
        text.Single("shimmy_requests_in_flight", "gauge", "Requests in flight, without /health and /metrics.", Running);
    }

    private void Count(RequestSummary request)
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
        // Tokens of a cached response were counted when it was computed.
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

    // What was written, and how many requests had been observed before.
    private sealed record Written(long Observed, byte[] Text);
}
