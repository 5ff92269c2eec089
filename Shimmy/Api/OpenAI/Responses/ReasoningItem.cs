using System.Text;
using System.Text.Json;

namespace Shimmy.Api.OpenAI.Responses;

/// <summary>
/// The reasoning of a model. Clients that store nothing here (Codex) send back <c>encrypted_content</c> alone, so it holds the same text,
/// in base64: not encrypted, since it came from the same client, but in a form that clients pass on unread.
/// </summary>
/// <param name="Id">The item's id.</param>
/// <param name="Content">The thoughts; empty where the client gave a summary alone.</param>
/// <param name="Summary">What the client gave as a summary; answers have none.</param>
internal sealed record ReasoningItem(string Id, IReadOnlyList<string> Content, IReadOnlyList<string> Summary) : ResponseItem(Id)
{
    private const string Seal = "shimmy:";

    /// <summary>Whether it is written with <c>encrypted_content</c>.</summary>
    public bool Sealed { get; init; }

    /// <summary>The text that the next turn's prompt gets.</summary>
    public string Text => string.Concat(Content.Count > 0 ? Content : Summary);

    public override int Size => base.Size + Content.Concat(Summary).Sum(text => 64 + (2 * text.Length));

    /// <summary>
    /// The text in an <c>encrypted_content</c> that was written here; null in one that another server wrote, which nobody else can read.
    /// </summary>
    public static string? Unseal(string encrypted)
    {
        if (!encrypted.StartsWith(Seal, StringComparison.Ordinal))
            return null;
        var bytes = new byte[encrypted.Length];
        return Convert.TryFromBase64Chars(encrypted.AsSpan(Seal.Length), bytes, out var length)
            ? Encoding.UTF8.GetString(bytes, 0, length)
            : null;
    }

    protected override void WriteFields(Utf8JsonWriter json)
    {
        json.WriteString("type"u8, "reasoning"u8);
        WriteParts(json, "summary", "summary_text", Summary);
        WriteParts(json, "content", "reasoning_text", Content);
        if (Sealed)
            json.WriteString("encrypted_content", Seal + Convert.ToBase64String(Encoding.UTF8.GetBytes(Text)));
    }

    private static void WriteParts(Utf8JsonWriter json, string name, string type, IReadOnlyList<string> texts)
    {
        json.WriteStartArray(name);
        foreach (var text in texts)
            new ItemPart(type, text).Write(json);
        json.WriteEndArray();
    }
}
