using System.Globalization;
using System.Text.Json;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>A subschema, with the JSON pointer to it.</summary>
internal readonly record struct SchemaNode(JsonElement Element, string Pointer)
{
    /// <summary>The schema <c>true</c>, or one without keywords.</summary>
    public bool AllowsAll => Element.ValueKind == JsonValueKind.True
        || (Element.ValueKind == JsonValueKind.Object && Element.GetPropertyCount() == 0);

    /// <summary>The schema <c>false</c>.</summary>
    public bool AllowsNone => Element.ValueKind == JsonValueKind.False;

    /// <summary>The node of a nested value.</summary>
    public SchemaNode Child(JsonElement value, params ReadOnlySpan<string> keys)
    {
        var pointer = Pointer;
        foreach (var key in keys)
            pointer += "/" + key.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal);
        return new SchemaNode(value, pointer);
    }

    /// <summary>Whether the schema has a keyword; null counts as absent.</summary>
    public bool Has(string keyword, out JsonElement value) =>
        Element.TryGetProperty(keyword, out value) && value.ValueKind != JsonValueKind.Null;

    /// <summary>The schemas in a keyword's array.</summary>
    public IReadOnlyList<SchemaNode> Children(string keyword, JsonElement array)
    {
        if (array.ValueKind != JsonValueKind.Array)
            throw Fault(keyword, "must be an array of schemas");
        var node = this;
        return [.. array.EnumerateArray().Select((child, i) => node.Child(child, keyword, i.ToString(CultureInfo.InvariantCulture)))];
    }

    /// <summary>The exception for an invalid keyword of this schema.</summary>
    public SchemaException Fault(string keyword, string problem) => new(Pointer, $"{keyword} {problem}");

    /// <summary>A keyword's value as an integer of at least 0; clamped to the range of int.</summary>
    public int Count(string keyword, JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var count) && count >= 0 && count == Math.Floor(count))
            return (int)Math.Min(count, int.MaxValue);
        throw Fault(keyword, "must be a whole number of at least 0");
    }

    /// <summary>A keyword's value as a boolean.</summary>
    public bool Flag(string keyword, JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Fault(keyword, "must be true or false"),
    };

    /// <summary>A keyword's value as a string.</summary>
    public string Text(string keyword, JsonElement value) =>
        value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Fault(keyword, "must be a string");
}

/// <summary>JSON Schema's types. <c>integer</c> is part of <c>number</c>.</summary>
[Flags]
internal enum JsonTypes
{
    None = 0,
    Null = 1,
    Boolean = 2,

    /// <summary>Integers.</summary>
    Integer = 4,

    /// <summary>Numbers that are not integers.</summary>
    Fraction = 8,
    Number = Integer | Fraction,
    String = 16,
    Array = 32,
    Object = 64,
    All = Null | Boolean | Number | String | Array | Object,
}

/// <summary>Reads types from the keyword <c>type</c> and from values.</summary>
internal static class JsonTypesReader
{
    /// <summary>Reads the keyword <c>type</c>.</summary>
    public static JsonTypes Read(SchemaNode node, JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Array)
            return One(node, value);
        var types = JsonTypes.None;
        foreach (var type in value.EnumerateArray())
            types |= One(node, type);
        return types;
    }

    /// <summary>The type of a value; 1.0 is an integer.</summary>
    public static JsonTypes Of(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null => JsonTypes.Null,
        JsonValueKind.True or JsonValueKind.False => JsonTypes.Boolean,
        JsonValueKind.String => JsonTypes.String,
        JsonValueKind.Array => JsonTypes.Array,
        JsonValueKind.Object => JsonTypes.Object,
        _ => value.TryGetDouble(out var number) && number == Math.Floor(number) ? JsonTypes.Integer : JsonTypes.Fraction,
    };

    private static JsonTypes One(SchemaNode node, JsonElement name) =>
        (name.ValueKind == JsonValueKind.String ? name.GetString() : null) switch
        {
            "null" => JsonTypes.Null,
            "boolean" => JsonTypes.Boolean,
            "integer" => JsonTypes.Integer,
            "number" => JsonTypes.Number,
            "string" => JsonTypes.String,
            "array" => JsonTypes.Array,
            "object" => JsonTypes.Object,
            _ => throw node.Fault("type",
                "must be 'null', 'boolean', 'integer', 'number', 'string', 'array', 'object', or an array of these"),
        };
}

/// <summary>Resolves <c>$ref</c>: JSON pointers (RFC 6901) into the same document; nothing is fetched.</summary>
internal sealed class SchemaReferences(JsonElement document)
{
    private readonly Dictionary<string, SchemaNode> _known = [];

    /// <summary>The schema that a node's <c>$ref</c> points to. Throws <see cref="SchemaException"/> where there is none.</summary>
    public SchemaNode Resolve(SchemaNode from, string reference)
    {
        if (_known.TryGetValue(reference, out var known))
            return known;
        if (reference is not ("" or "#") && !reference.StartsWith("#/", StringComparison.Ordinal))
            throw from.Fault("$ref", $"'{reference}' is not a JSON pointer into this schema, such as #/$defs/name");
        var node = new SchemaNode(document, "");
        foreach (var part in reference.Split('/').Skip(1))
        {
            var key = Uri.UnescapeDataString(part).Replace("~1", "/", StringComparison.Ordinal)
                .Replace("~0", "~", StringComparison.Ordinal);
            var found = node.Element.ValueKind switch
            {
                JsonValueKind.Object when node.Element.TryGetProperty(key, out var child) => child,
                JsonValueKind.Array when int.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out var i)
                    && i < node.Element.GetArrayLength() => node.Element[i],
                _ => throw from.Fault("$ref", $"'{reference}' cannot be resolved"),
            };
            node = node.Child(found, key);
        }
        _known.Add(reference, node);
        return node;
    }
}
