using System.Text.Json;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>Proves that two cases have no value in common, so that <c>oneOf</c> can be written as alternatives.</summary>
internal static class SchemaDisjointness
{
    private const int Deepest = 20;

    /// <summary>True where no value satisfies both; false where that cannot be proved.</summary>
    public static bool Excludes(SchemaNormalizer cases, SchemaCase a, SchemaCase b, int depth)
    {
        if (a.Values is { } ones && b.Values is { } others)
            return !ones.Exists(one => others.Exists(other => JsonElement.DeepEquals(one, other)));
        // A value that the grammar writes for one case must not satisfy the other.
        var shared = (a.Meant & b.Possible) | (a.Possible & b.Meant);
        return (shared & JsonTypes.Null) == 0
            && (shared & JsonTypes.Boolean) == 0
            && ((shared & JsonTypes.Number) == 0 || NumbersExclude(a, b))
            && ((shared & JsonTypes.String) == 0 || LengthsExclude(a.MinLength, a.MaxLength, b.MinLength, b.MaxLength))
            && ((shared & JsonTypes.Array) == 0 || LengthsExclude(a.MinItems, a.MaxItems, b.MinItems, b.MaxItems))
            && ((shared & JsonTypes.Object) == 0 || ObjectsExclude(cases, a, b, depth));
    }

    /// <summary>The schemas that apply to a named property: its own, or that of additional properties.</summary>
    public static List<SchemaNode> PropertySchemas(SchemaCase one, string name)
    {
        var schemas = new List<SchemaNode>();
        foreach (var rules in one.Objects)
        {
            if (rules.Properties.TryGetValue(name, out var own))
                schemas.Add(own);
            else if (rules.Additional is { } additional)
                schemas.Add(additional);
        }
        return schemas;
    }

    private static bool NumbersExclude(SchemaCase a, SchemaCase b)
    {
        return Below(a.Bounds, b.Bounds) || Below(b.Bounds, a.Bounds);

        static bool Below(NumberBounds low, NumberBounds high) => low.Maximum is { } most && high.Minimum is { } least
            && (most < least || (most == least && (low.BelowMaximum || high.AboveMinimum)));
    }

    private static bool LengthsExclude(int minA, int? maxA, int minB, int? maxB) => maxA < minB || maxB < minA;

    private static bool ObjectsExclude(SchemaNormalizer cases, SchemaCase a, SchemaCase b, int depth)
    {
        if (LengthsExclude(a.MinProperties, a.MaxProperties, b.MinProperties, b.MaxProperties))
            return true;
        foreach (var name in a.Required.Union(b.Required))
        {
            var inA = PropertySchemas(a, name);
            var inB = PropertySchemas(b, name);
            // One requires what the other forbids; or both require it, with disjoint values.
            if (inA.Exists(schema => schema.AllowsNone) || inB.Exists(schema => schema.AllowsNone))
                return true;
            if (inA.Count == 0 || inB.Count == 0 || depth > Deepest || !a.Required.Contains(name) || !b.Required.Contains(name))
                continue;
            var casesA = cases.Of(inA, depth + 1);
            var casesB = cases.Of(inB, depth + 1);
            if (casesA.TrueForAll(one => casesB.TrueForAll(other => Excludes(cases, one, other, depth + 1))))
                return true;
        }
        return false;
    }
}
