using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Shimmy.Chat.Output.Tools;

/// <summary>Makes the JSON of arguments that a model writes one by one as text: the schema says which of them are texts.</summary>
internal sealed class ParameterWriter(JsonElement schema)
{
    private int _count;

    /// <summary>The beginning of an argument.</summary>
    public string Key(string key) => (_count++ == 0 ? "{" : ", ") + Quoted(key) + ": ";

    /// <summary>
    /// Its value. <paramref name="isText"/> says what the model's own marks say of it; where they say nothing, the schema decides, and in
    /// doubt what can be read as JSON is JSON.
    /// </summary>
    public string Value(string key, string text, bool? isText)
    {
        var trimmed = WithoutLines(text);
        if (isText ?? IsText(key))
            return Quoted(trimmed);
        var value = trimmed.Trim() switch
        {
            // Templates that print values as Python does teach their models to.
            "True" => "true",
            "False" => "false",
            "None" => "null",
            var other => other,
        };
        return IsJson(value) ? value : Quoted(trimmed);
    }

    /// <summary>The end of the arguments.</summary>
    public string End() => _count == 0 ? "{}" : "}";

    // A template that puts values on lines of their own adds a line end before and after.
    private static string WithoutLines(string text)
    {
        if (text.StartsWith('\n'))
            text = text[1..];
        if (text.EndsWith('\n'))
            text = text[..^1];
        const string open = "<![CDATA[";
        const string close = "]]>";
        return text.StartsWith(open, StringComparison.Ordinal) && text.EndsWith(close, StringComparison.Ordinal) ? text[open.Length..^close.Length] : text;
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
