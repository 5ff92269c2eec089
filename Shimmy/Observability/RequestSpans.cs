using System.Buffers;
using System.Globalization;
using System.Text.Json;

namespace Shimmy.Observability;

/// <summary>
/// Writes the spans of requests as OTLP JSON (opentelemetry-proto, trace/v1, JSON mapping): a server span for the request, with child spans
/// for the wait for the model and, for each answer, template, queue, prefill and generation. Attributes follow OpenTelemetry's semantic
/// conventions for HTTP and generative AI.
/// </summary>
internal static class RequestSpans
{
    private const int KindInternal = 1;
    private const int KindServer = 2;
    private const int StatusError = 2;

    /// <summary>Writes the JSON body of one export request.</summary>
    public static ReadOnlyMemory<byte> Write(string serviceName, string version, IEnumerable<RequestSummary> requests)
    {
        var output = new ArrayBufferWriter<byte>(4096);
        using (var json = new Utf8JsonWriter(output))
        {
            json.WriteStartObject();
            json.WriteStartArray("resourceSpans");
            json.WriteStartObject();
            json.WriteStartObject("resource");
            json.WriteStartArray("attributes");
            Text(json, "service.name", serviceName);
            Text(json, "service.version", version);
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteStartArray("scopeSpans");
            json.WriteStartObject();
            json.WriteStartObject("scope");
            json.WriteString("name", "shimmy");
            json.WriteEndObject();
            json.WriteStartArray("spans");
            foreach (var request in requests)
                WriteRequest(json, request);
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();
        }
        return output.WrittenMemory;
    }

    private static void WriteRequest(Utf8JsonWriter json, RequestSummary request)
    {
        var trace = request.Trace;
        Begin(json, trace.TraceId, trace.SpanId, trace.ParentId,
            $"{request.Method} {request.Route ?? request.Path}", KindServer, request.StartedAt, request.Elapsed);
        json.WriteStartArray("attributes");
        Text(json, "http.request.method", request.Method);
        Text(json, "url.path", request.Path);
        Text(json, "http.route", request.Route);
        Whole(json, "http.response.status_code", request.Status);
        Text(json, "shimmy.request_id", request.Id);
        Text(json, "gen_ai.response.model", request.Model);
        Text(json, "shimmy.response_cache", request.Cache);
        if (request.Answers.Count > 0)
        {
            Whole(json, "gen_ai.usage.input_tokens", request.PromptTokens);
            Whole(json, "gen_ai.usage.output_tokens", request.GeneratedTokens);
        }
        json.WriteEndArray();
        if (request.Status >= 500 || request.BrokenBy is not null)
        {
            json.WriteStartObject("status");
            json.WriteNumber("code", StatusError);
            json.WriteString("message", request.BrokenBy ?? "");
            json.WriteEndObject();
        }
        json.WriteEndObject();
        if (request.ToModel is { } waited)
            ChildSpan("model", TimeSpan.Zero, waited);
        // A worker reports durations only, so the spans are laid out backwards from the arrival of its last event.
        foreach (var answer in request.Answers)
        {
            var end = answer.EndedAfter;
            foreach (var (name, milliseconds) in new[]
            {
                ("generation", answer.DecodeMilliseconds), ("prefill", answer.PrefillMilliseconds),
                ("queue", answer.QueueMilliseconds), ("template", answer.TemplateMilliseconds),
            })
            {
                var length = TimeSpan.FromMilliseconds(milliseconds);
                // The durations of a cached response are those of its first computation.
                if (name == "template" ? length <= TimeSpan.Zero : request.Cache == "hit")
                    continue;
                var start = end > length ? end - length : TimeSpan.Zero;
                ChildSpan(name, start, end - start);
                end = start;
            }
        }

        void ChildSpan(string name, TimeSpan after, TimeSpan length)
        {
            Begin(json, trace.TraceId, TraceContext.NewId(8), trace.SpanId, name, KindInternal, request.StartedAt + after, length);
            json.WriteEndObject();
        }
    }

    private static void Begin(
        Utf8JsonWriter json, string trace, string span, string parent, string name, int kind, DateTimeOffset start, TimeSpan length)
    {
        json.WriteStartObject();
        json.WriteString("traceId", trace);
        json.WriteString("spanId", span);
        if (parent.Length > 0)
            json.WriteString("parentSpanId", parent);
        json.WriteString("name", name);
        json.WriteNumber("kind", kind);
        json.WriteString("startTimeUnixNano", Nanoseconds(start));
        json.WriteString("endTimeUnixNano", Nanoseconds(start + length));
    }

    private static void Text(Utf8JsonWriter json, string key, string? value)
    {
        if (value is null)
            return;
        json.WriteStartObject();
        json.WriteString("key", key);
        json.WriteStartObject("value");
        json.WriteString("stringValue", value);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    // 64-bit integers are strings in protobuf's JSON mapping.
    private static void Whole(Utf8JsonWriter json, string key, long value)
    {
        json.WriteStartObject();
        json.WriteString("key", key);
        json.WriteStartObject("value");
        json.WriteString("intValue", value.ToString(CultureInfo.InvariantCulture));
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static string Nanoseconds(DateTimeOffset time) =>
        ((time - DateTimeOffset.UnixEpoch).Ticks * TimeSpan.NanosecondsPerTick).ToString(CultureInfo.InvariantCulture);
}
