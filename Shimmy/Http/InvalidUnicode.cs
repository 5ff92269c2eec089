using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Unicode;

namespace Shimmy.Http;

/// <summary>
/// Finds invalid Unicode in a JSON document: bytes that are not UTF-8, or an escaped unpaired surrogate (RFC 8259, 8.2). The parser lets
/// both pass, and reading or comparing such a string later throws.
/// </summary>
internal static class InvalidUnicode
{
    /// <summary>
    /// The full name of the first field with invalid Unicode; empty where the name of a field of the document itself has it; null where
    /// there is none.
    /// </summary>
    public static string? Find(JsonElement document)
    {
        var json = JsonMarshal.GetRawUtf8Value(document);
        return Utf8.IsValid(json) && json.IndexOf("\\ud"u8) < 0 && json.IndexOf("\\uD"u8) < 0 ? null : Search(document)?.TrimStart('.');
    }

    // Names are put together on the way back only: most documents have nothing to find.
    private static string? Search(JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.String:
                return IsText(() => value.GetString()) ? null : "";
            case JsonValueKind.Array:
                var index = 0;
                foreach (var element in value.EnumerateArray())
                {
                    if (Search(element) is { } inside)
                        return $"[{index}]{inside}";
                    index++;
                }
                return null;
            case JsonValueKind.Object:
                foreach (var property in value.EnumerateObject())
                {
                    if (!IsText(() => property.Name))
                        return "";
                    if (Search(property.Value) is { } inside)
                        return $".{RequestFields.Shorten(property.Name)}{inside}";
                }
                return null;
            default:
                return null;
        }
    }

    private static bool IsText(Func<string?> read)
    {
        try
        {
            _ = read();
            return true;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }
}
