using System.Text.Json;
using Shimmy.Chat.Output.Tools;

namespace Shimmy.Chat.Output;

/// <summary>The parts that <see cref="AnswerParser"/> separates in an answer: how reasoning and tool calls are written.</summary>
internal sealed record AnswerFormat
{
    /// <summary>The tags around reasoning; null where the model has none.</summary>
    public ReasoningTags? Reasoning { get; init; }

    /// <summary>Whether the prompt ends with the opening tag, so that the answer begins inside the reasoning.</summary>
    public bool BeginsReasoning { get; init; }

    /// <summary>Whether the reasoning is part of the text, too, with its tags.</summary>
    public bool ReasoningStaysInText { get; init; }

    /// <summary>The syntax of tool calls; null where none are looked for.</summary>
    public ToolCallSyntax? Calls { get; init; }

    /// <summary>The functions that may be called, with the JSON schemas of their arguments.</summary>
    public IReadOnlyDictionary<string, JsonElement> Tools { get; init; } = new Dictionary<string, JsonElement>();

    /// <summary>All texts in which control tokens may stand that must stay visible in the answer.</summary>
    public IReadOnlyList<string> Marks =>
    [
        .. Reasoning is { } tags ? new[] { tags.Open, tags.Close } : [],
        .. Calls?.Texts ?? [],
    ];

    /// <summary>Whether the whole answer is text.</summary>
    public bool IsPlain => Reasoning is null && Calls is null;
}

/// <summary>The texts around a model's reasoning.</summary>
/// <param name="Open">The opening tag, such as <c>&lt;think&gt;</c>.</param>
/// <param name="Close">The closing tag.</param>
internal sealed record ReasoningTags(string Open, string Close);

/// <summary>The most tokens of reasoning before the answer (<c>thinking.budget_tokens</c>).</summary>
/// <param name="Tokens">The number of tokens.</param>
/// <param name="Marks">The tags around the reasoning.</param>
/// <param name="Begun">Whether the prompt ends with the opening tag.</param>
internal sealed record ReasoningLimit(int Tokens, ReasoningTags Marks, bool Begun);
