using System.Text.Json;
using Shimmy.Chat.Grammars.Schemas;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output.Tools;
using static Shimmy.Chat.Grammars.GrammarBuilder;

namespace Shimmy.Chat.Grammars.Tools;

/// <summary>
/// Grammars of tool calls in a model's own syntax: the texts that its chat template writes around them, the names of the tools, and
/// arguments by their JSON schemas.
/// </summary>
internal sealed class ToolCallConstraint
{
    // Far more than a useful answer has; unbounded, a weak model never stops.
    private const int MostCalls = 32;

    private readonly GrammarBuilder _builder = new();
    private readonly ToolArguments _arguments;
    private readonly ToolCallSyntax _syntax;
    private readonly IReadOnlyCollection<string> _free;

    private ToolCallConstraint(ToolCallSyntax syntax, IReadOnlyCollection<string> free)
    {
        _syntax = syntax;
        _free = free;
        _arguments = new ToolArguments(_builder, free);
    }

    /// <summary>
    /// The grammar of an answer that calls tools, with <paramref name="parallel"/> more than one. With <paramref name="afterTrigger"/> it
    /// starts behind <see cref="ToolCallSyntax.Trigger"/>. Throws <see cref="SchemaException"/> for parameters that are not a valid schema
    /// or, of a strict tool, that a grammar cannot express, <c>multipleOf</c> included: nothing checks the arguments of a finished call.
    /// </summary>
    public static Grammar Build(ToolCallSyntax syntax, IReadOnlyList<ToolDefinition> tools, bool parallel, bool afterTrigger) =>
        Build(syntax, tools, parallel, afterTrigger, []);

    /// <summary>
    /// The same where calls are optional: one odd schema among many is no reason to refuse all. A tool that is not strict and whose schema
    /// is invalid takes any arguments; <paramref name="odd"/> gets the reasons.
    /// </summary>
    public static Grammar BuildLenient(
        ToolCallSyntax syntax, IReadOnlyList<ToolDefinition> tools, bool parallel, bool afterTrigger, out IReadOnlyList<string> odd)
    {
        odd = [];
        try
        {
            return Build(syntax, tools, parallel, afterTrigger, []);
        }
        catch (SchemaException together)
        {
            var faults = tools.Select(tool => (Tool: tool, Fault: FaultOf(syntax, tool)))
                .Where(one => one.Fault is not null && !one.Tool.Strict).ToArray();
            // Each is sound, and all are too many for a grammar.
            if (faults.Length == 0 && tools.All(tool => !tool.Strict))
                faults = [.. tools.Select(tool => (tool, (SchemaException?)together))];
            if (faults.Length == 0)
                throw;
            odd = [.. faults.Select(one => $"{one.Tool.Place}: {one.Fault!.Message}")];
            return Build(syntax, tools, parallel, afterTrigger, faults.Select(one => one.Tool.Name).ToHashSet());
        }
    }

    private static Grammar Build(
        ToolCallSyntax syntax, IReadOnlyList<ToolDefinition> tools, bool parallel, bool afterTrigger, IReadOnlyCollection<string> free)
    {
        try
        {
            return new ToolCallConstraint(syntax, free).Build(tools, parallel && syntax.Separator is not null, afterTrigger);
        }
        catch (SchemaException)
        {
            // The rules of all tools are one grammar: which of them is at fault shows where each stands alone.
            foreach (var tool in tools.Where(tool => !free.Contains(tool.Name)))
            {
                if (FaultOf(syntax, tool) is { } fault)
                    throw new SchemaException(fault.Pointer, fault.Problem) { Place = tool.Place };
            }
            throw;
        }
    }

    private static SchemaException? FaultOf(ToolCallSyntax syntax, ToolDefinition tool)
    {
        try
        {
            new ToolCallConstraint(syntax, []).Build([tool], parallel: false, afterTrigger: false);
            return null;
        }
        catch (SchemaException e)
        {
            return e;
        }
    }

