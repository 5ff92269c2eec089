using System.Buffers;
using System.Text;
using System.Text.Json;
using Shimmy.Http;

namespace Shimmy.Server.Recording;

/// <summary>
/// One exchange as one line of JSON, its fields always in this order:
/// <code>
/// {"request":"POST /v1/…","body":{…},"status":200,"answer":{…},"ms":12.3}
/// {"request":"POST /v1/…","body":{…},"status":200,"stream":[{"ms":3.1,"event":"…","data":{…}}, …, {"ms":12.3,"data":"[DONE]"}]}
/// </code>
/// A request's body that is no JSON object stands as <c>text</c>, or its hash does where it may hold a key. The data of an event that is no
/// JSON object or array stands as a string, an event of another form, such as a comment, as <c>raw</c>, a line of a stream of JSON lines as
/// <c>line</c>. Answers keep their bytes: what is read again is what was sent.
/// </summary>
internal static class ExchangeLine
{
    /// <summary>Writes the line, its end included.</summary>
    public static byte[] Write(Exchange exchange)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        using (var json = new Utf8JsonWriter(buffer, JsonText.WriterOptions))
        {
            json.WriteStartObject();
            json.WriteString("request"u8, exchange.Request.Route);
            if (exchange.Request.Body is { } body)
                WriteRaw(json, "body", body);
            else if (exchange.Request.Text is { } text)
                json.WriteString("text"u8, text);
            json.WriteNumber("status"u8, exchange.Status);
            if (exchange.Stream is { } stream)
            {
                json.WriteStartArray("stream"u8);
                foreach (var piece in stream)
                    WritePiece(json, piece);
                json.WriteEndArray();
            }
            else
            {
                WriteAnswer(json, exchange.Answer!);
                json.WriteNumber("ms"u8, Math.Round(exchange.Milliseconds, 1));
            }
            json.WriteEndObject();
        }
        buffer.Write("\n"u8);
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>
    /// Reads a line, without the given fields of the request's body. Throws <see cref="FormatException"/> for a line of another form.
    /// </summary>
    public static Exchange Read(ReadOnlyMemory<byte> line, IReadOnlyList<string> ignoredFields)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            var root = document.RootElement;
            var route = TextOf(root.GetProperty("request"));
            var body = root.TryGetProperty("body", out var fields)
                ? fields.GetRawText()
                : root.TryGetProperty("text", out var text) ? TextOf(text) : "";
            var exchange =
                new Exchange(CanonicalRequest.Of(route, Encoding.UTF8.GetBytes(body), ignoredFields),
                    root.GetProperty("status").TryGetInt32(out var status) ? status : 0);
            if (exchange.Status is < 200 or > 599)
                throw new FormatException("its status is not an HTTP status");
            return root.TryGetProperty("stream", out var stream)
                ? exchange with { Stream = [.. stream.EnumerateArray().Select(ReadPiece)] }
                : exchange with
                {
                    Answer = Encoding.UTF8.GetBytes(root.TryGetProperty("raw", out var raw)
                        ? TextOf(raw)
                        : root.GetProperty("answer").GetRawText()),
                    Milliseconds = root.TryGetProperty("ms", out var time) ? time.GetDouble() : 0,
                };
        }
        catch (JsonException)
        {
            throw new FormatException("it is not JSON");
        }
        catch (Exception e) when (e is KeyNotFoundException or InvalidOperationException)
        {
            throw new FormatException("it lacks request, status, or answer and stream, or one of them is of another type");
        }
    }

    private static string TextOf(JsonElement value) => value.GetString() ?? throw new FormatException("it has null in place of a string");

    private static void WriteAnswer(Utf8JsonWriter json, byte[] answer)
    {
        if (AsJson(Encoding.UTF8.GetString(answer)) is { } value)
            WriteRaw(json, "answer", value);
        else
            json.WriteString("raw"u8, answer);
    }

    private static void WritePiece(Utf8JsonWriter json, in StreamPiece piece)
    {
        json.WriteStartObject();
        json.WriteNumber("ms"u8, Math.Round(piece.Milliseconds, 1));
        var (name, data) = PartsOf(piece.Text);
        if (piece.Text.EndsWith('\n') && AsJson(piece.Text[..^1]) is { } line)
        {
            WriteRaw(json, "line", line);
        }
        else if (data is null)
        {
            json.WriteString("raw"u8, piece.Text);
        }
        else
        {
            if (name is not null)
                json.WriteString("event"u8, name);
            if (AsJson(data) is { } value)
                WriteRaw(json, "data", value);
            else
                json.WriteString("data"u8, data);
        }
        json.WriteEndObject();
    }

    private static StreamPiece ReadPiece(JsonElement piece)
    {
        var at = piece.TryGetProperty("ms", out var time) ? time.GetDouble() : 0;
        if (piece.TryGetProperty("raw", out var raw))
            return new StreamPiece(TextOf(raw), at);
        if (piece.TryGetProperty("line", out var line))
            return new StreamPiece(line.GetRawText() + "\n", at);
        var data = piece.GetProperty("data");
        var text = data.ValueKind == JsonValueKind.String ? data.GetString()! : data.GetRawText();
        return new StreamPiece(piece.TryGetProperty("event", out var name)
            ? $"event: {name.GetString()}\ndata: {text}\n\n"
            : $"data: {text}\n\n", at);
    }

    // An event of the forms that our writers have: a line of data, and perhaps its name before it. Else no data.
    private static (string? Name, string? Data) PartsOf(string text)
    {
        var lines = text.Split('\n');
        return lines switch
        {
            [var data, "", ""] when data.StartsWith("data: ", StringComparison.Ordinal) => (null, data["data: ".Length..]),
            [var name, var data, "", ""] when name.StartsWith("event: ", StringComparison.Ordinal)
                && data.StartsWith("data: ", StringComparison.Ordinal)
                => (name["event: ".Length..], data["data: ".Length..]),
            _ => (null, null),
        };
    }

    // An object or an array on one line, whose bytes survive as they are; null for anything else.
    private static string? AsJson(string text)
    {
        if (text.Length == 0 || text[0] is not ('{' or '[') || text[^1] is not ('}' or ']') || text.Contains('\n') || text.Contains('\r'))
            return null;
        try
        {
            using var document = JsonDocument.Parse(text);
            return text;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static void WriteRaw(Utf8JsonWriter json, string name, string value)
    {
        json.WritePropertyName(name);
        json.WriteRawValue(value, skipInputValidation: true);
    }
}
