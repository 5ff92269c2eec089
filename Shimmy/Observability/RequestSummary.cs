namespace Shimmy.Observability;

/// <summary>What became of a request: what its line in the log and the metrics say of it.</summary>
internal sealed record RequestSummary
{
    /// <summary>Its id.</summary>
    public required string Id { get; init; }

    /// <summary>The trace that it belongs to.</summary>
    public TraceContext Trace { get; init; } = TraceContext.None;

    /// <summary>When it arrived.</summary>
    public DateTimeOffset StartedAt { get; init; }

    /// <summary>HTTP method.</summary>
    public required string Method { get; init; }

    /// <summary>The path as it was asked for.</summary>
    public required string Path { get; init; }

    /// <summary>The pattern of the route, of which there are few; null where no route fits.</summary>
    public string? Route { get; init; }

    /// <summary>The model that was asked; null where none was, or none that exists.</summary>
    public string? Model { get; init; }

    /// <summary>Name of the client's key; null where keys are not asked for.</summary>
    public string? Key { get; init; }

    /// <summary>HTTP status; 499 where the client left before the end.</summary>
    public required int Status { get; init; }

    /// <summary>Why an answer broke off that had begun; null where it did not.</summary>
    public string? BrokenBy { get; init; }

    /// <summary>What the response cache did: hit, miss or bypass; null where it was not asked.</summary>
    public string? Cache { get; init; }

    /// <summary>Tokens of the prompt.</summary>
    public int PromptTokens { get; init; }

    /// <summary>Those of them that were not computed again.</summary>
    public int CachedTokens { get; init; }

    /// <summary>Tokens generated.</summary>
    public int GeneratedTokens { get; init; }

    /// <summary>From the request's arrival to its end.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>From the request's arrival until it had a loaded model; null where it had none.</summary>
    public TimeSpan? ToModel { get; init; }

    /// <summary>From the request's arrival to the first piece of the answer; null where there was none.</summary>
    public TimeSpan? ToFirstToken { get; init; }

    /// <summary>The answers' stretches; several where a request asks for several.</summary>
    public IReadOnlyList<AnswerTimings> Answers { get; init; } = [];
}

/// <summary>Where the time of one answer went, in milliseconds.</summary>
/// <param name="TemplateMilliseconds">The chat template's; 0 where there was none.</param>
/// <param name="QueueMilliseconds">Until it had a slot.</param>
/// <param name="PrefillMilliseconds">From the slot to the first token.</param>
/// <param name="DecodeMilliseconds">From the first token to the last.</param>
/// <param name="Tokens">Tokens generated.</param>
/// <param name="EndedAfter">From the request's arrival to the answer's end.</param>
internal readonly record struct AnswerTimings(
    double TemplateMilliseconds, double QueueMilliseconds, double PrefillMilliseconds, double DecodeMilliseconds, int Tokens, TimeSpan EndedAfter);