    private Grammar Build(IReadOnlyList<ToolDefinition> tools, bool parallel, bool afterTrigger)
    {
        var calls = Rule("call", index => Choice(tools.Select(tool => Call(tool, index, _syntax.CallBegin))));
        var begin = _syntax.SectionBegin + _syntax.CallBegin;
        // The trigger is a prefix of the text before the first call.
        var first = afterTrigger
            ? _builder.Rule("first-call", Choice(tools.Select(tool => Call(tool, 0, begin[_syntax.Trigger.Length..].TrimStart()))))
            : Sequence(Text(_syntax.SectionBegin, null, 0), calls(0));
        var more = parallel
            ? _builder.Repeat(_builder.Rule("next-call", Sequence(Text(_syntax.Separator!, null, 1), calls(1))), 0, MostCalls - 1)
            : Fragment.Empty;
        return _builder.Build(Sequence(first, more, Text(_syntax.SectionEnd, null, 0)));
    }

    private Func<int, Fragment> Rule(string name, Func<int, Fragment> make)
    {
        var made = new Dictionary<int, Fragment>();
        return index => made.TryGetValue(index, out var rule) ? rule : made[index] = _builder.Rule(name, make(index));
    }

    private Fragment Call(ToolDefinition tool, int index, string begin) => _builder.Rule($"{tool.Name}-call", Sequence(
        Text(begin, tool.Name, index), Literal(tool.Name), Text(_syntax.AfterName, tool.Name, index),
        _syntax.Style == ToolCallStyle.Parameters ? Parameters(tool) : _arguments.Arguments(tool),
        Text(_syntax.CallEnd, tool.Name, index)));

    // A text of the syntax, with its placeholders replaced.
    private Fragment Text(string text, string? name, int index)
    {
        var parts = new List<Fragment>();
        var from = 0;
        for (var i = 0; i <= text.Length; i++)
        {
            if (i < text.Length && text[i] is not (>= ToolCallSyntax.IdHole and <= ToolCallSyntax.KeyHole))
                continue;
            parts.Add(Literal(text[from..i]));
            if (i < text.Length)
                parts.Add(Hole(text[i], name, index));
            from = i + 1;
        }
        return Sequence(parts);
    }

    private Fragment Hole(char hole, string? name, int index) => hole switch
    {
        ToolCallSyntax.IdHole => _builder.Repeat(OneOf(CharacterSet.Of(('a', 'z'), ('A', 'Z'), ('0', '9'))), 9, 9),
        // Templates number calls from 0 or from 1; both are allowed for the first.
        ToolCallSyntax.IndexHole => index == 0 ? OneOf(CharacterSet.Of(('0', '1'))) : _builder.Repeat(JsonRules.Digit, 1, 2),
        _ => name is null ? Fragment.Empty : Literal(name),
    };

    private Fragment Parameters(ToolDefinition tool)
    {
        var schema = tool.Parameters;
        if (schema.ValueKind != JsonValueKind.Object || !schema.TryGetProperty("properties", out var properties)
            || properties.ValueKind == JsonValueKind.Null)
        {
            return Fragment.Empty;
        }
        if (properties.ValueKind != JsonValueKind.Object)
        {
            return _free.Contains(tool.Name)
                ? Fragment.Empty
                : throw new SchemaException("", "properties must be an object of schemas");
        }

        var required = schema.TryGetProperty("required", out var names) && names.ValueKind == JsonValueKind.Array
            ? names.EnumerateArray().Where(name => name.ValueKind == JsonValueKind.String).Select(name => name.GetString()!).ToHashSet()
            : [];
        var references = new SchemaReferences(schema);
        var all = properties.EnumerateObject()
            .Select(property => (property.Name, Fragment: Parameter(tool, property, references))).ToArray();
        // In the schema's order, with a separator before each parameter but the first one present.
        var rest = Fragment.Empty;
        var restAfterOne = Fragment.Empty;
        for (var i = all.Length - 1; i >= 0; i--)
        {
            var (name, parameter) = all[i];
            var separated = Sequence(Literal(_syntax.ParameterSeparator), parameter, restAfterOne);
            var alone = Sequence(parameter, restAfterOne);
            var optional = !required.Contains(name);
            rest = _builder.Rule("parameters", optional ? Choice(alone, rest) : alone);
            restAfterOne = _builder.Rule("more-parameters", optional ? Choice(separated, restAfterOne) : separated);
        }
        return rest;
    }

