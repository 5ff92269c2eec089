using System.Buffers;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Http;

namespace Shimmy.Server.Recording;

/// <summary>
/// A request as a recording keeps it and finds it again. What differs from run to run is left out of both, so that it neither hides a
/// recording nor makes two files differ: the headers, every key (<see cref="SecretScrubber"/>), and of the body's own fields those that say
/// who asks (<see cref="Dialect.UnrecordedFields"/>). To find it, fields may come in any order, numbers in any spelling,
/// <c>"stream":false</c> or not, and ids that clients make up count by the order in which they appear: a call and its result still belong
/// together.
/// <c>previous_response_id</c> is no such id: it stands for the conversation before it.
/// </summary>
internal sealed class CanonicalRequest
{
    private static readonly string[] GeneratedIds = ["id", "call_id", "tool_call_id", "tool_use_id", "item_id"];

    // Those that some route reads, and Anthropic's clients' own.
    private static readonly string[] Parameters = ["stream", "limit", "order", "after", "beta"];

    private CanonicalRequest(string route, byte[]? body, string? text)
    {
        Route = route;
        Text = text;
        if (body is not null)
        {
            using var document = JsonDocument.Parse(body);
            var fields = document.RootElement;
            Body = Encoding.UTF8.GetString(body);
            Model = fields.TryGetProperty("model", out var model) && model.ValueKind == JsonValueKind.String ? model.GetString() : null;
            Fields = FieldsOf(fields);
        }
        var key = new StringBuilder(route).Append('\n').Append(text);
        foreach (var (name, value) in Fields)
            key.Append('\n').Append(name).Append(' ').Append(value);
        Key = Hash(Encoding.UTF8.GetBytes(key.ToString()));
    }

    /// <summary>Method, path and query, as in <c>POST /v1/chat/completions</c>; HEAD counts as GET.</summary>
    public string Route { get; }

    /// <summary>The body without what passes, in the client's order; null where there is none, or no JSON object.</summary>
    public string? Body { get; }

    /// <summary>A body that is no JSON object, or its hash where it may hold a key; null where it is one, or there is none.</summary>
    public string? Text { get; }

    /// <summary>The model that it names.</summary>
    public string? Model { get; }

    /// <summary>The body's own fields, each with a hash of its value, by name.</summary>
    public SortedDictionary<string, string> Fields { get; } = new(StringComparer.Ordinal);

    /// <summary>The same for requests that are to get the same answer.</summary>
    public string Key { get; }

    /// <summary>Takes a request as it came.</summary>
    /// <param name="request">The request, its body aside.</param>
    /// <param name="body">Its body.</param>
    /// <param name="secretScrubber">The keys that it came with.</param>
    /// <param name="ignoredFields">Fields of the body that are left out.</param>
    public static CanonicalRequest Of(HttpRequest request, byte[] body, SecretScrubber secretScrubber, IReadOnlyList<string> ignoredFields)
    {
        var method = HttpMethods.IsHead(request.Method) ? HttpMethods.Get : request.Method;
        // What the route table takes for the same is the same here.
        var path = request.Path.ToUriComponent();
        return Of(secretScrubber.Without($"{method} {(path.Length > 1 ? path.TrimEnd('/') : path)}{QueryOf(request)}"),
            body, secretScrubber, ignoredFields);
    }

    /// <summary>Takes a request apart that holds no key; <paramref name="route"/> as <see cref="Route"/> has it.</summary>
    public static CanonicalRequest Of(string route, byte[] body, IReadOnlyList<string> ignoredFields) =>
        Of(route, body, SecretScrubber.None, ignoredFields);

    /// <summary>
    /// Reads the whole body, and lets whoever comes next read it again. Throws <see cref="ApiException"/> (400) where that cannot be.
    /// </summary>
    public static async Task<byte[]> BodyAsync(HttpContext context)
    {
        var body = await RequestFields.ReadBytesAsync(context.Request, context.RequestAborted).ConfigureAwait(false);
        context.Request.Body = new MemoryStream(body.GetBuffer(), 0, (int)body.Length, writable: false);
        return body.ToArray();
    }

