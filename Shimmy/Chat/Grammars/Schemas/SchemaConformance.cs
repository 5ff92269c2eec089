using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>
/// Checks a finished answer against its schema (JSON Schema 2020-12, with draft 7's array form of <c>items</c>): for the keywords that a
/// grammar cannot express. Formats are annotations here, as the specification has it.
/// </summary>
/// <param name="schema">The schema, which outlives the request.</param>
internal sealed class SchemaConformance(JsonElement schema)
{
    private const int Deepest = 200;

    // A pattern of a client's may backtrack for ever.
    private static readonly TimeSpan LongestMatch = TimeSpan.FromMilliseconds(100);

    private readonly SchemaReferences _references = new(schema);
    private readonly Dictionary<string, Regex?> _patterns = [];

    /// <summary>The first fault of an answer, with its place; null where it satisfies the schema.</summary>
    public string? ProblemOf(string answer)
    {
        try
        {
            using var document = JsonDocument.Parse(answer);
            return Check(new SchemaNode(schema, ""), document.RootElement, "", new Seen(), 0);
        }
        catch (Exception e) when (e is JsonException or SchemaException or InvalidOperationException)
        {
            return $"it cannot be checked: {e.Message}";
        }
    }

    // Gives the first problem. What properties and items the schema and its parts speak of is added to what was seen, for unevaluated….
    private string? Check(SchemaNode node, JsonElement value, string at, Seen seen, int depth)
    {
        if (node.AllowsNone)
            return Fault(at, "no value is allowed");
        if (node.Element.ValueKind != JsonValueKind.Object || depth > Deepest)
            return null;
        foreach (var keyword in node.Element.EnumerateObject())
        {
            if (keyword.Value.ValueKind == JsonValueKind.Null && keyword.Name != "const")
                continue;
            var problem = keyword.Name switch
            {
                "type" => (JsonTypesReader.Read(node, keyword.Value) & JsonTypesReader.Of(value)) != 0 || IsNullable(node, value)
                    ? null : Fault(at, $"must be of type {keyword.Value}"),
                "enum" => keyword.Value.EnumerateArray().Any(one => JsonElement.DeepEquals(one, value)) || IsNullable(node, value)
                    ? null : Fault(at, "is not among the values of enum"),
                "const" => JsonElement.DeepEquals(keyword.Value, value) ? null : Fault(at, $"must be {keyword.Value.GetRawText()}"),
                "allOf" => All(node, keyword, value, at, seen, depth),
                "anyOf" => Count(node, keyword, value, seen, depth) > 0 ? null : Fault(at, "satisfies no schema of anyOf"),
                "oneOf" => Count(node, keyword, value, seen, depth) == 1 ? null : Fault(at, "must satisfy exactly one schema of oneOf"),
                "not" => Holds(node.Child(keyword.Value, "not"), value, new Seen(), depth) ? Fault(at, "satisfies not") : null,
                "if" => Conditional(node, keyword.Value, value, at, seen, depth),
                "$ref" => Check(_references.Resolve(node, node.Text("$ref", keyword.Value)), value, at, seen, depth + 1),
                var name => value.ValueKind switch
                {
                    JsonValueKind.Number => OfNumber(node, name, keyword.Value, value, at),
                    JsonValueKind.String => OfText(name, keyword.Value, value, at),
                    JsonValueKind.Array => OfArray(node, name, keyword.Value, value, at, seen, depth),
                    JsonValueKind.Object => OfObject(node, name, keyword.Value, value, at, seen, depth),
                    _ => null,
                },
            };
            if (problem is not null)
                return problem;
        }
        return Unevaluated(node, value, at, seen, depth);
    }

    private string? All(SchemaNode node, JsonProperty keyword, JsonElement value, string at, Seen seen, int depth)
    {
        foreach (var child in node.Children(keyword.Name, keyword.Value))
        {
            if (Check(child, value, at, seen, depth + 1) is { } problem)
                return problem;
        }
        return null;
    }

    private int Count(SchemaNode node, JsonProperty keyword, JsonElement value, Seen seen, int depth) =>
        node.Children(keyword.Name, keyword.Value).Count(child => Holds(child, value, seen, depth));

    // What a schema that does not hold has seen does not count.
    private bool Holds(SchemaNode node, JsonElement value, Seen seen, int depth)
    {
        var own = new Seen();
        if (Check(node, value, "", own, depth + 1) is not null)
            return false;
        seen.Add(own);
        return true;
    }

    private string? Conditional(SchemaNode node, JsonElement test, JsonElement value, string at, Seen seen, int depth)
    {
        var branch = Holds(node.Child(test, "if"), value, seen, depth) ? "then" : "else";
        return node.Element.TryGetProperty(branch, out var schema) ? Check(node.Child(schema, branch), value, at, seen, depth + 1) : null;
    }

