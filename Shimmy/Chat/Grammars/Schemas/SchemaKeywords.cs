using System.Text.Json;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>
/// Reads the keywords of one schema into a case (JSON Schema 2020-12, also draft 7's array form of <c>items</c> and OpenAPI's
/// <c>nullable</c>). Annotations and unknown keywords are ignored, as the specification says.
/// </summary>
internal static class SchemaKeywords
{
    // In the range of decimal, with digits to spare for arithmetic.
    private const decimal LargestBound = 1e26m;

    /// <summary>Adds the schema's keywords to a case.</summary>
    public static void Read(SchemaNode node, SchemaCase into)
    {
        var properties = new OrderedDictionary<string, SchemaNode>();
        SchemaNode? additional = null;
        IReadOnlyList<SchemaNode> prefix = [];
        SchemaNode? items = null;
        SchemaNode? furtherItems = null;
        var types = JsonTypes.All;
        var nullable = false;
        foreach (var keyword in node.Element.EnumerateObject())
        {
            var (name, value) = (keyword.Name, keyword.Value);
            // Generators write null for what they have nothing to say of.
            if (value.ValueKind == JsonValueKind.Null && name != "const")
                continue;
            into.Spoken |= ConcernedTypes(name);
            switch (name)
            {
                case "type":
                    types = JsonTypesReader.Read(node, value);
                    break;
                case "nullable":
                    nullable = node.Flag(name, value);
                    break;
                case "enum":
                    if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() == 0)
                        throw node.Fault(name, "must be an array of at least one value");
                    Allow(into, [.. value.EnumerateArray()]);
                    break;
                case "const":
                    Allow(into, [value]);
                    break;
                case "minimum" or "exclusiveMinimum":
                    if (Bound(node, name, value) is { } least)
                        into.Bounds = into.Bounds.AtLeast(least, name == "exclusiveMinimum");
                    break;
                case "maximum" or "exclusiveMaximum":
                    if (Bound(node, name, value) is { } most)
                        into.Bounds = into.Bounds.AtMost(most, name == "exclusiveMaximum");
                    break;
                case "multipleOf" when value.ValueKind == JsonValueKind.Number && value.GetDouble() > 0:
                    into.Steps.Add(node with { Element = value });
                    break;
                case "minLength":
                    into.MinLength = Math.Max(into.MinLength, node.Count(name, value));
                    break;
                case "maxLength":
                    into.MaxLength = Math.Min(into.MaxLength ?? int.MaxValue, node.Count(name, value));
                    break;
                case "pattern" or "format":
                    Shape(node, name, value, into);
                    break;
                case "properties":
                    foreach (var property in Members(node, name, value))
                        properties[property.Name] = node.Child(property.Value, name, property.Name);
                    break;
                case "required":
                    Require(node, name, value, into);
                    break;
                case "additionalProperties":
                    additional = node.Child(value, name);
                    break;
                case "minProperties":
                    into.MinProperties = Math.Max(into.MinProperties, node.Count(name, value));
                    break;
                case "maxProperties":
                    into.MaxProperties = Math.Min(into.MaxProperties ?? int.MaxValue, node.Count(name, value));
                    break;
                case "prefixItems":
                    prefix = node.Children(name, value);
                    break;
                case "items" when value.ValueKind == JsonValueKind.Array:
                    prefix = node.Children(name, value);
                    break;
                case "items":
                    items = node.Child(value, name);
                    break;
                case "additionalItems":
                    furtherItems = node.Child(value, name);
                    break;
                case "minItems":
                    into.MinItems = Math.Max(into.MinItems, node.Count(name, value));
                    break;
                case "maxItems":
                    into.MaxItems = Math.Min(into.MaxItems ?? int.MaxValue, node.Count(name, value));
                    break;
                default:
                    Refuse(node, name, value, into);
                    break;
            }
        }
        // A grammar cannot tell properties by patterns of their names. Where it leaves the patterns out, it must not forbid what they
        // allow.
        if (node.Element.TryGetProperty("patternProperties", out var patterns) && patterns.ValueKind == JsonValueKind.Object
            && patterns.GetPropertyCount() > 0)
        {
            additional = patterns.GetPropertyCount() == 1 && additional is null or { AllowsNone: true }
                && patterns.EnumerateObject().First() is var only
                ? node.Child(only.Value, "patternProperties", only.Name)
                : null;
        }

