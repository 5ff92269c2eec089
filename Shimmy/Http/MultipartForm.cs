using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace Shimmy.Http;

/// <summary>
/// A body of <c>multipart/form-data</c> (RFC 7578): its texts as fields, which are read as those of a JSON body are, and its files. The
/// framework's own reader is a tenth of a megabyte of the executable, and writes to a folder what is long.
/// </summary>
internal sealed class MultipartForm : IDisposable
{
    private const int MostParts = 64;
    private const int LongestHead = 4096;
    private const int LongestText = 1 << 20;

    // What is no text in JSON: a number or a truth value is written as such, where it is one.
    private static readonly string[] Values = ["temperature", "timeout", "priority", "stream"];

    private readonly JsonDocument _document;
    private readonly Dictionary<string, byte[]> _files;

    private MultipartForm(JsonDocument document, RequestFields fields, Dictionary<string, byte[]> files)
    {
        _document = document;
        Fields = fields;
        _files = files;
    }

    /// <summary>The fields that are no files; those whose names end in <c>[]</c> are arrays.</summary>
    public RequestFields Fields { get; }

    /// <summary>The names of the files.</summary>
    public IEnumerable<string> FileNames => _files.Keys;

    /// <summary>A file; null where it is absent.</summary>
    public byte[]? File(string name) => _files.GetValueOrDefault(name);

    /// <summary>Reads a request's body. Throws <see cref="ApiException"/> where it is no form.</summary>
    public static async Task<MultipartForm> ReadAsync(HttpRequest request, CancellationToken cancellation)
    {
        var boundary = BoundaryOf(request.ContentType);
        using var body = await RequestFields.ReadBytesAsync(request, cancellation).ConfigureAwait(false);
        var form = Parse(body.GetBuffer().AsMemory(0, (int)body.Length), boundary);
        if (form.Fields.Find("model") is { ValueKind: JsonValueKind.String } model)
            RequestContext.Of(request.HttpContext).RequestedModel = model.GetString();
        return form;
    }

