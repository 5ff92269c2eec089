using System.Text;
using System.Text.Json;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>The values of <c>enum</c> and <c>const</c> that the other keywords allow.</summary>
internal static class ValueGrammar
{
    private const int MostValues = 10_000;

    /// <summary>The values of a case.</summary>
    public static Fragment Of(SchemaCompiler compiler, SchemaCase one)
    {
        if (one.Values!.Count > MostValues)
            throw new SchemaException(one.Pointer, $"enum has {one.Values.Count} values; at most {MostValues} are allowed");
        var texts = new List<string>();
        foreach (var value in one.Values)
        {
            var type = JsonTypesReader.Of(value);
            if ((type & one.Types) == 0 || !Allows(compiler, one, value, type))
                continue;
            var text = new StringBuilder();
            Write(text, value);
            texts.Add(text.ToString());
        }
        return Literals.AnyOf(texts);
    }

    private static bool Allows(SchemaCompiler compiler, SchemaCase one, JsonElement value, JsonTypes type)
    {
        switch (type)
        {
            case JsonTypes.Integer or JsonTypes.Fraction:
                foreach (var step in one.Steps)
                {
                    if (!SchemaConformance.IsMultiple(value, step.Element))
                        return false;
                }
                return one.Bounds.Contains(value);
            case JsonTypes.String:
                foreach (var shape in one.Shapes)
                    compiler.Refuse(shape.Pointer, $"{shape.Keyword} cannot be combined with enum or const; list the values that match");
                var length = value.GetString()!.EnumerateRunes().Count();
                return length >= one.MinLength && !(length > one.MaxLength);
            case JsonTypes.Object when one.Objects.Count > 0 || one.Required.Count > 0
                || one.MinProperties > 0 || one.MaxProperties is not null:
                compiler.Refuse(one.Pointer, "keywords of objects cannot be combined with an object in enum or const");
                return true;
            case JsonTypes.Array when one.Arrays.Count > 0 || one.MinItems > 0 || one.MaxItems is not null:
                compiler.Refuse(one.Pointer, "keywords of arrays cannot be combined with an array in enum or const");
                return true;
            default:
                return true;
        }
    }

    // Recursion is bounded by the depth limit of the JSON reader.
    private static void Write(StringBuilder text, JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                text.Append('{');
                var firstMember = true;
                foreach (var member in value.EnumerateObject())
                {
                    text.Append(firstMember ? "" : ",").Append(JsonRules.Quote(member.Name)).Append(':');
                    firstMember = false;
                    Write(text, member.Value);
                }
                text.Append('}');
                break;
            case JsonValueKind.Array:
                text.Append('[');
                var first = true;
                foreach (var item in value.EnumerateArray())
                {
                    text.Append(first ? "" : ",");
                    first = false;
                    Write(text, item);
                }
                text.Append(']');
                break;
            case JsonValueKind.String:
                text.Append(JsonRules.Quote(value.GetString()!));
                break;
            default:
                text.Append(value.GetRawText());
                break;
        }
    }
}
