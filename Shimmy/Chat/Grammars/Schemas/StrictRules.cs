using System.Text.Json;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>
/// OpenAI's rules for a schema with <c>strict: true</c> ("Structured outputs", supported schemas): the root is an object without anyOf, and
/// every object has <c>additionalProperties: false</c> and requires all its properties.
/// </summary>
internal static class StrictRules
{
    private static readonly string[] Maps = ["properties", "$defs", "definitions"];
    private static readonly string[] Lists = ["anyOf", "oneOf", "allOf", "prefixItems"];
    private static readonly string[] Schemas = ["items", "additionalProperties", "not"];

    /// <summary>Throws <see cref="SchemaException"/> with the pointer to a schema that breaks a rule.</summary>
    public static void Check(JsonElement schema)
    {
        var root = new SchemaNode(schema, "");
        if (schema.ValueKind != JsonValueKind.Object)
            throw new SchemaException("", "strict mode needs an object schema at the root");
        if (root.Has("anyOf", out _))
            throw root.Fault("anyOf", "is not allowed at the root in strict mode");
        if (!root.Has("$ref", out _)
            && !(root.Has("type", out var type) && type.ValueKind == JsonValueKind.String && type.ValueEquals("object")))
        {
            throw root.Fault("type", "must be 'object' at the root in strict mode");
        }
        // An explicit stack instead of recursion: clients decide how deep a schema nests.
        var left = new Stack<SchemaNode>([root]);
        while (left.TryPop(out var node))
        {
            if (node.Element.ValueKind != JsonValueKind.Object)
                continue;
            CheckObject(node);
            foreach (var keyword in Maps)
            {
                if (!node.Has(keyword, out var map))
                    continue;
                foreach (var member in SchemaKeywords.Members(node, keyword, map))
                    left.Push(node.Child(member.Value, keyword, member.Name));
            }
            foreach (var keyword in Lists)
            {
                if (!node.Has(keyword, out var list))
                    continue;
                foreach (var child in node.Children(keyword, list))
                    left.Push(child);
            }
            foreach (var keyword in Schemas)
            {
                if (node.Has(keyword, out var child))
                    left.Push(node.Child(child, keyword));
            }
        }
    }

    private static void CheckObject(SchemaNode node)
    {
        var isObject = node.Has("type", out var type)
            && (JsonTypesReader.Read(node, type) & JsonTypes.Object) != 0;
        var hasProperties = node.Has("properties", out var properties);
        if (!isObject && !hasProperties)
            return;
        if (!node.Has("additionalProperties", out var additional) || additional.ValueKind != JsonValueKind.False)
            throw node.Fault("additionalProperties", "must be given and be false in strict mode");
        if (!hasProperties)
            return;
        var required = node.Has("required", out var names) && names.ValueKind == JsonValueKind.Array
            ? names.EnumerateArray().Where(name => name.ValueKind == JsonValueKind.String).Select(name => name.GetString()!).ToHashSet()
            : [];
        foreach (var property in SchemaKeywords.Members(node, "properties", properties))
        {
            if (!required.Contains(property.Name))
                throw node.Fault("required", $"must name every property in strict mode; '{property.Name}' is missing");
        }
    }
}
