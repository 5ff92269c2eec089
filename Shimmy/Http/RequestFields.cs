using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat.Messages;

namespace Shimmy.Http;

/// <summary>
/// The fields of a JSON object that a client sent. Reading one checks its type and range; the error has the field's full name, its value
/// and what is allowed. A field that is null counts as absent, as the clients of all dialects expect.
/// </summary>
internal sealed class RequestFields
{
    private const int LongestQuote = 100;
    private const int LongestReason = 300;
    private const string NoText = "holds bytes that are not text in UTF-8";

    private static readonly (string Part, string Words)[] PlainWords =
    [
        ("does not contain any JSON tokens", "it is empty"),
        ("isFinalBlock", "it ends too early"),
        ("Expected depth to be zero", "it ends too early: an object or an array is not closed"),
        ("instead reached end of data", "it ends too early"),
        ("trailing comma", "a comma stands before a closing bracket"),
        ("maximum configured depth", "its objects and arrays are nested more than 64 deep"),
    ];

    private static readonly object Peeked = new();

    private readonly JsonElement _object;
    private readonly string _prefix;

    // Only of the body: only the root object knows what was not read.
    private readonly HashSet<string>? _asked;

    private RequestFields(JsonElement value, string prefix)
    {
        _object = value;
        _prefix = prefix;
        _asked = prefix.Length == 0 ? [] : null;
    }

    /// <summary>The object itself.</summary>
    public JsonElement Value => _object;

    /// <summary>The names of all fields that the client sent.</summary>
    public IEnumerable<string> Names => _object.EnumerateObject().Select(property => property.Name);

    /// <summary>The fields of the body that are not null and that nobody has asked for.</summary>
    public IEnumerable<string> UnreadNames => _object.EnumerateObject()
        .Where(property => property.Value.ValueKind != JsonValueKind.Null && _asked?.Contains(property.Name) != true)
        .Select(property => property.Name);

    /// <summary>
    /// The body of a request before its dialect is known; <see cref="ReadAsync"/> gives the same then. Throws as that does.
    /// </summary>
    public static async Task<JsonElement> PeekAsync(HttpContext context)
    {
        var read = await ReadAsync(context.Request, context.RequestAborted).ConfigureAwait(false);
        context.Items[Peeked] = read;
        return read.Fields.Value;
    }

    /// <summary>
    /// Reads a request's body. The document must be disposed when the request has been read. Throws <see cref="ApiException"/> where the
    /// body is not a JSON object.
    /// </summary>
    public static async Task<(JsonDocument Document, RequestFields Fields)> ReadAsync(HttpRequest request, CancellationToken cancellation)
    {
        if (request.HttpContext.Items.Remove(Peeked, out var peeked))
            return ((JsonDocument, RequestFields))peeked!;
        var document = await ReadAnyAsync(request, cancellation).ConfigureAwait(false);
        var fields = OfBody(document);
        // What is refused before the model is looked for has its name in the log, too.
        if (fields.Find("model") is { ValueKind: JsonValueKind.String } model)
            RequestContext.Of(request.HttpContext).RequestedModel = model.GetString();
        return (document, fields);
    }

    /// <summary>Reads a body that may be any JSON; the same holds of the document and for errors.</summary>
    public static async Task<JsonDocument> ReadAnyAsync(HttpRequest request, CancellationToken cancellation)
    {
        try
        {
            using var body = new RepairedBody(request.Body);
            return await JsonDocument.ParseAsync(body, JsonText.ReaderOptions, cancellation).ConfigureAwait(false);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw NoJson(e);
        }
        catch (IOException e) when (e is not BadHttpRequestException)
        {
            throw Unreadable(e);
        }
    }

