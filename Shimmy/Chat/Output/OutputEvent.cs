using Shimmy.Chat.Output.Tools;
using Shimmy.Engine;

namespace Shimmy.Chat.Output;

/// <summary>
/// What a dialect writes: one <see cref="Start"/>, then reasoning, text and pieces of tool calls as they come, then one <see cref="End"/>.
/// </summary>
internal readonly struct OutputEvent
{
    private OutputEvent(string text, string reasoning, ToolCallDelta? call, GenerationStart? start, OutputEnd? end)
    {
        Text = text;
        Reasoning = reasoning;
        Call = call;
        Start = start;
        End = end;
    }

    /// <summary>Text of the answer; empty where the event is something else.</summary>
    public string Text { get; }

    /// <summary>Text that the model thinks; empty where the event is something else.</summary>
    public string Reasoning { get; }

    /// <summary>A piece of a tool call; null where the event is something else.</summary>
    public ToolCallDelta? Call { get; }

    /// <summary>The tokens that this event and those before it that had none are made of; null where tokens were not asked for.</summary>
    public IReadOnlyList<GeneratedToken>? Tokens { get; init; }

    /// <summary>A token of the prompt, where they were asked for; null where the event is something else.</summary>
    public GeneratedToken? PromptToken { get; init; }

    /// <summary>Set on the first event: the prompt was admitted.</summary>
    public GenerationStart? Start { get; }

    /// <summary>Set on the last event.</summary>
    public OutputEnd? End { get; }

    public static OutputEvent OfStart(GenerationStart start) => new("", "", null, start, null);

    public static OutputEvent OfText(string text) => new(text, "", null, null, null);

    public static OutputEvent OfReasoning(string text) => new("", text, null, null, null);

    public static OutputEvent OfCall(ToolCallDelta call) => new("", "", call, null, null);

    public static OutputEvent OfEnd(OutputEnd end) => new("", "", null, null, end);
}

/// <summary>A token and how likely it was.</summary>
/// <param name="Token">Its id.</param>
/// <param name="Piece">Its text in UTF-8; may be part of a character.</param>
/// <param name="LogProbability">How likely it was; null where that was not asked for, and for what nothing stands before.</param>
internal readonly record struct GeneratedToken(int Token, ReadOnlyMemory<byte> Piece, TokenLogProbability? LogProbability);

/// <summary>How an answer ended, and what it took.</summary>
/// <param name="Reason">Why it ended; a stop string counts as <see cref="FinishReason.Stop"/>.</param>
/// <param name="StopString">The stop string that ended it, if one did.</param>
/// <param name="Usage">Tokens.</param>
/// <param name="Timings">Where the time went.</param>
internal sealed record OutputEnd(FinishReason Reason, string? StopString, Usage Usage, GenerationTimings Timings)
{
    /// <summary>Milliseconds that the chat template took; 0 where there was none.</summary>
    public double TemplateMilliseconds { get; init; }

    /// <summary>Whether the answer called tools and ended by itself.</summary>
    public bool CalledTools { get; init; }
}

/// <summary>Tokens of a request, counted by the engine.</summary>
/// <param name="PromptTokens">Tokens of the prompt.</param>
/// <param name="CachedTokens">Those of them that were not computed again.</param>
/// <param name="CompletionTokens">Tokens of the answer; where a stop string ended it, up to the token that completed it.</param>
internal sealed record Usage(int PromptTokens, int CachedTokens, int CompletionTokens)
{
    /// <summary>Prompt and answer.</summary>
    public int TotalTokens => PromptTokens + CompletionTokens;
}
