namespace Shimmy.Chat.Constraints;

/// <summary>How a model family writes a call as JSON: <c>before {"name": "…", "arguments": {…}} after</c>.</summary>
internal sealed record ToolCallShape
{
    /// <summary>Text before each call, such as <c>&lt;tool_call&gt;\n</c>.</summary>
    public string Before { get; init; } = "";

    /// <summary>Text after each call, such as <c>\n&lt;/tool_call&gt;</c>.</summary>
    public string After { get; init; } = "";

    /// <summary>Text between calls.</summary>
    public string Separator { get; init; } = "";

    /// <summary>Text before the first call.</summary>
    public string Open { get; init; } = "";

    /// <summary>Text after the last call.</summary>
    public string Close { get; init; } = "";

    /// <summary>The key of the function's name.</summary>
    public string NameKey { get; init; } = "name";

    /// <summary>The key of the arguments.</summary>
    public string ArgumentsKey { get; init; } = "arguments";

    /// <summary>Further members before the name, as JSON text that ends with a comma, such as <c>"type": "function", </c>.</summary>
    public string Leading { get; init; } = "";
}