    /// <inheritdoc cref="ReadAsync"/>
    public static (JsonDocument Document, RequestFields Fields) Parse(ReadOnlyMemory<byte> body)
    {
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(SurrogateRepair.Of(body), JsonText.ReaderOptions);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw NoJson(e);
        }
        return (document, OfBody(document));
    }

    /// <summary>Reads all of a body, whatever it is. Throws <see cref="ApiException"/> (400) where it breaks off.</summary>
    public static async Task<MemoryStream> ReadBytesAsync(HttpRequest request, CancellationToken cancellation)
    {
        var body = new MemoryStream();
        try
        {
            await request.Body.CopyToAsync(body, cancellation).ConfigureAwait(false);
            return body;
        }
        catch (IOException e) when (e is not BadHttpRequestException)
        {
            throw Unreadable(e);
        }
    }

    // A chunk with an invalid size, or a client that left in the middle of it: neither is a fault of the server.
    private static ApiException Unreadable(IOException e) =>
        new(400, $"the body cannot be read: {Shorten(e.Message, LongestReason)}", "invalid_body");

    /// <summary>The fields of an object inside a request; <paramref name="name"/> is its full name.</summary>
    public static RequestFields Of(JsonElement value, string name) => value.ValueKind == JsonValueKind.Object
        ? new RequestFields(value, name + ".")
        : throw ApiException.BadField(name, $"must be an object, not {Describe(value)}");

    /// <summary>The field's full name, for errors that the caller finds.</summary>
    public string FullName(string name) => _prefix + name;

    /// <summary>Whether the field is there and not null.</summary>
    public bool Has(string name) => Find(name) is not null;

    /// <summary>The value as it is; null where it is absent.</summary>
    public JsonElement? Find(string name)
    {
        _asked?.Add(name);
        return _object.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    /// <summary>A text; null where it is absent.</summary>
    public string? Text(string name) => Find(name) is { } value ? TextOf(value, FullName(name)) : null;

    /// <summary>A text that must be there.</summary>
    public string RequiredText(string name) =>
        Text(name) ?? throw ApiException.BadField(FullName(name), "is missing; a string is required", "missing_required_parameter");

    /// <summary>A text out of a few; null where it is absent.</summary>
    public string? Choice(string name, params ReadOnlySpan<string> allowed)
    {
        if (Text(name) is not { } text)
            return null;
        foreach (var choice in allowed)
        {
            if (choice == text)
                return text;
        }
        throw ApiException.BadField(FullName(name),
            $"must be one of {string.Join(", ", allowed.ToArray().Select(a => $"'{a}'"))}, not {Quote(text)}");
    }

    /// <summary>A truth value; null where it is absent.</summary>
    public bool? Flag(string name) => Find(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        { } value => throw ApiException.BadField(FullName(name), $"must be true or false, not {Describe(value)}"),
    };

    /// <summary>A whole number within bounds; null where it is absent.</summary>
    public int? Whole(string name, int least, int most)
    {
        if (Find(name) is not { } value)
            return null;
        if (WholeOf(value) is { } number && number >= least && number <= most)
            return (int)number;
        throw ApiException.BadField(FullName(name), $"must be a whole number from {least} to {most}, not {Describe(value)}");
    }

    /// <summary>The value as a whole number of 64 bits; null where it is none. 5.0 is one in JSON, and some clients write it so.</summary>
    public static long? WholeOf(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Number)
            return null;
        if (value.TryGetInt64(out var whole))
            return whole;
        return value.TryGetDouble(out var number) && number == Math.Floor(number) && Math.Abs(number) < long.MaxValue ? (long)number : null;
    }

    /// <summary>A number within bounds, both included; null where it is absent.</summary>
    public float? Number(string name, double least, double most)
    {
        if (Find(name) is not { } value)
            return null;
        if (value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && number >= least && number <= most)
            return (float)number;
        throw ApiException.BadField(FullName(name), string.Create(CultureInfo.InvariantCulture,
            $"must be a number from {least} to {most}, not {Describe(value)}"));
    }

    /// <summary>The elements of an array; null where it is absent.</summary>
    public IReadOnlyList<JsonElement>? List(string name) => Find(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Array } value => [.. value.EnumerateArray()],
        { } value => throw ApiException.BadField(FullName(name), $"must be an array, not {Describe(value)}"),
    };

    /// <summary>An object; null where it is absent.</summary>
    public RequestFields? Object(string name) => Find(name) is { } value ? Of(value, FullName(name)) : null;

    /// <summary>Refuses a field that asks for something we cannot give, unless it asks for nothing.</summary>
    public void Refuse(string name, string reason, Func<JsonElement, bool>? harmless = null)
    {
        if (Find(name) is { } value && harmless?.Invoke(value) != true)
            throw ApiException.BadField(FullName(name), reason, "unsupported_parameter");
    }

    /// <summary>The text of a value, which must be one; <paramref name="fullName"/> is for the error.</summary>
    public static string TextOf(JsonElement value, string fullName)
    {
        if (value.ValueKind != JsonValueKind.String)
            throw ApiException.BadField(fullName, $"must be a string, not {Describe(value)}");
        return value.GetString()!;
    }

    /// <summary>A value in a few words, for error messages.</summary>
    public static string Describe(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => "a string",
        JsonValueKind.Null => "null",
        JsonValueKind.Number => value.GetRawText() is { Length: <= 24 } text ? text : "a number of many digits",
        JsonValueKind.True => "true",
        JsonValueKind.False => "false",
        _ => "nothing",
    };

    /// <summary>A client's text inside an error message: in quotes, and short however long it was.</summary>
    public static string Quote(string text) => $"'{Shorten(text)}'";

    /// <summary>A client's text, cut where it is too long for an error message.</summary>
    public static string Shorten(string text, int longest = LongestQuote) => ShownText.Cut(text, longest);

    private static RequestFields OfBody(JsonDocument document)
    {
        try
        {
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw new ApiException(400, $"the body must be a JSON object, not {Describe(document.RootElement)}", "invalid_json");
            if (InvalidUnicode.Find(document.RootElement) is { } field)
            {
                throw field.Length == 0
                    ? new ApiException(400, $"the body {NoText}", "invalid_json")
                    : ApiException.BadField(field, NoText);
            }

            return new RequestFields(document.RootElement, "");
        }
        catch
        {
            document.Dispose();
            throw;
        }
    }

    // A JsonException for invalid JSON; an InvalidOperationException for names with invalid Unicode, which the check for duplicates
    // compares.
    private static ApiException NoJson(Exception e) => new(400, e switch
    {
        JsonException { LineNumber: { } line } at =>
            $"the body is not valid JSON (line {line + 1}, byte {at.BytePositionInLine + 1}): {Plain(e.Message)}",
        JsonException => $"the body is not valid JSON: {Plain(e.Message)}",
        _ => $"the body {NoText}",
    }, "invalid_json");

    // Replaces .NET's advice about JsonReaderOptions, which a client cannot set.
    private static string Plain(string message)
    {
        foreach (var (part, words) in PlainWords)
        {
            if (message.Contains(part, StringComparison.Ordinal))
                return words;
        }
        var end = message.IndexOf(" LineNumber:", StringComparison.Ordinal);
        return Shorten(end < 0 ? message : message[..end], LongestReason);
    }
}

