using Microsoft.Extensions.Logging;
using Shimmy.Chat.Messages;
using Shimmy.Http;

namespace Shimmy.Api.Anthropic;

/// <summary><c>tools</c> and <c>tool_choice</c> as Anthropic has them.</summary>
/// <param name="Tools">The functions that the model may call; a tool that is demanded is the only one.</param>
/// <param name="Choice">Whether it may or must call one.</param>
/// <param name="Parallel">Whether one answer may hold several calls.</param>
internal sealed record AnthropicTools(IReadOnlyList<ToolDefinition> Tools, ToolChoice Choice, bool Parallel)
{
    /// <summary>
    /// Reads the fields; throws <see cref="ApiException"/> naming what is wrong. Tools that Anthropic's servers run are left out with a
    /// line in the log, because Claude Code sends them unasked.
    /// </summary>
    public static AnthropicTools Read(RequestFields fields, ILogger? logger) =>
        Choose(fields, ToolFields.List(fields, "custom", Tool, logger));

    private static ToolDefinition Tool(RequestFields tool)
    {
        var name = tool.RequiredText("name");
        if (name.Length is 0 or > ToolFields.LongestName || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-'))
        {
            throw ApiException.BadField(tool.FullName("name"),
                $"must be 1 to {ToolFields.LongestName} letters, digits, _ or -, not {RequestFields.Quote(name)}");
        }

        if (!tool.Has("input_schema"))
            throw ApiException.BadField(tool.FullName("input_schema"), "is missing; an object is required");
        var schema = ToolFields.Schema(tool, "input_schema");
        return new ToolDefinition(name, tool.Text("description"), schema) { Strict = tool.Flag("strict") ?? false };
    }

    private static AnthropicTools Choose(RequestFields fields, List<ToolDefinition> tools)
    {
        if (fields.Object("tool_choice") is not { } choice)
            return new AnthropicTools(tools, ToolChoice.Auto, Parallel: true);
        var parallel = choice.Flag("disable_parallel_tool_use") != true;
        switch (choice.Choice("type", "auto", "any", "tool", "none"))
        {
            case "auto":
                return new AnthropicTools(tools, ToolChoice.Auto, parallel);
            case "none":
                return new AnthropicTools([], ToolChoice.None, parallel);
            case "any":
                return tools.Count > 0
                    ? new AnthropicTools(tools, ToolChoice.Required, parallel)
                    : throw ApiException.BadField("tool_choice", "requires a tool call, but tools has none that can be called here");
            case "tool":
                var name = choice.RequiredText("name");
                var named = tools.FirstOrDefault(tool => tool.Name == name)
                    ?? throw ApiException.BadField("tool_choice.name",
                        $"{RequestFields.Quote(name)} is not one of the tools that can be called here");
                return new AnthropicTools([named], ToolChoice.Required, parallel);
            default:
                throw ApiException.BadField("tool_choice.type", "is missing; 'auto', 'any', 'tool' or 'none' is required");
        }
    }
}