    private Fragment Parameter(ToolDefinition tool, JsonProperty property, SchemaReferences references)
    {
        var type = property.Value.ValueKind == JsonValueKind.Object && property.Value.TryGetProperty("type", out var named)
            && named.ValueKind == JsonValueKind.String ? named.GetString()! : "object";
        var isText = type == "string";
        var value = isText
            ? Text(property.Value)
            : _free.Contains(tool.Name) ? _arguments.Json.Value
            : SchemaCompiler.Compile(_builder, _arguments.Json,
                new SchemaNode(tool.Parameters, "").Child(property.Value, "properties", property.Name), references,
                $"{tool.Name}-{property.Name}", new SchemaOptions { LeaveOutInexpressible = !tool.Strict }, out _);
        var afterKey = isText
            ? _syntax.AfterKey
            : _syntax.AfterKeyOfJson.Replace($"{ToolCallSyntax.IdHole}", WordOf(type), StringComparison.Ordinal);
        return _builder.Rule($"{tool.Name}-{property.Name}-parameter", Sequence(
            Literal(_syntax.ParameterBegin + property.Name + Keyed(afterKey, property.Name)), value,
            Literal(Keyed(isText ? _syntax.ParameterEnd : _syntax.ParameterEndOfJson, property.Name))));
    }

    private static string Keyed(string text, string key) => text.Replace($"{ToolCallSyntax.KeyHole}", key, StringComparison.Ordinal);

    // Templates write the type's name, or whether the value is a string.
    private string WordOf(string type) => _syntax.AfterKey.Contains("true", StringComparison.Ordinal)
        ? "false"
        : type == "integer" ? "number" : type;

    // Text without the first two characters of its terminator: stricter than needed, never too lax.
    private Fragment Text(JsonElement schema)
    {
        if (schema.TryGetProperty("enum", out var values) && values.ValueKind == JsonValueKind.Array && values.GetArrayLength() > 0
            && values.EnumerateArray().All(value => value.ValueKind == JsonValueKind.String))
        {
            return Choice(values.EnumerateArray().Select(value => Literal(value.GetString()!)));
        }

        var end = (_syntax.ParameterEnd + _syntax.ParameterSeparator + _syntax.CallEnd).Trim();
        if (end.Length == 0)
            return _builder.Repeat(OneOf(CharacterSet.Plain), 0, null);
        var notFirst = OneOf(CharacterSet.Of((end[0], end[0])).Inverted());
        if (end.Length == 1)
            return _builder.Repeat(notFirst, 0, null);
        var neither = OneOf(CharacterSet.Of((end[0], end[0]), (end[1], end[1])).Inverted());
        return _builder.Repeat(_builder.SharedRule("text-character", Choice(notFirst, Sequence(Literal($"{end[0]}"), neither))), 0, null);
    }
}

/// <summary>Grammars of the arguments of tools, by their JSON schemas.</summary>
/// <param name="builder">The grammar to add to.</param>
/// <param name="free">The names of tools that take any arguments, because their schemas say nothing of use.</param>
internal sealed class ToolArguments(GrammarBuilder builder, IReadOnlyCollection<string>? free = null)
{
    private readonly List<string> _leftOut = [];
    private readonly Dictionary<string, Fragment> _arguments = [];

    /// <summary>The rules of JSON's own syntax.</summary>
    public JsonRules Json { get; } = new(builder);

    /// <summary>Keywords of non-strict tools' schemas that a grammar cannot express and that are not enforced.</summary>
    public IReadOnlyList<string> LeftOut => _leftOut;

    /// <summary>
    /// The arguments of a tool: always an object. Throws <see cref="SchemaException"/> where the schema is invalid or, for a strict tool, a
    /// grammar cannot express it.
    /// </summary>
    public Fragment Arguments(ToolDefinition tool)
    {
        if (_arguments.TryGetValue(tool.Name, out var known))
            return known;
        if (tool.Parameters.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null)
            return _arguments[tool.Name] = Literal("{}");
        if (free?.Contains(tool.Name) == true)
            return _arguments[tool.Name] = Json.Object;
        var options = new SchemaOptions { Strict = tool.Strict, LeaveOutInexpressible = !tool.Strict };
        var rule = SchemaCompiler.Compile(builder, Json, tool.Parameters, $"{tool.Name}-arguments",
            options, out var leftOut, objectsOnly: true);
        _leftOut.AddRange(leftOut.Select(left => $"{tool.Name}{left}"));
        return _arguments[tool.Name] = rule;
    }
}
