using System.Text.Json;
using Shimmy.Chat.Output.Tools;

namespace Shimmy.Chat.Output;

/// <summary>What is to be told apart in an answer.</summary>
internal sealed record AnswerFormat
{
    /// <summary>The marks of thinking; null where the model has none.</summary>
    public ReasoningTags? Reasoning { get; init; }

    /// <summary>Whether the prompt has opened the block of thinking already.</summary>
    public bool BeginsReasoning { get; init; }

    /// <summary>How calls are written; null where none are looked for.</summary>
    public ToolCallSyntax? Calls { get; init; }

    /// <summary>The functions that may be called, with the schemas of their arguments.</summary>
    public IReadOnlyDictionary<string, JsonElement> Tools { get; init; } = new Dictionary<string, JsonElement>();

    /// <summary>All texts in which marks stand.</summary>
    public IReadOnlyList<string> Marks =>
    [
        .. Reasoning is { } marks ? new[] { marks.Open, marks.Close } : [],
        .. Calls?.Texts ?? [],
    ];

    /// <summary>Whether an answer is text from its first to its last character.</summary>
    public bool IsPlain => Reasoning is null && Calls is null;
}
