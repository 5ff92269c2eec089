using System.Globalization;
using System.Text.Json;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>A schema inside a schema document, with the JSON pointer to it.</summary>
internal readonly record struct SchemaNode(JsonElement Element, string Pointer)
{
    /// <summary>The schema <c>true</c>, or one that says nothing.</summary>
    public bool AllowsAll => Element.ValueKind == JsonValueKind.True || (Element.ValueKind == JsonValueKind.Object && Element.GetPropertyCount() == 0);

    /// <summary>The schema <c>false</c>.</summary>
    public bool AllowsNone => Element.ValueKind == JsonValueKind.False;

    /// <summary>A value below this one, by its key.</summary>
    public SchemaNode Child(JsonElement value, params ReadOnlySpan<string> keys)
    {
        var pointer = Pointer;
        foreach (var key in keys)
            pointer += "/" + key.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal);
        return new SchemaNode(value, pointer);
    }

    /// <summary>The schemas of an array that stands under a keyword.</summary>
    public IReadOnlyList<SchemaNode> Children(string keyword, JsonElement array)
    {
        if (array.ValueKind != JsonValueKind.Array)
            throw Fault(keyword, "must be an array of schemas");
        var node = this;
        return [.. array.EnumerateArray().Select((child, i) => node.Child(child, keyword, i.ToString(CultureInfo.InvariantCulture)))];
    }

    /// <summary>What is wrong with a keyword here.</summary>
    public SchemaException Fault(string keyword, string problem) => new(Pointer, $"{keyword} {problem}");

    /// <summary>A whole number of at least 0 that stands under a keyword; beyond what an int holds, the largest int.</summary>
    public int Count(string keyword, JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var count) && count >= 0 && count == Math.Floor(count))
            return (int)Math.Min(count, int.MaxValue);
        throw Fault(keyword, "must be a whole number of at least 0");
    }

    /// <summary>A truth value that stands under a keyword.</summary>
    public bool Flag(string keyword, JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Fault(keyword, "must be true or false"),
    };

    /// <summary>A text that stands under a keyword.</summary>
    public string Text(string keyword, JsonElement value) =>
        value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Fault(keyword, "must be a string");
}

/// <summary>JSON Schema's types. A whole number is a number too.</summary>
[Flags]
internal enum JsonTypes
{
    None = 0,
    Null = 1,
    Boolean = 2,

    /// <summary>Whole numbers.</summary>
    Integer = 4,

    /// <summary>Numbers that are not whole.</summary>
    Fraction = 8,
    Number = Integer | Fraction,
    String = 16,
    Array = 32,
    Object = 64,
    All = Null | Boolean | Number | String | Array | Object,
}

/// <summary>Types by name and of values.</summary>
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

    /// <summary>The type of a value; 1.0 is a whole number.</summary>
    public static JsonTypes Of(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null => JsonTypes.Null,
        JsonValueKind.True or JsonValueKind.False => JsonTypes.Boolean,
        JsonValueKind.String => JsonTypes.String,
        JsonValueKind.Array => JsonTypes.Array,
        JsonValueKind.Object => JsonTypes.Object,
        _ => value.TryGetDouble(out var number) && number == Math.Floor(number) ? JsonTypes.Integer : JsonTypes.Fraction,
    };

    private static JsonTypes One(SchemaNode node, JsonElement name) => (name.ValueKind == JsonValueKind.String ? name.GetString() : null) switch
    {
        "null" => JsonTypes.Null,
        "boolean" => JsonTypes.Boolean,
        "integer" => JsonTypes.Integer,
        "number" => JsonTypes.Number,
        "string" => JsonTypes.String,
        "array" => JsonTypes.Array,
        "object" => JsonTypes.Object,
        _ => throw node.Fault("type", "must be 'null', 'boolean', 'integer', 'number', 'string', 'array', 'object', or an array of these"),
    };
}

/// <summary>Finds what <c>$ref</c> points to: JSON pointers (RFC 6901) into the same document, nothing is fetched.</summary>
internal sealed class SchemaReferences(JsonElement document)
{
    private readonly Dictionary<string, SchemaNode> _known = [];

    /// <summary>The schema that a node's reference names; throws <see cref="SchemaException"/> where there is none.</summary>
    public SchemaNode Resolve(SchemaNode from, string reference)
    {
        if (_known.TryGetValue(reference, out var known))
            return known;
        if (reference is not ("" or "#") && !reference.StartsWith("#/", StringComparison.Ordinal))
            throw from.Fault("$ref", $"'{reference}' is not a JSON pointer into this schema, such as #/$defs/name");
        var node = new SchemaNode(document, "");
        foreach (var part in reference.Split('/').Skip(1))
        {
            var key = Uri.UnescapeDataString(part).Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal);
            var found = node.Element.ValueKind switch
            {
                JsonValueKind.Object when node.Element.TryGetProperty(key, out var child) => child,
                JsonValueKind.Array when int.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out var i)
                    && i < node.Element.GetArrayLength() => node.Element[i],
                _ => throw from.Fault("$ref", $"'{reference}' points to nothing"),
            };
            node = node.Child(found, key);
        }
        _known.Add(reference, node);
        return node;
    }
}