    private static string? OfNumber(SchemaNode node, string keyword, JsonElement wanted, JsonElement value, string at)
    {
        var number = value.GetDouble();
        var bound = wanted.ValueKind == JsonValueKind.Number ? wanted.GetDouble() : double.NaN;
        return keyword switch
        {
            "minimum" when number < bound || (number == bound && IsTrue(node, "exclusiveMinimum")) => Fault(at, $"is below {bound}"),
            "maximum" when number > bound || (number == bound && IsTrue(node, "exclusiveMaximum")) => Fault(at, $"is above {bound}"),
            "exclusiveMinimum" when number <= bound => Fault(at, $"is not above {bound}"),
            "exclusiveMaximum" when number >= bound => Fault(at, $"is not below {bound}"),
            "multipleOf" when bound > 0 && !IsMultiple(value, wanted) => Fault(at, $"is not a multiple of {bound}"),
            _ => null,
        };
    }

    /// <summary>Whether a number is a multiple of another, which is above 0.</summary>
    public static bool IsMultiple(JsonElement value, JsonElement of)
    {
        if (value.TryGetDecimal(out var number) && of.TryGetDecimal(out var step) && step > 0)
            return number % step == 0;
        var times = value.GetDouble() / of.GetDouble();
        return Math.Abs(times - Math.Round(times)) < 1e-9;
    }

    private string? OfText(string keyword, JsonElement wanted, JsonElement value, string at) => keyword switch
    {
        "minLength" when Length(value) < wanted.GetDouble() => Fault(at, $"is shorter than {wanted} characters"),
        "maxLength" when Length(value) > wanted.GetDouble() => Fault(at, $"is longer than {wanted} characters"),
        "pattern" when !Matches(wanted.GetString()!, value.GetString()!) => Fault(at, $"does not match the pattern {wanted}"),
        _ => null,
    };

    private string? OfArray(SchemaNode node, string keyword, JsonElement wanted, JsonElement value, string at, Seen seen, int depth)
    {
        var count = value.GetArrayLength();
        switch (keyword)
        {
            case "minItems" when count < wanted.GetDouble():
                return Fault(at, $"has fewer than {wanted} items");
            case "maxItems" when count > wanted.GetDouble():
                return Fault(at, $"has more than {wanted} items");
            case "uniqueItems" when wanted.ValueKind == JsonValueKind.True && !AreUnique(value):
                return Fault(at, "has an item twice");
            case "prefixItems":
            case "items" when wanted.ValueKind == JsonValueKind.Array:
                var prefix = node.Children(keyword, wanted);
                seen.Items = Math.Max(seen.Items, prefix.Count);
                return Each(value, 0, i => i < prefix.Count ? prefix[i] : null, at, depth);
            case "items":
                seen.Items = int.MaxValue;
                return Each(value, PrefixOf(node), _ => node.Child(wanted, keyword), at, depth);
            case "additionalItems" when PrefixOf(node) is > 0 and var from:
                seen.Items = int.MaxValue;
                return Each(value, from, _ => node.Child(wanted, keyword), at, depth);
            case "contains":
                var found = value.EnumerateArray().Count(item => Holds(node.Child(wanted, keyword), item, new Seen(), depth));
                var least = node.Element.TryGetProperty("minContains", out var given) ? given.GetDouble() : 1;
                var most = node.Element.TryGetProperty("maxContains", out given) ? given.GetDouble() : int.MaxValue;
                return found < least || found > most ? Fault(at, $"has {found} items that satisfy contains") : null;
            default:
                return null;
        }
    }

    private string? Each(JsonElement array, int from, Func<int, SchemaNode?> schemaOf, string at, int depth)
    {
        var i = 0;
        foreach (var item in array.EnumerateArray())
        {
            if (i >= from && schemaOf(i) is { } own
                && Check(own, item, string.Create(CultureInfo.InvariantCulture, $"{at}/{i}"), new Seen(), depth + 1) is { } problem)
            {
                return problem;
            }
            i++;
        }
        return null;
    }

