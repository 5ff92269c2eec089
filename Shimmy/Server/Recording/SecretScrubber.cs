using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Http;

namespace Shimmy.Server.Recording;

/// <summary>Fields of a request that hold secrets, at any depth: above all those of tools on other servers.</summary>
internal static class SecretFields
{
    // Without their hyphens and underscores.
    private static readonly HashSet<string> Names = new(StringComparer.OrdinalIgnoreCase)
    {
        "authorization", "authorizationtoken", "authtoken", "accesstoken", "bearertoken", "token", "apikey", "xapikey",
        "headers", "extraheaders", "httpheaders", "clientsecret", "secret", "password", "credentials",
    };

    // What is below these in a JSON schema are names that somebody chose, not fields.
    private static readonly string[] OfSchemas = ["properties", "patternProperties", "$defs", "definitions"];

    // Addresses carry keys behind their question mark.
    private static readonly string[] Addresses = ["server_url", "url"];

    /// <summary>
    /// Replacement of a secret field's value; null where the value may stay. <paramref name="namesAreFree"/> says that the object around it
    /// describes names.
    /// </summary>
    public static string? Blanked(JsonProperty field, bool namesAreFree)
    {
        if (field.Value.ValueKind is not (JsonValueKind.String or JsonValueKind.Object or JsonValueKind.Array)
            || (namesAreFree && field.Value.ValueKind == JsonValueKind.Object))
        {
            return null;
        }

        if (Names.Contains(Plain(field.Name)))
            return SecretScrubber.Blank;
        return field.Value.ValueKind == JsonValueKind.String && Addresses.Contains(field.Name)
            && field.Value.GetString()!.IndexOf('?', StringComparison.Ordinal) is >= 0 and var query
            ? field.Value.GetString()![..(query + 1)] + SecretScrubber.Blank
            : null;
    }

    /// <summary>Whether the fields of the object of this name are names that somebody chose.</summary>
    public static bool HoldsFreeNames(string name) => OfSchemas.Contains(name);

    /// <summary>Whether a text has the name of a secret field in quotes.</summary>
    public static bool AreIn(string text)
    {
        var plain = Plain(text);
        return Names.Any(name => plain.Contains($"\"{name}\"", StringComparison.OrdinalIgnoreCase));
    }

    private static string Plain(string text) => text.Replace("-", "", StringComparison.Ordinal).Replace("_", "", StringComparison.Ordinal);
}

/// <summary>
/// Keeps API keys out of a recording. Headers are not recorded at all, nor are parameters of the query that no route knows. In a request's
/// body the values of fields that are made for keys are blanked (<see cref="SecretFields"/>). The key that the request came with is blanked
/// in every text: a prompt may quote it. One that this server let in is, however short; another is, if it is long enough to be one:
/// <c>none</c> and <c>test</c> are words.
/// </summary>
internal sealed class SecretScrubber
{
    /// <summary>Placeholder of a key.</summary>
    public const string Blank = "[key]";

    private const int ShortestKey = 16;

    // Each key as it is, and as it stands in JSON that a text quotes.
    private readonly string[] _forms;

    private SecretScrubber(IEnumerable<string> keys) => _forms = [.. keys.Where(key => key.Length > 0).SelectMany(key => (string[])
        [JavaScriptEncoder.Default.Encode(key), JavaScriptEncoder.UnsafeRelaxedJsonEscaping.Encode(key), key])
        .Distinct().OrderByDescending(form => form.Length)];

    /// <summary>No key.</summary>
    public static SecretScrubber None { get; } = new([]);

    /// <summary>The keys that a request came with; <paramref name="anyLength"/> takes for one whatever stands where keys do.</summary>
    public static SecretScrubber Of(HttpContext context, bool anyLength = false)
    {
        var known = RequestContext.Of(context).Client;
        return new SecretScrubber(ApiKey.GivenIn(context.Request.Headers)
            .Where(key => anyLength || known?.IsThis(key) == true || key.Length >= ShortestKey));
    }

    /// <summary>A text with its keys blanked.</summary>
    public string Without(string text) => _forms.Aggregate(text, (rest, form) => rest.Replace(form, Blank, StringComparison.Ordinal));

    /// <summary>
    /// A body with its keys blanked: in the texts of one that is JSON, so that it stays what it is, and anywhere in another.
    /// </summary>
    public byte[] Without(byte[] body)
    {
        if (!_forms.Any(form => body.AsSpan().IndexOf(Encoding.UTF8.GetBytes(form)) >= 0))
            return body;
        try
        {
            using var document = JsonDocument.Parse(body);
            return Rewritten(writer => Write(writer, document.RootElement, fields: false));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return Encoding.UTF8.GetBytes(Without(Encoding.UTF8.GetString(body)));
        }
    }

    /// <summary>Server-sent events with their keys blanked, in the same list.</summary>
    public List<StreamPiece> Without(List<StreamPiece> pieces)
    {
        for (var i = 0; i < pieces.Count; i++)
            pieces[i] = Without(pieces[i]);
        return SplitKeys.Blank(pieces, _forms);
    }

    private StreamPiece Without(in StreamPiece piece)
    {
        const string data = "data: ";
        return piece with
        {
            Text = string.Join('\n', piece.Text.Split('\n').Select(line => line.StartsWith(data, StringComparison.Ordinal)
                ? data + Encoding.UTF8.GetString(Without(Encoding.UTF8.GetBytes(line[data.Length..])))
                : Without(line))),
        };
    }

    /// <summary>Writes the body of a request without its fields <paramref name="but"/>, and without any key.</summary>
    public byte[] Compact(JsonElement body, IReadOnlyList<string> but) => Rewritten(writer => WriteObject(writer, body, but, fields: true));

    private static byte[] Rewritten(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, JsonText.WriterOptions))
            write(writer);
        return buffer.WrittenSpan.ToArray();
    }

    private void Write(Utf8JsonWriter writer, JsonElement value, bool fields, bool namesAreFree = false)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                WriteObject(writer, value, [], fields, namesAreFree);
                break;
            case JsonValueKind.Array:
                writer.WriteStartArray();
                foreach (var element in value.EnumerateArray())
                    Write(writer, element, fields);
                writer.WriteEndArray();
                break;
            case JsonValueKind.String:
                writer.WriteStringValue(Without(value.GetString()!));
                break;
            default:
                value.WriteTo(writer);
                break;
        }
    }

    private void WriteObject(Utf8JsonWriter writer, JsonElement value, IReadOnlyList<string> but, bool fields, bool namesAreFree = false)
    {
        writer.WriteStartObject();
        foreach (var field in value.EnumerateObject().Where(field => !but.Contains(field.Name)))
        {
            writer.WritePropertyName(field.Name);
            if (fields && SecretFields.Blanked(field, namesAreFree) is { } blanked)
                writer.WriteStringValue(blanked);
            else
                Write(writer, field.Value, fields, SecretFields.HoldsFreeNames(field.Name));
        }
        writer.WriteEndObject();
    }
}
