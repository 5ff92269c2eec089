using System.Text;
using System.Text.Json;
using Shimmy.Http;

namespace Shimmy.Api;

/// <summary>
/// The text in place of a part of a conversation that no local model can read: a call of a tool in somebody's cloud, a file, a kind of
/// block that is newer than this program. It lies in the history and comes again with every turn, so it is never a reason to refuse the
/// conversation. Its text is taken where it has one, and otherwise its kind, in brackets.
/// </summary>
internal static class PlaceholderText
{
    private const int Deepest = 8;
    private const int LongestValue = 2000;

    // Where blocks keep their texts.
    private static readonly string[] Texts = ["text", "content", "output", "result", "results", "refusal", "summary", "transcript"];

    // Where calls say what is called, and with what.
    private static readonly string[] Details =
        ["name", "tool_name", "title", "filename", "input", "arguments", "action", "query", "queries"];

    /// <summary>The words for a piece of this kind.</summary>
    public static string Of(JsonElement piece, string? kind = null)
    {
        var text = piece.ValueKind == JsonValueKind.String ? "" : TextOf(piece);
        if (text.Length > 0)
            return text;
        var word = new StringBuilder("[").Append(kind ?? KindOf(piece));
        if (piece.ValueKind == JsonValueKind.Object)
        {
            foreach (var name in Details)
            {
                if (piece.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null)
                    word.Append(' ').Append(RequestFields.Shorten(AsText(value), LongestValue));
            }
        }
        return word.Append(']').ToString();
    }

    /// <summary>The words for a file that a client gives with a message: a PDF, or one that lies elsewhere.</summary>
    public static string OfFile(RequestFields part)
    {
        var file = part.Find("file") is { ValueKind: JsonValueKind.Object } inner ? RequestFields.Of(inner, part.FullName("file")) : part;
        return $"[file {file.Text("filename") ?? file.Text("file_url") ?? file.Text("file_id") ?? ""}, which cannot be read here]";
    }

    /// <summary>A value as text: a string as it is, anything else as JSON.</summary>
    public static string AsText(JsonElement value) =>
        value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText();

    private static string KindOf(JsonElement piece) => piece.ValueKind == JsonValueKind.Object
        && piece.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String
        ? RequestFields.Shorten(type.GetString()!)
        : "a part that cannot be read";

    /// <summary>The texts inside a piece; empty where it has none.</summary>
    public static string TextOf(JsonElement piece, int depth = 0)
    {
        if (depth > Deepest)
            return "";
        switch (piece.ValueKind)
        {
            case JsonValueKind.String:
                return piece.GetString()!;
            case JsonValueKind.Array:
                return string.Join("\n\n", piece.EnumerateArray().Select(one => TextOf(one, depth + 1)).Where(text => text.Length > 0));
            case JsonValueKind.Object:
                return string.Join("\n\n", Texts.Select(name => piece.TryGetProperty(name, out var inner) ? TextOf(inner, depth + 1) : "")
                    .Where(text => text.Length > 0));
            default:
                return "";
        }
    }
}
