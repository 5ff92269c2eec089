using System.Text.Json;
using Shimmy.Chat.Grammars;
using Shimmy.Engine;

namespace Shimmy.Chat.Messages;

/// <summary>A conversation to answer. Every dialect maps its own request to it.</summary>
internal sealed record ChatRequest
{
    /// <summary>The conversation so far, oldest first.</summary>
    public required IReadOnlyList<ChatMessage> Messages { get; init; }

    /// <summary>
    /// The prompt before the messages, as it read it, with its special tokens (Ollama's <c>context</c>); empty where nothing.
    /// </summary>
    public string Earlier { get; init; } = "";

    /// <summary>Functions the model may call.</summary>
    public IReadOnlyList<ToolDefinition> Tools { get; init; } = [];

    /// <summary>Whether the model may or must call them. Where a function is named, it is the only one in <see cref="Tools"/>.</summary>
    public ToolChoice ToolChoice { get; init; }

    /// <summary>Whether one answer may hold several calls.</summary>
    public bool ParallelToolCalls { get; init; } = true;

    /// <summary>Sampling parameters and limits.</summary>
    public GenerationOptions Options { get; init; } = new();

    /// <summary>Grammar that the answer must match; null leaves it free.</summary>
    public Grammar? Grammar { get; init; }

    /// <summary>Whether the model reasons before it answers (<c>enable_thinking</c>); null is the template's default.</summary>
    public bool? EnableThinking { get; init; }

    /// <summary>Most tokens of reasoning, at least 1; null is unlimited.</summary>
    public int? MaxReasoningTokens { get; init; }

    /// <summary>The place of the reasoning in an answer.</summary>
    public ReasoningPlace ReasoningPlace { get; init; }

    /// <summary>Ends the reasoning while it runs; null where nothing may.</summary>
    public ReasoningControl? ReasoningControl { get; init; }

    /// <summary>
    /// Whether the end of the answer says how many tokens its reasoning has; counting them takes a request to the engine.
    /// </summary>
    public bool CountsReasoningTokens { get; init; }

    /// <summary>More variables for the chat template (<c>chat_template_kwargs</c>).</summary>
    public IReadOnlyDictionary<string, JsonElement> TemplateArguments { get; init; } = new Dictionary<string, JsonElement>();

    /// <summary>
    /// Whether the assistant's turn is opened (<c>add_generation_prompt</c>); never where the last message is continued.
    /// </summary>
    public bool AddGenerationPrompt { get; init; } = true;

    /// <summary>Whether the last message, which must be the assistant's, is continued instead of answered.</summary>
    public bool ContinueFinalMessage { get; init; }

    /// <summary>
    /// The field by which <see cref="ContinueFinalMessage"/> was asked for, for errors: OpenAI's name of the conversation where the last
    /// message says it itself, by its role or a field of its own.
    /// </summary>
    public string ContinuationField { get; init; } = "messages";

    /// <summary>Whether the answer begins with the text of the message that it continues.</summary>
    public bool EchoesFinalMessage { get; init; }
}

/// <summary>The place of the reasoning in an answer.</summary>
internal enum ReasoningPlace
{
    /// <summary>Beside the text.</summary>
    Apart,

    /// <summary>In the text, with its tags.</summary>
    InText,

    /// <summary>In both places.</summary>
    Both,
}

/// <summary>Makes an answer end its reasoning. Thread-safe.</summary>
internal sealed class ReasoningControl
{
    private volatile bool _isEnded;

    /// <summary>Whether the reasoning is to end.</summary>
    public bool IsEnded => _isEnded;

    /// <summary>Ends it.</summary>
    public void End() => _isEnded = true;
}

/// <summary>A prompt to continue as it is, without a chat template.</summary>
internal sealed record CompletionRequest
{
    /// <summary>The prompt.</summary>
    public required Prompt Prompt { get; init; }

    /// <summary>Sampling parameters and limits.</summary>
    public GenerationOptions Options { get; init; } = new();

    /// <summary>Grammar that the answer must match; null leaves it free.</summary>
    public Grammar? Grammar { get; init; }
}

/// <summary>One message of a conversation.</summary>
internal sealed record ChatMessage
{
    /// <summary><c>system</c>, <c>developer</c>, <c>user</c>, <c>assistant</c> or <c>tool</c>.</summary>
    public required string Role { get; init; }

    /// <summary>The content's parts, in order; empty where a message only calls tools.</summary>
    public IReadOnlyList<ContentPart> Content { get; init; } = [];

