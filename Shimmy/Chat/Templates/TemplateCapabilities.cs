namespace Shimmy.Chat.Templates;

/// <summary>What a chat template can show, and the form in which it wants it. Found out by rendering (<see cref="CapabilityProbe"/>).</summary>
internal sealed record TemplateCapabilities
{
    /// <summary>Whether it shows a system message; where not, the message goes into the next user turn.</summary>
    public bool System { get; init; } = true;

    /// <summary>Whether it lists the tools of the request.</summary>
    public bool Tools { get; init; }

    /// <summary>Whether it takes None for the tools of a request without any; where not, the variable is left out.</summary>
    public bool ToolsMayBeNone { get; init; } = true;

    /// <summary>Whether it shows the assistant's tool calls.</summary>
    public bool ToolCalls { get; init; }

    /// <summary>Whether it shows several calls of one message.</summary>
    public bool ParallelToolCalls { get; init; }

    /// <summary>Whether it shows the results of tools.</summary>
    public bool ToolResults { get; init; }

    /// <summary>Whether it takes content as a list of parts.</summary>
    public bool TypedContent { get; init; }

    /// <summary>Whether it takes content as a text; where not, a text becomes a list of one part.</summary>
    public bool TextContent { get; init; } = true;

    /// <summary>Whether it wants a call's arguments as an object rather than as JSON text.</summary>
    public bool ObjectArguments { get; init; } = true;

    /// <summary>Whether content may be null where a message only calls tools; where not, it becomes an empty text.</summary>
    public bool NullContent { get; init; } = true;

    /// <summary>Whether it takes ids of calls of nine letters or digits only, as Mistral's templates do.</summary>
    public bool ShortCallIds { get; init; }

    /// <summary>The field of a message in which it shows the assistant's reasoning; null where it shows none.</summary>
    public string? ReasoningField { get; init; }

    /// <summary>The variable that switches thinking on and off; null where none does.</summary>
    public string? ThinkingSwitch { get; init; }

    /// <summary>Whether it shows the assistant's reasoning.</summary>
    public bool Reasoning => ReasoningField is not null;
}