    /// <summary>The form of a body. Throws <see cref="ApiException"/>.</summary>
    public static MultipartForm Parse(ReadOnlyMemory<byte> body, string boundary)
    {
        var delimiter = Encoding.ASCII.GetBytes("\r\n--" + boundary);
        var texts = new Dictionary<string, List<string>>(StringComparer.Ordinal);
        var files = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        // The first one may stand at the very beginning.
        var at = body.Span.StartsWith(delimiter.AsSpan(2)) ? delimiter.Length - 2 : Behind(body.Span, delimiter, 0);
        for (var count = 0; !body.Span[at..].StartsWith("--"u8); count++)
        {
            if (count == MostParts)
                throw Malformed($"it has more than {MostParts} parts");
            var rest = body[at..];
            // What stands behind a delimiter on its line is white space.
            var line = rest.Span.IndexOf("\r\n"u8);
            var head = line < 0 ? -1 : rest.Span[line..].IndexOf("\r\n\r\n"u8);
            if (line < 0 || head < 0 || head > LongestHead || rest.Span[..line].ContainsAnyExcept(" \t"u8))
                throw Malformed(head > LongestHead ? $"the head of a part has more than {LongestHead} bytes" : "it ends in the head of a part");
            var begin = at + line + head + 4;
            at = Behind(body.Span, delimiter, begin);
            var (name, isFile) = NameOf(rest.Span.Slice(line, head));
            Add(name, isFile, body[begin..(at - delimiter.Length)]);
        }
        var (document, fields) = RequestFields.Parse(Json(texts));
        return new MultipartForm(document, fields, files);

        void Add(string name, bool isFile, ReadOnlyMemory<byte> content)
        {
            var isList = name.EndsWith("[]", StringComparison.Ordinal);
            if (files.ContainsKey(name) || (texts.ContainsKey(name) && (isFile || !isList)))
                throw ApiException.BadField(name, "was given more than once");
            if (isFile)
            {
                files[name] = content.ToArray();
                return;
            }
            if (content.Length > LongestText)
                throw ApiException.BadField(name, $"has more than {LongestText} bytes");
            if (!texts.TryGetValue(name, out var values))
                texts[name] = values = [];
            try
            {
                values.Add(new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(content.Span));
            }
            catch (ArgumentException)
            {
                throw ApiException.BadField(name, "holds bytes that are not text in UTF-8");
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _document.Dispose();

    // The index behind the next delimiter.
    private static int Behind(ReadOnlySpan<byte> body, ReadOnlySpan<byte> delimiter, int from)
    {
        var found = body[from..].IndexOf(delimiter);
        return found >= 0 ? from + found + delimiter.Length
            : throw Malformed("it ends before its last boundary, or has none");
    }

    private static string BoundaryOf(string? contentType)
    {
        const string needed = "multipart/form-data";
        if (contentType is null || !contentType.Split(';')[0].Trim().Equals(needed, StringComparison.OrdinalIgnoreCase))
        {
            throw ApiException.BadField("Content-Type",
                $"must be {needed}, not {(contentType is null ? "absent" : RequestFields.Quote(contentType))}");
        }
        var boundary = Parameter(contentType, "boundary");
        return boundary is { Length: >= 1 and <= 70 } && Ascii.IsValid(boundary)
            ? boundary
            : throw ApiException.BadField("Content-Type", "has no boundary of 1 to 70 characters");
    }

    private static (string Name, bool IsFile) NameOf(ReadOnlySpan<byte> head)
    {
        foreach (var line in Encoding.UTF8.GetString(head).Split("\r\n", StringSplitOptions.RemoveEmptyEntries))
        {
            if (!line.StartsWith("Content-Disposition:", StringComparison.OrdinalIgnoreCase))
                continue;
            return Parameter(line, "name") is { Length: > 0 } name
                ? (name, Parameter(line, "filename") is not null || Parameter(line, "filename*") is not null)
                : throw Malformed("a part has no name");
        }
        throw Malformed("a part has no Content-Disposition");
    }

    // A parameter of a header: behind a semicolon, its value quoted or not.
    private static string? Parameter(string header, string name)
    {
        for (var at = header.IndexOf(';', StringComparison.Ordinal); at >= 0 && at < header.Length;)
        {
            var equals = header.IndexOf('=', at);
            if (equals < 0)
                return null;
            var found = header[(at + 1)..equals].Trim();
            var begin = equals + 1;
            var isQuoted = begin < header.Length && header[begin] == '"';
            var end = header.IndexOf(isQuoted ? '"' : ';', isQuoted ? begin + 1 : begin);
            if (end < 0)
                end = header.Length;
            if (found.Equals(name, StringComparison.OrdinalIgnoreCase))
                return isQuoted ? header[(begin + 1)..end] : header[begin..end].Trim();
            at = isQuoted ? header.IndexOf(';', end) : end;
        }
        return null;
    }

    private static ReadOnlyMemory<byte> Json(Dictionary<string, List<string>> texts)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, JsonText.WriterOptions))
        {
            json.WriteStartObject();
            foreach (var (name, values) in texts)
            {
                json.WritePropertyName(name);
                if (name.EndsWith("[]", StringComparison.Ordinal))
                {
                    json.WriteStartArray();
                    values.ForEach(json.WriteStringValue);
                    json.WriteEndArray();
                }
                else if (values[0] is "true" or "false" && Array.IndexOf(Values, name) >= 0)
                {
                    json.WriteBooleanValue(values[0] == "true");
                }
                else if (Array.IndexOf(Values, name) >= 0
                    && double.TryParse(values[0], NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
                    && double.IsFinite(number))
                {
                    json.WriteNumberValue(number);
                }
                else
                {
                    json.WriteStringValue(values[0]);
                }
            }
            json.WriteEndObject();
        }
        return buffer.WrittenMemory;
    }

    private static ApiException Malformed(string reason) => new(400, $"invalid multipart/form-data: {reason}", "invalid_body");
}