/// <summary>
/// A request's body as JSON without unpaired surrogates (<see cref="SurrogateRepair"/>), repaired while it is read: bodies are too large to
/// be read twice. Read-only; the body itself is not disposed.
/// </summary>
internal sealed class RepairedBody(Stream body) : ForwardStream
{
    private const int BufferSize = 16 * 1024;

    private readonly byte[] _buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
    private int _from;
    private int _decided;
    private int _filled;
    private bool _ended;

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (_from == _decided)
        {
            if (_ended)
                return 0;
            // What is not decided yet stands in front of what comes next.
            _buffer.AsSpan(_decided, _filled - _decided).CopyTo(_buffer);
            _filled -= _decided;
            (_from, _decided) = (0, 0);
            var read = await body.ReadAsync(_buffer.AsMemory(_filled), cancellationToken).ConfigureAwait(false);
            _ended = read == 0;
            _filled += read;
            _decided = SurrogateRepair.InPlace(_buffer.AsSpan(0, _filled), _ended);
        }
        var count = Math.Min(buffer.Length, _decided - _from);
        _buffer.AsSpan(_from, count).CopyTo(buffer.Span);
        _from += count;
        return count;
    }

    protected override void Dispose(bool disposing)
    {
        ArrayPool<byte>.Shared.Return(_buffer);
        base.Dispose(disposing);
    }
}
