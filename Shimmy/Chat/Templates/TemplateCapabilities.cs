namespace Shimmy.Chat.Templates;

/// <summary>Capabilities of a chat template, and the form of its input. Detected by <see cref="CapabilityProbe"/>.</summary>
internal sealed record TemplateCapabilities
{
    /// <summary>Whether it renders system messages; otherwise they are prepended to the next user message.</summary>
    public bool System { get; init; } = true;

    /// <summary>Whether it renders system messages behind the first turn; otherwise they are prepended to the next user message.</summary>
    public bool LaterSystem { get; init; } = true;

    /// <summary>Whether it renders the tools of the request.</summary>
    public bool Tools { get; init; }

    /// <summary>Whether <c>tools</c> may be None; otherwise the variable is undefined in requests without tools.</summary>
    public bool ToolsMayBeNone { get; init; } = true;

    /// <summary>Whether it renders tool calls.</summary>
    public bool ToolCalls { get; init; }

    /// <summary>Whether it renders several tool calls of one message.</summary>
    public bool ParallelToolCalls { get; init; }

    /// <summary>Whether it renders the results of tools.</summary>
    public bool ToolResults { get; init; }

    /// <summary>Whether content may be a list of parts.</summary>
    public bool TypedContent { get; init; }

    /// <summary>Whether content may be a string; otherwise a string becomes a list of one part.</summary>
    public bool TextContent { get; init; } = true;

    /// <summary>What it writes for a part <c>{"type": "image"}</c>; null where it does not know such parts.</summary>
    public string? ImageMark { get; init; }

    /// <summary>Whether a tool call's arguments are an object rather than JSON text.</summary>
    public bool ObjectArguments { get; init; } = true;

    /// <summary>Whether content may be None where a message only calls tools; otherwise it is an empty string.</summary>
    public bool NullContent { get; init; } = true;

    /// <summary>Whether ids of calls must be nine letters or digits, as in Mistral's templates.</summary>
    public bool ShortCallIds { get; init; }

    /// <summary>The field of a message for the assistant's reasoning; null where reasoning is not rendered.</summary>
    public string? ReasoningField { get; init; }

    /// <summary>The variable that switches reasoning on and off; null where there is none.</summary>
    public string? ThinkingSwitch { get; init; }

    /// <summary>Whether it renders the assistant's reasoning.</summary>
    public bool Reasoning => ReasoningField is not null;
}