    /// <summary>The assistant's reasoning before its answer.</summary>
    public string? Reasoning { get; init; }

    /// <summary>Tool calls of the assistant.</summary>
    public IReadOnlyList<ToolCall> ToolCalls { get; init; } = [];

    /// <summary>For a tool's result: the id of its call.</summary>
    public string? ToolCallId { get; init; }

    /// <summary>The participant's or the tool's name.</summary>
    public string? Name { get; init; }

    /// <summary>All text of the content, joined.</summary>
    public string Text => Content.Count == 1 ? Content[0].Text : string.Concat(Content.Select(part => part.Text));

    /// <summary>Whether the content has pictures or sounds.</summary>
    public bool HasMedia => Content.Any(part => part.IsMedium);
}

/// <summary>A part of a message's content: text, or a picture or sound.</summary>
/// <param name="Text">The text; empty where the part is a medium.</param>
internal readonly record struct ContentPart(string Text)
{
    /// <summary>A picture or sound as it came in; null where the part is text.</summary>
    public MediaSource? Source { get; init; }

    /// <summary>The same decoded (<c>MediaLoader</c>); null before that.</summary>
    public Medium? Medium { get; init; }

    /// <summary>Whether the part is a picture or sound.</summary>
    public bool IsMedium => Source is not null || Medium is not null;

    /// <summary>A picture or sound.</summary>
    public static ContentPart Of(MediaSource source) => new("") { Source = source };

    /// <summary>The parts with neighbouring texts joined by <paramref name="between"/>; empty texts are left out.</summary>
    public static IReadOnlyList<ContentPart> Merge(IEnumerable<ContentPart> parts, string between = "")
    {
        var merged = new List<ContentPart>();
        foreach (var part in parts)
        {
            if (part is { IsMedium: false, Text.Length: 0 })
                continue;
            if (!part.IsMedium && merged is [.., { IsMedium: false } last])
                merged[^1] = new ContentPart(last.Text + between + part.Text);
            else
                merged.Add(part);
        }
        return merged;
    }
}

/// <summary>A picture or sound as a client sent it.</summary>
/// <param name="Kind">What it is said to be.</param>
/// <param name="Field">The full name of its field, for errors.</param>
/// <param name="File">The bytes of its file; empty where it is given by URL.</param>
/// <param name="Url">Where it is to be fetched from; null where its bytes are given.</param>
internal sealed record MediaSource(MediumKind Kind, string Field, ReadOnlyMemory<byte> File, Uri? Url = null)
{
    /// <summary>The short name, for programs, of the error that a medium of a kind cannot be read.</summary>
    public static string CodeOf(MediumKind kind) => kind == MediumKind.Picture ? "invalid_image" : "invalid_audio";

    /// <summary>Why its bytes cannot be had, so that words will stand for it; null where they can.</summary>
    public string? Unreadable { get; init; }
}

/// <summary>A tool call of the assistant.</summary>
/// <param name="Id">The call's id.</param>
/// <param name="Name">The function's name.</param>
/// <param name="Arguments">
/// The arguments as JSON text. It stands in a string of the request, so that the repair of the body does not reach its escapes.
/// </param>
internal sealed record ToolCall(string Id, string Name, string Arguments)
{
    /// <summary>The arguments as JSON text without unpaired surrogates (<see cref="SurrogateRepair"/>).</summary>
    public string Arguments { get; init; } = SurrogateRepair.Of(Arguments);
}

/// <summary>A function that the model may call.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Description">Its description, or null.</param>
/// <param name="Parameters">JSON schema of its arguments; undefined where it has none.</param>
internal sealed record ToolDefinition(string Name, string? Description, JsonElement Parameters)
{
    /// <summary>Whether the arguments must satisfy the schema exactly (<c>strict</c>).</summary>
    public bool Strict { get; init; }

    /// <summary>Its index among the tools of the request.</summary>
    public int Index { get; init; }

    /// <summary>Which it is, for errors and the log: agents send forty of them.</summary>
    public string Place => $"tools[{Index}] '{Name}'";
}

/// <summary>Whether the model may, must or must not call tools (<c>tool_choice</c>).</summary>
internal enum ToolChoice
{
    /// <summary>The model decides.</summary>
    Auto,

    /// <summary>The model must call at least one of the tools.</summary>
    Required,

    /// <summary>The model must not call tools.</summary>
    None,
}
