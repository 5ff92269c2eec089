namespace Shimmy.Observability;

/// <summary>Summary of a finished request, for the access log, the metrics and the trace.</summary>
internal sealed record RequestSummary
{
    /// <summary>Request id.</summary>
    public required string Id { get; init; }

    /// <summary>The trace it belongs to; <see cref="TraceContext.None"/> without tracing.</summary>
    public TraceContext Trace { get; init; } = TraceContext.None;

    /// <summary>Time of arrival.</summary>
    public DateTimeOffset StartedAt { get; init; }

    /// <summary>HTTP method.</summary>
    public required string Method { get; init; }

    /// <summary>Path of the request, without the query.</summary>
    public required string Path { get; init; }

    /// <summary>Pattern of the route; null where no route matches.</summary>
    public string? Route { get; init; }

    /// <summary>Name of the model; null where the request names none, or one that does not exist.</summary>
    public string? Model { get; init; }

    /// <summary>Name of the client's API key; null where the server has no keys.</summary>
    public string? Key { get; init; }

    /// <summary>HTTP status; 499 where the client closed the request before the end.</summary>
    public required int Status { get; init; }

    /// <summary>
    /// The model that the request names, whether or not there is one of that name: for the log alone, since metrics take no names that
    /// clients make up.
    /// </summary>
    public string? RequestedModel { get; init; }

    /// <summary>Error text that the client got, on one line; null where it got none.</summary>
    public string? Refusal { get; init; }

    /// <summary>Error text where a response failed after it had begun; else null.</summary>
    public string? BrokenBy { get; init; }

    /// <summary>Outcome of the response cache: hit, miss or bypass; null where it was not used.</summary>
    public string? Cache { get; init; }

    /// <summary>Number of prompt tokens.</summary>
    public int PromptTokens { get; init; }

    /// <summary>Prompt tokens that were reused from the KV cache.</summary>
    public int CachedTokens { get; init; }

    /// <summary>Number of generated tokens.</summary>
    public int GeneratedTokens { get; init; }

    /// <summary>Time from the request's arrival to its end.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>Time from the request's arrival until it had a lease on the loaded model; null where it got none.</summary>
    public TimeSpan? ToModel { get; init; }

    /// <summary>Time from the request's arrival to the first token of the answer; null where there was none.</summary>
    public TimeSpan? ToFirstToken { get; init; }

    /// <summary>Timings of the answers; several where the request asks for several choices or has several prompts.</summary>
    public IReadOnlyList<AnswerTimings> Answers { get; init; } = [];
}

/// <summary>Timings of one answer.</summary>
/// <param name="TemplateMilliseconds">Rendering the chat template; 0 without one.</param>
/// <param name="QueueMilliseconds">Waiting for a slot.</param>
/// <param name="PrefillMilliseconds">From getting the slot to the first token.</param>
/// <param name="DecodeMilliseconds">From the first token to the last.</param>
/// <param name="Tokens">Number of generated tokens.</param>
/// <param name="EndedAfter">Time from the request's arrival to the end of the answer.</param>
internal readonly record struct AnswerTimings(
    double TemplateMilliseconds, double QueueMilliseconds, double PrefillMilliseconds, double DecodeMilliseconds,
    int Tokens, TimeSpan EndedAfter);
