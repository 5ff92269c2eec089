namespace Shimmy.Engine;

/// <summary>
/// One event of a generation. They come in this order: one <see cref="Start"/>, the prompt's tokens where they are asked for, any number of
/// tokens, one <see cref="End"/>. A generation that is cancelled while it waits for a slot has no start.
/// </summary>
public readonly struct GenerationEvent
{
    private GenerationEvent(int token, ReadOnlyMemory<byte> piece, TokenLogProbability? logProbability,
        GenerationStart? start, GenerationEnd? end, bool ofPrompt = false, TokenDraft draft = default, bool isProgress = false)
    {
        IsProgress = isProgress;
        Token = token;
        Piece = piece;
        LogProbability = logProbability;
        Start = start;
        End = end;
        OfPrompt = ofPrompt;
        Draft = draft;
    }

    /// <summary>Set on the first event alone: the prompt was admitted.</summary>
    public GenerationStart? Start { get; }

    /// <summary>Set on the last event alone.</summary>
    public GenerationEnd? End { get; }

    /// <summary>Whether this event is a token.</summary>
    public bool IsToken => Start is null && End is null && !IsProgress;

    /// <summary>
    /// Whether the event says how many tokens of the prompt are computed (<see cref="GenerationOptions.ReportProgress"/>), which is then
    /// <see cref="Token"/>.
    /// </summary>
    public bool IsProgress { get; }

    /// <summary>Whether the token is one of the prompt's (<see cref="GenerationOptions.ReportPrompt"/>).</summary>
    public bool OfPrompt { get; }

    /// <summary>The token's id.</summary>
    public int Token { get; }

    /// <summary>The token's text in UTF-8; may begin or end inside a character. Empty for control tokens.</summary>
    public ReadOnlyMemory<byte> Piece { get; }

    /// <summary>Log probabilities, where the request asked for them.</summary>
    public TokenLogProbability? LogProbability { get; }

    /// <summary>The token's part in speculative decoding.</summary>
    public TokenDraft Draft { get; }

    /// <summary>The prompt was admitted.</summary>
    public static GenerationEvent OfStart(GenerationStart start) => new(0, default, null, start, null);

    /// <summary>A token was generated.</summary>
    public static GenerationEvent OfToken(int token, ReadOnlyMemory<byte> piece,
        TokenLogProbability? logProbability = null, TokenDraft draft = default) =>
        new(token, piece, logProbability, null, null, draft: draft);

    /// <summary>A token of the prompt was read.</summary>
    public static GenerationEvent OfPromptToken(int token, ReadOnlyMemory<byte> piece, TokenLogProbability? logProbability) =>
        new(token, piece, logProbability, null, null, ofPrompt: true);

    /// <summary>More of the prompt is computed.</summary>
    /// <param name="computed">Tokens of the prompt that are computed, those taken over included.</param>
    public static GenerationEvent OfProgress(int computed) => new(computed, default, null, null, null, isProgress: true);

    /// <summary>The generation ended.</summary>
    public static GenerationEvent OfEnd(GenerationEnd end) => new(0, default, null, null, end);
}

/// <summary>A prompt was admitted to a slot.</summary>
/// <param name="PromptTokens">Tokens of the prompt, cached ones included.</param>
/// <param name="CachedTokens">Prompt tokens whose KV cells were reused.</param>
/// <param name="Seed">The seed in use, given or drawn.</param>
public sealed record GenerationStart(int PromptTokens, int CachedTokens, uint Seed)
{
    /// <summary>The slot that it runs in.</summary>
    public int Slot { get; init; }
}

/// <summary>A generation ended.</summary>
/// <param name="Reason">Why.</param>
/// <param name="GeneratedTokens">Tokens generated, an end-of-generation token not counted.</param>
/// <param name="Timings">Time by phase, and counts of speculative decoding.</param>
public sealed record GenerationEnd(FinishReason Reason, int GeneratedTokens, GenerationTimings Timings);

/// <summary>Why a generation ended.</summary>
public enum FinishReason
{
    /// <summary>The model gave an end-of-generation token, or the grammar was complete.</summary>
    Stop,

    /// <summary>max_tokens was reached or the context is full.</summary>
    Length,

    /// <summary>The server asked for the end: a stop sequence was found in the text, or the client left.</summary>
    Cancelled,
}

/// <summary>The time of a generation by phase, in milliseconds, on the engine's clock.</summary>
/// <param name="QueueMilliseconds">From arrival in the worker to a slot.</param>
/// <param name="PrefillMilliseconds">From the slot to the first token.</param>
/// <param name="DecodeMilliseconds">From the first token to the end.</param>
public sealed record GenerationTimings(double QueueMilliseconds, double PrefillMilliseconds, double DecodeMilliseconds)
{
    /// <summary>Tokens drafted by speculative decoding.</summary>
    public int DraftedTokens { get; init; }

    /// <summary>Drafted tokens that were accepted.</summary>
    public int AcceptedTokens { get; init; }
}

/// <summary>
/// A token's part in speculative decoding. Sent with each token, so that a reader that leaves in the middle of an answer has the counts so
/// far.
/// </summary>
/// <param name="Drafted">Tokens drafted in the step whose first token this is; 0 for its other tokens.</param>
/// <param name="Accepted">Whether the token was drafted.</param>
public readonly record struct TokenDraft(byte Drafted, bool Accepted);

/// <summary>How likely a token was, before any sampler changed the logits.</summary>
/// <param name="LogProbability">Natural logarithm of the probability of the token that was taken.</param>
/// <param name="Top">The most likely tokens, most likely first.</param>
public sealed record TokenLogProbability(float LogProbability, IReadOnlyList<TopToken> Top);

/// <summary>One of the most likely tokens.</summary>
/// <param name="Token">Its id.</param>
/// <param name="Piece">Its text in UTF-8.</param>
/// <param name="LogProbability">Natural logarithm of its probability.</param>
public readonly record struct TopToken(int Token, ReadOnlyMemory<byte> Piece, float LogProbability);
