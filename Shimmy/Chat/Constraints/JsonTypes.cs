using System.Text.Json;

namespace Shimmy.Chat.Constraints;

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
