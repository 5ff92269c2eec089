using System.Diagnostics;
using Shimmy.Chat.Output;
using Shimmy.Engine;

namespace Shimmy.Chat;

/// <summary>
/// Counts tokens and time of one answer, from the request's arrival in the pipeline, and builds the answer's <see cref="OutputEnd"/>.
///
/// <code>
///   arrived ── template ── sent ── queue ── admitted ── prefill ── first token ── decode ── end
/// </code>
///
/// An answer may take several requests of the engine (<see cref="ReasoningBudget"/>): the first has the prompt, their tokens add up.
/// </summary>
internal sealed class AnswerClock
{
    private long _arrived = Stopwatch.GetTimestamp();
    private GenerationStart _start = new(0, 0, 0);
    private double _templateMilliseconds;
    private long _sent;
    private long _admitted;
    private long _first;
    private int _requests;
    private int _tokensOfEarlierRequests;
    private int _drafted;
    private int _accepted;

    /// <summary>Time since arrival.</summary>
    public TimeSpan Elapsed => Stopwatch.GetElapsedTime(_arrived);

    /// <summary>Time since the first token; zero before it.</summary>
    public TimeSpan SinceFirstToken => _first == 0 ? TimeSpan.Zero : Stopwatch.GetElapsedTime(_first);

    /// <summary>Tokens that were generated so far.</summary>
    public int Tokens { get; private set; }

    /// <summary>The request has arrived in the pipeline; a clock that was made before counts from here.</summary>
    public void Arrive() => _arrived = Stopwatch.GetTimestamp();

    /// <summary>The chat template was rendered, which took this long.</summary>
    public void Rendered(double milliseconds) => _templateMilliseconds = milliseconds;

    /// <summary>A request goes to the engine.</summary>
    public void Send()
    {
        if (_requests++ == 0)
            _admitted = _sent = Stopwatch.GetTimestamp();
        _tokensOfEarlierRequests = Tokens;
        (_drafted, _accepted) = (0, 0);
    }

    /// <summary>The engine has admitted the prompt to a slot.</summary>
    public void Admit(GenerationStart start)
    {
        if (_requests == 1)
            (_start, _admitted) = (start, Stopwatch.GetTimestamp());
    }

    /// <summary>A token was generated.</summary>
    public void Count(TokenDraft draft)
    {
        Tokens++;
        _drafted += draft.Drafted;
        _accepted += draft.Accepted ? 1 : 0;
        if (_first == 0)
            _first = Stopwatch.GetTimestamp();
    }

    /// <summary>The engine ended the answer; <paramref name="stop"/> is a stop sequence in what was held back until then.</summary>
    public OutputEnd End(GenerationEnd end, string? stop) => new(stop is null ? end.Reason : FinishReason.Stop, stop,
        UsageOf(_tokensOfEarlierRequests + end.GeneratedTokens),
        // The engine knows the times of its last request alone.
        _requests == 1 ? end.Timings : Measured(end.Timings.DraftedTokens, end.Timings.AcceptedTokens));

    /// <summary>
    /// A stop sequence ended the answer. The engine does not know them; what it generates until it is cancelled is not counted.
    /// </summary>
    public OutputEnd End(string stop) => new(FinishReason.Stop, stop, UsageOf(Tokens), Measured(_drafted, _accepted));

    /// <summary>Adds to an end, which may come from the response cache, what only this request knows.</summary>
    public OutputEnd Complete(OutputEnd end, bool calledTools, bool endsInCall, int reasoningTokens) => end with
    {
        TemplateMilliseconds = _templateMilliseconds,
        CalledTools = calledTools && !endsInCall && end.Reason == FinishReason.Stop,
        EndsInCall = endsInCall,
        ReasoningTokens = Math.Min(reasoningTokens, end.Usage.CompletionTokens),
    };

    /// <summary>
    /// The end of an answer that another request cancelled. What the engine generates until it is cancelled is not counted, as with a stop
    /// sequence: to wait for its own end event would take another decode.
    /// </summary>
    /// <param name="start">The start that the client has seen, if any: one of the response cache did not pass this clock.</param>
    /// <param name="pieces">Pieces of the answer that the client has seen, which stand for the tokens where the cache answered.</param>
    public OutputEnd Cancelled(GenerationStart? start, int pieces)
    {
        var usage = new Usage(start?.PromptTokens ?? 0, start?.CachedTokens ?? 0, _requests > 0 ? Tokens : pieces);
        var timings = _requests > 0 ? Measured(_drafted, _accepted) : new GenerationTimings(0, 0, 0);
        return new OutputEnd(FinishReason.Stop, null, usage, timings) { IsCancelled = true };
    }

    private Usage UsageOf(int tokens) => new(_start.PromptTokens, _start.CachedTokens, tokens);

    private GenerationTimings Measured(int drafted, int accepted)
    {
        var first = _first == 0 ? Stopwatch.GetTimestamp() : _first;
        return new GenerationTimings(Stopwatch.GetElapsedTime(_sent, _admitted).TotalMilliseconds,
            Stopwatch.GetElapsedTime(_admitted, first).TotalMilliseconds, Stopwatch.GetElapsedTime(first).TotalMilliseconds)
        {
            DraftedTokens = drafted,
            AcceptedTokens = accepted,
        };
    }
}
