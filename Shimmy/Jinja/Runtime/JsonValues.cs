using System.Globalization;
using System.Numerics;
using System.Text.Json;

namespace Shimmy.Jinja.Runtime;

/// <summary>Makes values of JSON, as Python's <c>json.loads</c> does.</summary>
internal static class JsonValues
{
    /// <summary>The value of a JSON element.</summary>
    /// <param name="json">The element.</param>
    /// <param name="fromRequest">Whether its texts, keys included, came in with the request.</param>
    public static Value Of(JsonElement json, bool fromRequest = true)
    {
        switch (json.ValueKind)
        {
            case JsonValueKind.String:
                return Text(json.GetString()!);
            case JsonValueKind.Number:
                return Number(json.GetRawText());
            case JsonValueKind.True:
                return BooleanValue.True;
            case JsonValueKind.False:
                return BooleanValue.False;
            case JsonValueKind.Array:
                var items = new Value[json.GetArrayLength()];
                var at = 0;
                foreach (var item in json.EnumerateArray())
                    items[at++] = Of(item, fromRequest);
                return new ListValue(items);
            case JsonValueKind.Object:
                var members = new OrderedDictionary<string, Value>(StringComparer.Ordinal);
                foreach (var member in json.EnumerateObject())
                    members[member.Name] = Of(member.Value, fromRequest);
                return DictionaryValue.OfDistinct([.. members.Select(member =>
                    new KeyValuePair<Value, Value>(Text(member.Key), member.Value))]);
            default:
                return NoneValue.Instance;
        }

        TextValue Text(string text) => fromRequest ? TextValue.FromRequest(text) : TextValue.Own(text);
    }

    private static NumberValue Number(string text) => text.AsSpan().IndexOfAny('.', 'e', 'E') < 0
        ? long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var small)
            ? IntegerValue.Of(small)
            : Large(text)
        : new FloatValue(double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture));

    // Python refuses integers of more than 4300 digits; so that no request is lost for one, such a number becomes a float.
    private static NumberValue Large(string text) => text.Length <= 4300
        ? IntegerValue.Of(BigInteger.Parse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture))
        : new FloatValue(double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture));
}