    private string? OfObject(SchemaNode node, string keyword, JsonElement wanted, JsonElement value, string at, Seen seen, int depth)
    {
        switch (keyword)
        {
            case "required":
                return wanted.EnumerateArray().FirstOrDefault(name => !value.TryGetProperty(name.GetString()!, out _)) is
                { ValueKind: JsonValueKind.String } missing ? Fault(at, $"has no property '{missing.GetString()}'") : null;
            case "minProperties" when value.GetPropertyCount() < wanted.GetDouble():
                return Fault(at, $"has fewer than {wanted} properties");
            case "maxProperties" when value.GetPropertyCount() > wanted.GetDouble():
                return Fault(at, $"has more than {wanted} properties");
            case "properties":
                return Members(value,
                    member => wanted.TryGetProperty(member.Name, out var own) ? node.Child(own, keyword, member.Name) : null,
                    at, seen, depth);
            case "patternProperties":
                foreach (var pattern in wanted.EnumerateObject())
                {
                    var own = node.Child(pattern.Value, keyword, pattern.Name);
                    if (Members(value, member => Matches(pattern.Name, member.Name) ? own : null, at, seen, depth) is { } problem)
                    {
                        return problem;
                    }
                }
                return null;
            case "additionalProperties":
                return Members(value, member => IsNamed(node, member.Name) ? null : node.Child(wanted, keyword), at, seen, depth);
            case "propertyNames":
                foreach (var member in value.EnumerateObject())
                {
                    using var name = JsonDocument.Parse(JsonRules.Quote(member.Name));
                    if (Check(node.Child(wanted, keyword), name.RootElement, at, new Seen(), depth + 1) is not null)
                        return Fault(at, $"has a property of the name '{member.Name}', which propertyNames does not allow");
                }
                return null;
            case "dependentRequired" or "dependentSchemas" or "dependencies":
                foreach (var one in wanted.EnumerateObject().Where(one => value.TryGetProperty(one.Name, out _)))
                {
                    var problem = one.Value.ValueKind == JsonValueKind.Array
                        ? OfObject(node, "required", one.Value, value, at, seen, depth)
                        : Check(node.Child(one.Value, keyword, one.Name), value, at, seen, depth + 1);
                    if (problem is not null)
                        return problem;
                }
                return null;
            default:
                return null;
        }
    }

    private string? Members(JsonElement value, Func<JsonProperty, SchemaNode?> schemaOf, string at, Seen seen, int depth)
    {
        foreach (var member in value.EnumerateObject())
        {
            if (schemaOf(member) is not { } own)
                continue;
            seen.Properties.Add(member.Name);
            if (Check(own, member.Value, $"{at}/{member.Name}", new Seen(), depth + 1) is { } problem)
                return problem;
        }
        return null;
    }

    private string? Unevaluated(SchemaNode node, JsonElement value, string at, Seen seen, int depth)
    {
        if (value.ValueKind == JsonValueKind.Object && node.Element.TryGetProperty("unevaluatedProperties", out var rest))
        {
            var known = seen.Properties.ToHashSet();
            return Members(value,
                member => known.Contains(member.Name) ? null : node.Child(rest, "unevaluatedProperties"), at, seen, depth);
        }
        return value.ValueKind == JsonValueKind.Array && node.Element.TryGetProperty("unevaluatedItems", out rest)
            ? Each(value, seen.Items, _ => node.Child(rest, "unevaluatedItems"), at, depth)
            : null;
    }

    private bool IsNamed(SchemaNode node, string name) =>
        (node.Element.TryGetProperty("properties", out var properties) && properties.ValueKind == JsonValueKind.Object
            && properties.TryGetProperty(name, out _))
        || (node.Element.TryGetProperty("patternProperties", out var patterns) && patterns.ValueKind == JsonValueKind.Object
            && patterns.EnumerateObject().Any(pattern => Matches(pattern.Name, name)));

    private static int PrefixOf(SchemaNode node) =>
        (node.Element.TryGetProperty("prefixItems", out var prefix) || node.Element.TryGetProperty("items", out prefix))
            && prefix.ValueKind == JsonValueKind.Array ? prefix.GetArrayLength() : 0;

    // A pattern that .NET cannot read either matches everything: it is no reason to complain of an answer.
    private bool Matches(string pattern, string text)
    {
        if (!_patterns.TryGetValue(pattern, out var regex))
        {
            try
            {
                regex = new Regex(pattern, RegexOptions.CultureInvariant, LongestMatch);
            }
            catch (ArgumentException)
            {
                regex = null;
            }
            _patterns.Add(pattern, regex);
        }
        try
        {
            return regex?.IsMatch(text) ?? true;
        }
        catch (RegexMatchTimeoutException)
        {
            return true;
        }
    }

    private static bool AreUnique(JsonElement array)
    {
        var items = array.EnumerateArray().ToArray();
        for (var i = 0; i < items.Length; i++)
        {
            for (var before = 0; before < i; before++)
            {
                if (JsonElement.DeepEquals(items[before], items[i]))
                    return false;
            }
        }
        return true;
    }

    private static int Length(JsonElement text) => text.GetString()!.EnumerateRunes().Count();

    private static bool IsTrue(SchemaNode node, string keyword) =>
        node.Element.TryGetProperty(keyword, out var value) && value.ValueKind == JsonValueKind.True;

    private static bool IsNullable(SchemaNode node, JsonElement value) => value.ValueKind == JsonValueKind.Null && IsTrue(node, "nullable");

    private static string Fault(string at, string problem) => $"{(at.Length == 0 ? "/" : at)} {problem}";

    /// <summary>The properties and items that schemas of one value speak of.</summary>
    private sealed class Seen
    {
        public HashSet<string> Properties { get; } = [];

        public int Items { get; set; }

        public void Add(Seen other)
        {
            Properties.UnionWith(other.Properties);
            Items = Math.Max(Items, other.Items);
        }
    }
}
