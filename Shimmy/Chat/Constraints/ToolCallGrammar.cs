using System.Text.Json;
using static Shimmy.Chat.Constraints.GrammarBuilder;

namespace Shimmy.Chat.Constraints;

/// <summary>
/// Grammars of tool calls. The pieces are for every family: <see cref="Arguments"/> alone for those that write the name in their own way,
/// <see cref="Call"/> for those that write a JSON object, <see cref="Calls"/> for what stands around one or several.
/// </summary>
/// <param name="builder">The grammar that the pieces go into.</param>
internal sealed class ToolCallGrammar(GrammarBuilder builder)
{
    /// <summary>Most calls in one answer.</summary>
    public const int MostCalls = 32;

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

    /// <summary>One call of this tool: a JSON object of name and arguments, without what the shape has around it.</summary>
    public Fragment Call(ToolDefinition tool, ToolCallShape shape) => builder.Rule($"{tool.Name}-call", Sequence(
        Literal("{" + shape.Leading + JsonRules.Quote(shape.NameKey) + ":"), Json.Gap, Literal(JsonRules.Quote(tool.Name) + ","), Json.Gap,
        Literal(JsonRules.Quote(shape.ArgumentsKey) + ":"), Json.Gap, Arguments(tool), Literal("}")));

    /// <summary>One call of any of these tools.</summary>
    public Fragment AnyCall(IEnumerable<ToolDefinition> tools, ToolCallShape shape) => builder.Rule("call", Choice(tools.Select(tool => Call(tool, shape))));

    /// <summary>One call, or with <paramref name="parallel"/> up to <see cref="MostCalls"/>, each any of these tools, with all that the shape has around them.</summary>
    public Fragment Calls(IEnumerable<ToolDefinition> tools, ToolCallShape shape, bool parallel)
    {
        var call = AnyCall(tools, shape);
        return Around(call, shape, parallel);
    }

    /// <summary>Puts a shape's texts around calls that are written in a family's own way.</summary>
    public Fragment Around(Fragment call, ToolCallShape shape, bool parallel)
    {
        if (call.IsNothing)
            return Fragment.Nothing;
        var one = builder.Rule("whole-call", Sequence(Literal(shape.Before), call, Literal(shape.After)));
        var more = parallel ? builder.Repeat(builder.Rule("next-call", Sequence(Literal(shape.Separator), one)), 0, MostCalls - 1) : Fragment.Empty;
        return Sequence(Literal(shape.Open), one, more, Literal(shape.Close));
    }
}