    private static CanonicalRequest Of(string route, byte[] body, SecretScrubber secretScrubber, IReadOnlyList<string> ignoredFields)
    {
        if (body.Length == 0)
            return new CanonicalRequest(route, null, null);
        try
        {
            using var document = JsonDocument.Parse(body, JsonText.ReaderOptions);
            if (document.RootElement.ValueKind == JsonValueKind.Object && InvalidUnicode.Find(document.RootElement) is null)
                return new CanonicalRequest(route, secretScrubber.Compact(document.RootElement, ignoredFields), null);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // Such a request is answered with an error, which can be recorded like any other answer.
        }
        var text = Encoding.UTF8.GetString(body);
        return new CanonicalRequest(route, null, SecretFields.AreIn(text)
            ? "sha256:" + Hash(body).ToLowerInvariant()
            : secretScrubber.Without(text));
    }

    private static string QueryOf(HttpRequest request)
    {
        var kept = request.Query.Where(parameter => Parameters.Contains(parameter.Key, StringComparer.OrdinalIgnoreCase))
            .OrderBy(parameter => parameter.Key, StringComparer.Ordinal)
            .SelectMany(
                parameter => parameter.Value.Select(value => $"{Uri.EscapeDataString(parameter.Key)}={Uri.EscapeDataString(value ?? "")}"));
        var query = string.Join('&', kept);
        return query.Length == 0 ? "" : "?" + query;
    }

    private static SortedDictionary<string, string> FieldsOf(JsonElement body)
    {
        var ids = new Dictionary<string, string>();
        var fields = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var field in InOrder(body).Where(field => !IsAsIfAbsent(field)))
        {
            var buffer = new ArrayBufferWriter<byte>();
            using (var writer = new Utf8JsonWriter(buffer, JsonText.WriterOptions))
                Write(writer, field.Value, ids);
            fields.Add(field.Name, Hash(buffer.WrittenSpan));
        }
        return fields;
    }

    // In all dialects.
    private static bool IsAsIfAbsent(JsonProperty field) =>
        field.Value.ValueKind == JsonValueKind.Null || (field.Name == "stream" && field.Value.ValueKind == JsonValueKind.False);

    private static void Write(Utf8JsonWriter writer, JsonElement value, Dictionary<string, string> ids)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                writer.WriteStartObject();
                foreach (var property in InOrder(value))
                {
                    writer.WritePropertyName(property.Name);
                    if (property.Value.ValueKind == JsonValueKind.String && GeneratedIds.Contains(property.Name))
                        writer.WriteStringValue(NumberOf(property.Value.GetString()!, ids));
                    else
                        Write(writer, property.Value, ids);
                }
                writer.WriteEndObject();
                break;
            case JsonValueKind.Array:
                writer.WriteStartArray();
                foreach (var element in value.EnumerateArray())
                    Write(writer, element, ids);
                writer.WriteEndArray();
                break;
            case JsonValueKind.Number when value.TryGetDouble(out var number):
                writer.WriteRawValue(number.ToString("R", CultureInfo.InvariantCulture), skipInputValidation: true);
                break;
            default:
                value.WriteTo(writer);
                break;
        }
    }

    private static Sorted<JsonProperty> InOrder(JsonElement value) =>
        value.EnumerateObject().OrderBy(property => property.Name, StringComparer.Ordinal);

    private static string NumberOf(string id, Dictionary<string, string> ids)
    {
        if (!ids.TryGetValue(id, out var number))
            ids.Add(id, number = $"#{ids.Count + 1}");
        return number;
    }

    private static string Hash(ReadOnlySpan<byte> bytes) => Convert.ToHexString(SHA256.HashData(bytes));
}
