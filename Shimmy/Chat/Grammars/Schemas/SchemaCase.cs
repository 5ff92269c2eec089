using System.Text.Json;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>
/// One alternative of a normalized schema: the conjunction of several schemas' keywords, with references, <c>allOf</c>, <c>anyOf</c> and
/// <c>oneOf</c> resolved. Filled by <see cref="SchemaKeywords"/>.
/// </summary>
internal sealed class SchemaCase(string pointer)
{
    /// <summary>JSON pointer to the schema, for errors.</summary>
    public string Pointer { get; } = pointer;

    /// <summary>Types that a value may have.</summary>
    public JsonTypes Types { get; set; } = JsonTypes.All;

    /// <summary>The values of <c>enum</c> and <c>const</c>; null where any is allowed.</summary>
    public List<JsonElement>? Values { get; set; }

    /// <summary>Bounds of numbers.</summary>
    public NumberBounds Bounds { get; set; }

    /// <summary>What a number must be a multiple of, with the pointers to the schemas that say it.</summary>
    public List<SchemaNode> Steps { get; } = [];

    /// <summary>Minimum length of a string in characters.</summary>
    public int MinLength { get; set; }

    /// <summary>Maximum length of a string in characters; null is unbounded.</summary>
    public int? MaxLength { get; set; }

    /// <summary>Patterns and formats that a string must match.</summary>
    public List<StringShape> Shapes { get; } = [];

    /// <summary>Each schema's keywords about an object's properties.</summary>
    public List<ObjectRules> Objects { get; } = [];

    /// <summary>Names of required properties.</summary>
    public List<string> Required { get; } = [];

    /// <summary>Minimum number of properties.</summary>
    public int MinProperties { get; set; }

    /// <summary>Maximum number of properties; null is unbounded.</summary>
    public int? MaxProperties { get; set; }

    /// <summary>Each schema's keywords about an array's items.</summary>
    public List<ArrayRules> Arrays { get; } = [];

    /// <summary>Minimum number of items.</summary>
    public int MinItems { get; set; }

    /// <summary>Maximum number of items; null is unbounded.</summary>
    public int? MaxItems { get; set; }

    /// <summary>Types that the keywords apply to: they are meant where no <c>type</c> is given.</summary>
    public JsonTypes Spoken { get; set; }

    /// <summary>
    /// The types that the grammar allows: those of <c>type</c>; without it, those that the keywords apply to, since <c>properties</c> means
    /// an object to its author.
    /// </summary>
    public JsonTypes Meant => Values is null && Types == JsonTypes.All && Spoken != JsonTypes.None ? Spoken : Possible;

    /// <summary>The types that a value which satisfies the case may have.</summary>
    public JsonTypes Possible =>
        Values is { } values ? values.Aggregate(JsonTypes.None, (types, value) => types | JsonTypesReader.Of(value)) & Types : Types;

    /// <summary>Keywords that a grammar cannot express, with the types that they apply to.</summary>
    public List<Inexpressible> Inexpressible { get; } = [];
}

/// <summary>Keywords of one schema about an object.</summary>
/// <param name="Properties">Named properties, in the schema's order.</param>
/// <param name="Additional">The schema of additional properties; null where not given.</param>
internal sealed record ObjectRules(OrderedDictionary<string, SchemaNode> Properties, SchemaNode? Additional);

/// <summary>Keywords of one schema about an array.</summary>
/// <param name="Prefix">Schemas of the first items.</param>
/// <param name="Items">The schema of further items; null where not given.</param>
internal sealed record ArrayRules(IReadOnlyList<SchemaNode> Prefix, SchemaNode? Items);

/// <summary>A pattern or format of a string.</summary>
/// <param name="Keyword"><c>pattern</c> or <c>format</c>.</param>
/// <param name="Value">The pattern, or the format's name.</param>
/// <param name="Pointer">JSON pointer to the schema that has it.</param>
internal readonly record struct StringShape(string Keyword, string Value, string Pointer);

/// <summary>A keyword that a grammar cannot express.</summary>
/// <param name="Types">The types that it applies to.</param>
/// <param name="Pointer">JSON pointer to the schema that has it.</param>
/// <param name="Problem">The keyword and the reason.</param>
internal readonly record struct Inexpressible(JsonTypes Types, string Pointer, string Problem);
