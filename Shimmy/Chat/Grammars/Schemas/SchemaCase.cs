using System.Text.Json;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>
/// One way to satisfy a schema: what several schemas that hold together ask for, with references, <c>allOf</c>, <c>anyOf</c> and
/// <c>oneOf</c> gone. Filled by <see cref="SchemaKeywords"/>.
/// </summary>
internal sealed class SchemaCase(string pointer)
{
    /// <summary>Where the case begins, for errors.</summary>
    public string Pointer { get; } = pointer;

    /// <summary>Types that a value may have.</summary>
    public JsonTypes Types { get; set; } = JsonTypes.All;

    /// <summary>The values allowed, from <c>enum</c> and <c>const</c>; null where any is.</summary>
    public List<JsonElement>? Values { get; set; }

    /// <summary>Bounds of numbers.</summary>
    public NumberBounds Bounds { get; set; }

    /// <summary>Shortest length of a string in characters.</summary>
    public int MinLength { get; set; }

    /// <summary>Longest length of a string in characters; null is without bound.</summary>
    public int? MaxLength { get; set; }

    /// <summary>Patterns that a string must match, <c>format</c> included, and where they stand.</summary>
    public List<StringShape> Shapes { get; } = [];

    /// <summary>What each schema says of an object's properties.</summary>
    public List<ObjectRules> Objects { get; } = [];

    /// <summary>Names of properties that must be there.</summary>
    public List<string> Required { get; } = [];

    /// <summary>Least number of properties.</summary>
    public int MinProperties { get; set; }

    /// <summary>Greatest number of properties; null is without bound.</summary>
    public int? MaxProperties { get; set; }

    /// <summary>What each schema says of an array's items.</summary>
    public List<ArrayRules> Arrays { get; } = [];

    /// <summary>Least number of items.</summary>
    public int MinItems { get; set; }

    /// <summary>Greatest number of items; null is without bound.</summary>
    public int? MaxItems { get; set; }

    /// <summary>Types that the keywords seen speak of: those meant where no <c>type</c> is given.</summary>
    public JsonTypes Spoken { get; set; }

    /// <summary>
    /// The types that answers have: those given; where none are, those that the keywords speak of, since who writes <c>properties</c>
    /// means an object.
    /// </summary>
    public JsonTypes Meant => Values is null && Types == JsonTypes.All && Spoken != JsonTypes.None ? Spoken : Possible;

    /// <summary>The types that a value which satisfies the case may have.</summary>
    public JsonTypes Possible =>
        Values is { } values ? values.Aggregate(JsonTypes.None, (types, value) => types | JsonTypesReader.Of(value)) & Types : Types;

    /// <summary>Keywords that no grammar can express, each for the types that it concerns.</summary>
    public List<Inexpressible> Inexpressible { get; } = [];
}

/// <summary>Keywords of one schema about an object.</summary>
/// <param name="Properties">Named properties in the schema's order.</param>
/// <param name="Additional">The schema of all others; null where it is not said.</param>
internal sealed record ObjectRules(OrderedDictionary<string, SchemaNode> Properties, SchemaNode? Additional);

/// <summary>Keywords of one schema about an array.</summary>
/// <param name="Prefix">Schemas of the first items.</param>
/// <param name="Items">The schema of all further items; null where it is not said.</param>
internal sealed record ArrayRules(IReadOnlyList<SchemaNode> Prefix, SchemaNode? Items);

/// <summary>A shape that a string must have.</summary>
/// <param name="Keyword"><c>pattern</c> or <c>format</c>.</param>
/// <param name="Value">The pattern, or the format's name.</param>
/// <param name="Pointer">Where it stands.</param>
internal readonly record struct StringShape(string Keyword, string Value, string Pointer);

/// <summary>A keyword that no grammar can express.</summary>
/// <param name="Types">The types of values that it concerns.</param>
/// <param name="Pointer">Where it stands.</param>
/// <param name="Problem">The keyword, and why not.</param>
internal readonly record struct Inexpressible(JsonTypes Types, string Pointer, string Problem);
