using System.Text.Json;
using static Shimmy.Chat.Grammars.GrammarBuilder;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>
/// Compiles JSON Schema to GBNF.
///
/// <code>
///   conjunction of schemas ─► cases (SchemaNormalizer) ─► one alternative for each type of each case ─► a rule
///        ▲                                                              │
///        └─────────── schemas of properties and items ◄─────────────────┘  (queued, so that no schema nests too deep)
/// </code>
///
/// Every text that the grammar matches is valid under the schema, but not the reverse: properties come in the schema's order, additional
/// ones only where the schema mentions them or names none, numbers have bounded digits. Keywords that a grammar cannot express are refused
/// or left out, as <see cref="SchemaOptions"/> say.
/// </summary>
internal sealed class SchemaCompiler
{
    private readonly GrammarBuilder _builder;
    private readonly SchemaOptions _options;
    private readonly SchemaNode _root;
    private readonly SchemaNormalizer _cases;
    private readonly List<string> _leftOut = [];
    private readonly Dictionary<string, Fragment> _rules = [];
    private readonly Queue<(IReadOnlyList<SchemaNode> Together, Fragment Rule)> _waiting = [];

    private SchemaCompiler(GrammarBuilder builder, JsonRules json, SchemaNode root, SchemaReferences references, SchemaOptions options)
    {
        _builder = builder;
        _options = options;
        _root = root;
        _cases = new SchemaNormalizer(references, options, _leftOut);
        Json = json;
    }

    /// <summary>The rules of JSON's own syntax.</summary>
    public JsonRules Json { get; }

    /// <summary>
    /// Adds a schema to a grammar and gives the rule that matches its values. Throws <see cref="SchemaException"/> where the schema is
    /// invalid or a grammar cannot express it. <paramref name="leftOut"/> gets the keywords that were left out, where the options allow
    /// that: the grammar takes values that break them.
    /// </summary>
    public static Fragment Compile(
        GrammarBuilder builder, JsonRules json, JsonElement schema, string name, SchemaOptions options,
        out IReadOnlyList<string> leftOut, bool objectsOnly = false)
    {
        if (options.Strict)
            StrictRules.Check(schema);
        return Compile(builder, json, new SchemaNode(schema, ""), new SchemaReferences(schema), name, options, out leftOut, objectsOnly);
    }

    /// <summary>The same for a schema inside a document, into all of which its references may point.</summary>
    public static Fragment Compile(
        GrammarBuilder builder, JsonRules json, SchemaNode root, SchemaReferences references, string name, SchemaOptions options,
        out IReadOnlyList<string> leftOut, bool objectsOnly = false)
    {
        var compiler = new SchemaCompiler(builder, json, root, references, options);
        leftOut = compiler._leftOut;
        try
        {
            return compiler.Run(name, objectsOnly);
        }
        catch (InvalidOperationException e)
        {
            // System.Text.Json throws this for a string with an unpaired surrogate, and only when the string is read.
            throw new SchemaException("", $"the schema has a string that is not valid Unicode ({e.Message.TrimEnd('.')})");
        }
    }

    /// <summary>The rule of the values that satisfy all these schemas; <see cref="Fragment.Nothing"/> where one is <c>false</c>.</summary>
    public Fragment Value(IReadOnlyList<SchemaNode> together, string name)
    {
        if (together.Any(node => node.AllowsNone))
            return Fragment.Nothing;
        var all = together.Where(node => !node.AllowsAll).DistinctBy(node => node.Pointer).ToArray();
        if (all.Length == 0)
            return Json.Value;
        var key = string.Join(' ', all.Select(node => node.Pointer));
        if (_rules.TryGetValue(key, out var rule))
            return rule;
        rule = _builder.Reserve(name);
        _rules.Add(key, rule);
        _builder.RequireEnd(rule, all[0].Pointer);
        _waiting.Enqueue((all, rule));
        return rule;
    }

