using System.Text.Json;
using static Shimmy.Chat.Constraints.GrammarBuilder;

namespace Shimmy.Chat.Constraints;

/// <summary>Grammars of the arguments of tools, by their schemas. What stands around them <see cref="ToolCallConstraint"/> knows.</summary>
/// <param name="builder">The grammar that they go into.</param>
internal sealed class ToolArguments(GrammarBuilder builder)
{
    private readonly List<string> _leftOut = [];
    private readonly Dictionary<string, Fragment> _arguments = [];

    /// <summary>The rules of JSON itself.</summary>
    public JsonRules Json { get; } = new(builder);

    /// <summary>What of the tools' schemas no grammar can express and is not held to, for the log; of tools that are not strict only.</summary>
    public IReadOnlyList<string> LeftOut => _leftOut;

    /// <summary>
    /// The arguments of a tool: always an object, by its schema. Throws <see cref="SchemaException"/> where the schema is wrong or, for a strict
    /// tool, cannot be held to.
    /// </summary>
    public Fragment Arguments(ToolDefinition tool)
    {
        if (_arguments.TryGetValue(tool.Name, out var known))
            return known;
        if (tool.Parameters.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null)
            return _arguments[tool.Name] = Literal("{}");
        var options = new SchemaOptions { Strict = tool.Strict, LeaveOutInexpressible = !tool.Strict };
        var rule = SchemaCompiler.Compile(builder, Json, tool.Parameters, $"{tool.Name}-arguments", options, out var leftOut, objectsOnly: true);
        _leftOut.AddRange(leftOut.Select(left => $"{tool.Name}{left}"));
        return _arguments[tool.Name] = rule;
    }
}
