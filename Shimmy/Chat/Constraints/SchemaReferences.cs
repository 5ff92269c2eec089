using System.Globalization;
using System.Text.Json;

namespace Shimmy.Chat.Constraints;

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