        // additionalItems has a meaning only beside the array form of items (draft 7).
        if (prefix.Count > 0)
            items ??= furtherItems;
        into.Types &= nullable ? types | JsonTypes.Null : types;
        if (properties.Count > 0 || additional is not null)
            into.Objects.Add(new ObjectRules(properties, additional));
        if (prefix.Count > 0 || items is not null)
            into.Arrays.Add(new ArrayRules(prefix, items));
    }

    private static void Allow(SchemaCase into, List<JsonElement> values) =>
        into.Values = into.Values?.FindAll(value => values.Exists(other => JsonElement.DeepEquals(value, other))) ?? values;

    // In draft 4 and OpenAPI 3.0, exclusiveMinimum is a boolean beside minimum.
    private static decimal? Bound(SchemaNode node, string keyword, JsonElement value)
    {
        if (value.ValueKind is JsonValueKind.True or JsonValueKind.False && keyword.StartsWith("exclusive", StringComparison.Ordinal))
        {
            var beside = keyword == "exclusiveMinimum" ? "minimum" : "maximum";
            return value.ValueKind == JsonValueKind.True && node.Element.TryGetProperty(beside, out var bound)
                ? Bound(node, beside, bound)
                : null;
        }
        if (value.ValueKind != JsonValueKind.Number)
            throw node.Fault(keyword, "must be a number");
        if (value.TryGetDecimal(out var number) && Math.Abs(number) <= LargestBound)
            return number;
        throw node.Fault(keyword, $"must be a number from -{LargestBound:E0} to {LargestBound:E0}");
    }

    private static void Shape(SchemaNode node, string keyword, JsonElement value, SchemaCase into)
    {
        var shape = new StringShape(keyword, node.Text(keyword, value), node.Pointer);
        // OpenAPI's formats of numbers.
        if (keyword == "format" && shape.Value is "int32" or "int64" or "float" or "double")
        {
            if (shape.Value == "int32")
                into.Bounds = into.Bounds.AtLeast(int.MinValue, excluded: false).AtMost(int.MaxValue, excluded: false);
            else if (shape.Value == "int64")
                into.Bounds = into.Bounds.AtLeast(long.MinValue, excluded: false).AtMost(long.MaxValue, excluded: false);
        }
        else if (!into.Shapes.Exists(other => other.Keyword == keyword && other.Value == shape.Value))
        {
            into.Shapes.Add(shape);
        }
    }

    private static void Require(SchemaNode node, string keyword, JsonElement value, SchemaCase into)
    {
        if (value.ValueKind != JsonValueKind.Array)
            throw node.Fault(keyword, "must be an array of strings");
        var known = new HashSet<string>(into.Required);
        foreach (var name in value.EnumerateArray())
        {
            if (known.Add(node.Text(keyword, name)))
                into.Required.Add(name.GetString()!);
        }
    }

    /// <summary>The members of a keyword's object.</summary>
    public static JsonElement.ObjectEnumerator Members(SchemaNode node, string keyword, JsonElement value) =>
        value.ValueKind == JsonValueKind.Object
        ? value.EnumerateObject()
        : throw node.Fault(keyword, "must be an object of schemas");

    // The types that a keyword applies to: they are meant where a schema has no type.
    private static JsonTypes ConcernedTypes(string keyword) => keyword switch
    {
        "minimum" or "maximum" or "exclusiveMinimum" or "exclusiveMaximum" or "multipleOf" => JsonTypes.Number,
        "minLength" or "maxLength" or "pattern" or "format" => JsonTypes.String,
        "properties" or "required" or "additionalProperties" or "minProperties" or "maxProperties" or "patternProperties" or "propertyNames"
            or "dependentRequired" or "dependentSchemas" or "dependencies" or "unevaluatedProperties" => JsonTypes.Object,
        "items" or "prefixItems" or "minItems" or "maxItems" or "uniqueItems" or "contains"
            or "minContains" or "maxContains" or "unevaluatedItems" => JsonTypes.Array,
        _ => JsonTypes.None,
    };

    private static void Refuse(SchemaNode node, string keyword, JsonElement value, SchemaCase into)
    {
        var harmless = keyword switch
        {
            "multipleOf" => false,
            "not" => false,
            "if" => !node.Has("then", out _) && !node.Has("else", out _),
            "patternProperties" or "dependentRequired" or "dependentSchemas" or "dependencies" =>
                value.ValueKind == JsonValueKind.Object && value.GetPropertyCount() == 0,
            "propertyNames" or "unevaluatedProperties" or "unevaluatedItems" => node.Child(value).AllowsAll,
            "uniqueItems" => value.ValueKind == JsonValueKind.False,
            "contains" => false,
            "$dynamicRef" or "$recursiveRef" => false,
            _ => true,
        };
        if (harmless)
            return;
        var reason = keyword switch
        {
            "multipleOf" => "must be a number above 0",
            "not" => "cannot be expressed by a grammar; say what is allowed instead",
            "if" => "(if, then, else) cannot be expressed by a grammar; use anyOf",
            "patternProperties" or "propertyNames" => "cannot be expressed by a grammar; use properties and additionalProperties",
            "uniqueItems" or "contains" => "cannot be expressed by a grammar; use prefixItems, or leave it out and check the answer",
            "$dynamicRef" or "$recursiveRef" => "is not supported; use $ref",
            _ => "cannot be expressed by a grammar; use anyOf, or leave it out and check the answer",
        };
        var types = ConcernedTypes(keyword);
        into.Inexpressible.Add(new Inexpressible(types == JsonTypes.None ? JsonTypes.All : types, node.Pointer, $"{keyword} {reason}"));
    }
}
