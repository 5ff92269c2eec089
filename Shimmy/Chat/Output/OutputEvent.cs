using Shimmy.Chat.Output.Tools;
using Shimmy.Engine;

namespace Shimmy.Chat.Output;

/// <summary>
/// One event of an answer, of which a dialect makes its stream: one <see cref="Start"/>, then reasoning, text and pieces of tool calls as
/// they come, then one <see cref="End"/>. Five words in size, since one exists for each token.
/// </summary>
internal readonly struct OutputEvent
{
    private static readonly object IsReasoning = new();

    private readonly string _text;

    // Null: text. Otherwise the start, the end, a tool call, a token of the prompt (boxed), or IsReasoning.
    private readonly object? _content;

    private OutputEvent(string text, object? content)
    {
        _text = text;
        _content = content;
    }

    /// <summary>Text of the answer; empty where the event is something else.</summary>
    public string Text => _content == IsReasoning ? "" : _text;

    /// <summary>Reasoning text; empty where the event is something else.</summary>
    public string Reasoning => _content == IsReasoning ? _text : "";

    /// <summary>A piece of a tool call; null where the event is something else.</summary>
    public ToolCallDelta? Call => _content as ToolCallDelta;

    /// <summary>
    /// The tokens of this event's text, and of earlier tokens that completed no text; null where the request does not ask for tokens.
    /// </summary>
    public IReadOnlyList<GeneratedToken>? Tokens { get; init; }

    /// <summary>A token of the prompt, where the request asks for them; null where the event is something else.</summary>
    public GeneratedToken? PromptToken
    {
        get => _content as GeneratedToken?;
        init => _content = value ?? _content;
    }

    /// <summary>Set on the first event: the prompt was admitted.</summary>
    public GenerationStart? Start => _content as GenerationStart;

    /// <summary>Set on the last event.</summary>
    public OutputEnd? End
    {
        get => _content as OutputEnd;
        init => _content = value;
    }

    /// <summary>Number of the answer that the event belongs to, where one request has several (<c>n</c>).</summary>
    public int Choice { get; init; }

    /// <summary>
    /// Time from the answer's arrival to this event. Set on the start, the end and events with tokens; zero on others, and where the answer
    /// comes from the response cache.
    /// </summary>
    public TimeSpan Elapsed { get; init; }

    /// <summary>Tokens of the prompt that are computed, where the request asks for them; null where the event is something else.</summary>
    public int? Progress => _content is PromptProgress progress ? progress.Computed : null;

    public static OutputEvent OfProgress(int computed) => new("", new PromptProgress(computed));

    public static OutputEvent OfStart(GenerationStart start) => new("", start);

    public static OutputEvent OfText(string text) => new(text, null);

    public static OutputEvent OfReasoning(string text) => new(text, IsReasoning);

    public static OutputEvent OfCall(ToolCallDelta call) => new("", call);

    public static OutputEvent OfEnd(OutputEnd end) => new("", end);

    private sealed record PromptProgress(int Computed);
}

/// <summary>A token and its log probability.</summary>
/// <param name="Token">Its id.</param>
/// <param name="Piece">Its text in UTF-8; may be part of a character.</param>
/// <param name="LogProbability">Null where the request does not ask for it, and for the first token of a prompt.</param>
internal readonly record struct GeneratedToken(int Token, ReadOnlyMemory<byte> Piece, TokenLogProbability? LogProbability)
{
    /// <summary>Its text as it is reported beside the answer, to which a control token adds none.</summary>
    public ReadOnlyMemory<byte> Shown
    {
        get
        {
            var token = Token;
            return Piece.Length == 0 && LogProbability is { } likely ? likely.Top.FirstOrDefault(top => top.Token == token).Piece : Piece;
        }
    }
}

/// <summary>Finish reason, usage and times of an answer. Built by <see cref="AnswerClock"/>, and read back by the response cache.</summary>
/// <param name="Reason">The finish reason; a stop sequence counts as <see cref="FinishReason.Stop"/>.</param>
/// <param name="StopString">The stop sequence that ended the answer; null where none did.</param>
/// <param name="Usage">Tokens.</param>
/// <param name="Timings">Time in the queue, of prefill and of decoding.</param>
internal sealed record OutputEnd(FinishReason Reason, string? StopString, Usage Usage, GenerationTimings Timings)
{
    /// <summary>Milliseconds of rendering the chat template; 0 where there was none.</summary>
    public double TemplateMilliseconds { get; init; }

    /// <summary>Whether the answer called tools and ended by itself.</summary>
    public bool CalledTools { get; init; }

    /// <summary>Whether the answer ended inside the arguments of its last tool call, whose JSON is therefore none.</summary>
    public bool EndsInCall { get; init; }

    /// <summary>Tokens of the reasoning text, where the request asks for their number.</summary>
    public int ReasoningTokens { get; init; }

    /// <summary>Whether the answer was cancelled by another request, and not by its own client.</summary>
    public bool IsCancelled { get; init; }
}

/// <summary>Tokens of a request, counted by the engine.</summary>
/// <param name="PromptTokens">Tokens of the prompt.</param>
/// <param name="CachedTokens">Those of them that were reused from the prefix cache.</param>
/// <param name="CompletionTokens">Tokens of the answer, up to the one that completed a stop sequence.</param>
internal sealed record Usage(int PromptTokens, int CachedTokens, int CompletionTokens)
{
    /// <summary>Prompt and answer.</summary>
    public int TotalTokens => PromptTokens + CompletionTokens;

    /// <summary>Usage of two answers to different prompts together.</summary>
    public static Usage operator +(Usage a, Usage b) =>
        new(a.PromptTokens + b.PromptTokens, a.CachedTokens + b.CachedTokens, a.CompletionTokens + b.CompletionTokens);
}
