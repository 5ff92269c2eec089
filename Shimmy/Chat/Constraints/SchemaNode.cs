using System.Globalization;
using System.Text.Json;

namespace Shimmy.Chat.Constraints;

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
