using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Shimmy.Chat.Output.Tools;

/// <summary>
/// Converts arguments that a model writes one by one between tags to a JSON object. The JSON schema says which of them are strings.
/// </summary>
internal sealed class ParameterWriter(JsonElement schema)
{
    private int _count;

    /// <summary>The JSON up to an argument's value.</summary>
    public string Key(string key) => (_count++ == 0 ? "{" : ", ") + Quoted(key) + ": ";

    /// <summary>
    /// The JSON of a value. <paramref name="isText"/> is what the model's own syntax says of it; where that is null, the schema decides.
    /// Without either, text that is valid JSON is taken as JSON.
    /// </summary>
    public string Value(string key, string text, bool? isText)
    {
        var trimmed = WithoutLines(text);
        if (isText ?? IsText(key))
            return Quoted(trimmed);
        var value = trimmed.Trim() switch
        {
            // Models learn Python's literals from templates that print values as Python does.
            "True" => "true",
            "False" => "false",
            "None" => "null",
            var other => other,
        };
        return IsJson(value) ? value : Quoted(trimmed);
    }

    /// <summary>The end of the JSON object.</summary>
    public string End() => _count == 0 ? "{}" : "}";

    // Templates with values on lines of their own add a line break before and after.
    private static string WithoutLines(string text)
    {
        if (text.StartsWith('\n'))
            text = text[1..];
        if (text.EndsWith('\n'))
            text = text[..^1];
        const string open = "<![CDATA[";
        const string close = "]]>";
        return text.StartsWith(open, StringComparison.Ordinal) && text.EndsWith(close, StringComparison.Ordinal)
            ? text[open.Length..^close.Length]
            : text;
    }

    private bool? IsTextBySchema(string key)
    {
        if (schema.ValueKind != JsonValueKind.Object || !schema.TryGetProperty("properties", out var properties)
            || properties.ValueKind != JsonValueKind.Object || !properties.TryGetProperty(key, out var property)
            || property.ValueKind != JsonValueKind.Object || !property.TryGetProperty("type", out var type))
        {
            return null;
        }

        return type.ValueKind == JsonValueKind.String ? type.ValueEquals("string") : null;
    }

    private bool IsText(string key) => IsTextBySchema(key) ?? false;

    private static bool IsJson(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static string Quoted(string text) => new StringBuilder(text.Length + 2).Append('"')
        .Append(JsonEncodedText.Encode(text, JavaScriptEncoder.UnsafeRelaxedJsonEscaping).ToString()).Append('"').ToString();
}