    /// <summary>Refuses a keyword that a grammar cannot express, or leaves it out where the options allow that.</summary>
    public void Refuse(string pointer, string problem) => _cases.Refuse(pointer, problem);

    private Fragment Run(string name, bool objectsOnly)
    {
        List<SchemaNode> root = [_root];
        if (objectsOnly)
            root.Add(new SchemaNode(Object, "/(an object)"));
        var result = Value(root, name);
        while (_waiting.TryDequeue(out var next))
        {
            var (together, rule) = next;
            var fragment = Choice(_cases.Of(together).Select(one => CaseOf(one, rule.Text)));
            if (fragment.IsNothing)
                throw new SchemaException(together[0].Pointer, "no value satisfies this schema");
            _builder.Define(rule, fragment);
        }
        if (result.IsNothing)
            throw new SchemaException("", "no value satisfies this schema");
        return result;
    }

    private Fragment CaseOf(SchemaCase one, string name)
    {
        foreach (var (types, pointer, problem) in one.Inexpressible)
        {
            if ((types & one.Meant) != 0)
                Refuse(pointer, problem);
        }
        if (one.Values is not null)
            return ValueGrammar.Of(this, one);
        var meant = one.Meant;
        if (meant == JsonTypes.All && one.Spoken == JsonTypes.None)
            return Json.Value;
        return Choice(
            Of(JsonTypes.Object, () => ObjectGrammar.Of(_builder, this, one, name)),
            Of(JsonTypes.Array, () => ArrayGrammar.Of(_builder, this, one, name)),
            Of(JsonTypes.String, () => StringGrammar.Of(_builder, this, one)),
            NumberOf(one, meant),
            Of(JsonTypes.Boolean, () => Json.Boolean),
            Of(JsonTypes.Null, () => JsonRules.Null));

        Fragment Of(JsonTypes type, Func<Fragment> make) => (meant & type) != 0 ? make() : Fragment.Nothing;
    }

    private Fragment NumberOf(SchemaCase one, JsonTypes types)
    {
        types &= JsonTypes.Number;
        if (types == JsonTypes.None)
            return Fragment.Nothing;
        if (types == JsonTypes.Integer && WholeNumberRange.TryMultiples(one.Steps, one.Bounds, out var multiples))
            return multiples;
        foreach (var step in one.Steps)
        {
            if (types == JsonTypes.Integer && WholeNumberRange.TakesAll(step))
                continue;
            const string problem = "multipleOf cannot be expressed by a grammar; use an integer between bounds, or an enum";
            if (_options.LeaveOutMultiples)
                _cases.LeaveOut(step.Pointer, problem);
            else
                Refuse(step.Pointer, problem);
        }
        return types == JsonTypes.Integer
            ? one.Bounds.IsOpen ? Json.Integer : WholeNumberRange.Of(_builder, one.Bounds.LeastWhole, one.Bounds.GreatestWhole)
            : one.Bounds.IsOpen ? Json.Number : DecimalRange.Of(_builder, one.Bounds);
    }

    private static readonly JsonElement Object = JsonElement.Parse("{\"type\":\"object\"}"u8);
}

/// <summary>How a schema is compiled.</summary>
internal sealed record SchemaOptions
{
    /// <summary>Check the schema against OpenAI's rules for <c>strict</c>: see <see cref="StrictRules"/>.</summary>
    public bool Strict { get; init; }

    /// <summary>
    /// Leave out keywords that a grammar cannot express instead of refusing them, and list them in the compiler's
    /// result: for parameters of tools that are not strict. An invalid schema is refused all the same.
    /// </summary>
    public bool LeaveOutInexpressible { get; init; }

    /// <summary>
    /// Leave out <c>multipleOf</c> where a grammar cannot express it, and list it: OpenAI's strict mode has it. For answers that are
    /// checked when they are finished.
    /// </summary>
    public bool LeaveOutMultiples { get; init; }
}
