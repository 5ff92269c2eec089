using System.Text.Json;
using Shimmy.Chat.Grammars;
using Shimmy.Engine;

namespace Shimmy.Chat.Messages;

/// <summary>A conversation to continue: what every dialect maps its own request to.</summary>
internal sealed record ChatRequest
{
    /// <summary>The conversation so far, oldest first.</summary>
    public required IReadOnlyList<ChatMessage> Messages { get; init; }

    /// <summary>Functions the model may call.</summary>
    public IReadOnlyList<ToolDefinition> Tools { get; init; } = [];

    /// <summary>Whether the model may or must call them. A named function is the only one in <see cref="Tools"/>.</summary>
    public ToolChoice ToolChoice { get; init; }

    /// <summary>Whether one answer may hold several calls.</summary>
    public bool ParallelToolCalls { get; init; } = true;

    /// <summary>How to sample.</summary>
    public GenerationOptions Options { get; init; } = new();

    /// <summary>Grammar that the answer must match; null leaves it free.</summary>
    public Grammar? Grammar { get; init; }

    /// <summary>Whether the model should reason first; null leaves it to the template.</summary>
    public bool? EnableThinking { get; init; }

    /// <summary>Most tokens that it may think before it answers, at least 1; null leaves it free.</summary>
    public int? ThinkingBudget { get; init; }

    /// <summary>Whether the end of the answer says how many tokens its reasoning has; counting them takes a request to the engine.</summary>
    public bool CountsReasoningTokens { get; init; }

    /// <summary>Variables for the chat template beside the usual ones (<c>chat_template_kwargs</c>).</summary>
    public IReadOnlyDictionary<string, JsonElement> TemplateArguments { get; init; } = new Dictionary<string, JsonElement>();

    /// <summary>Whether the last message, if the assistant's, is continued instead of answered.</summary>
    public bool ContinueFinalMessage { get; init; }
}

/// <summary>A prompt to go on with as it is, without a chat template.</summary>
internal sealed record CompletionRequest
{
    /// <summary>What the model reads first.</summary>
    public required Prompt Prompt { get; init; }

    /// <summary>How to sample.</summary>
    public GenerationOptions Options { get; init; } = new();

    /// <summary>Grammar that the answer must match; null leaves it free.</summary>
    public Grammar? Grammar { get; init; }
}

/// <summary>One turn of a conversation.</summary>
internal sealed record ChatMessage
{
    /// <summary><c>system</c>, <c>developer</c>, <c>user</c>, <c>assistant</c> or <c>tool</c>.</summary>
    public required string Role { get; init; }

    /// <summary>The parts of the content in order; empty where a message only calls tools.</summary>
    public IReadOnlyList<ContentPart> Content { get; init; } = [];

    /// <summary>What the assistant thought before this turn's answer.</summary>
    public string? Reasoning { get; init; }

    /// <summary>Calls that the assistant made.</summary>
    public IReadOnlyList<ToolCall> ToolCalls { get; init; } = [];

    /// <summary>For a tool's result: the call that it answers.</summary>
    public string? ToolCallId { get; init; }

    /// <summary>The participant's or the tool's name.</summary>
    public string? Name { get; init; }

    /// <summary>All text of the content, joined.</summary>
    public string Text => Content.Count == 1 ? Content[0].Text : string.Concat(Content.Select(part => part.Text));
}

/// <summary>A piece of content. Only text so far: what a model has no eyes or ears for is refused by the dialects.</summary>
/// <param name="Text">The text.</param>
internal readonly record struct ContentPart(string Text);

/// <summary>A call that the assistant made.</summary>
/// <param name="Id">The call's id.</param>
/// <param name="Name">The function's name.</param>
/// <param name="Arguments">The arguments as JSON text.</param>
internal sealed record ToolCall(string Id, string Name, string Arguments);

/// <summary>A function that the model may call.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Description">What it does, or null.</param>
/// <param name="Parameters">JSON schema of its arguments; undefined where it takes none.</param>
internal sealed record ToolDefinition(string Name, string? Description, JsonElement Parameters)
{
    /// <summary>Whether the caller asked that arguments follow the schema exactly.</summary>
    public bool Strict { get; init; }
}

/// <summary>Whether a model may, must or may not call tools.</summary>
internal enum ToolChoice
{
    /// <summary>The model decides.</summary>
    Auto,

    /// <summary>The model must call at least one of the tools.</summary>
    Required,

    /// <summary>The model calls none.</summary>
    None,
}
