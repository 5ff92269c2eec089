using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Shimmy.Observability;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Observability;

/// <summary>Traces, as a collector gets them.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class TraceExportTests
{
    private const string Parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    private static readonly RequestSummary Request = new()
    {
        Id = "req_1",
        Trace = TraceContext.Of(Parent, begin: true),
        StartedAt = DateTimeOffset.UnixEpoch.AddSeconds(100),
        Method = "POST",
        Path = "/v1/chat/completions",
        Route = "/v1/chat/completions",
        Model = "talker",
        Status = 200,
        PromptTokens = 7,
        GeneratedTokens = 3,
        Elapsed = TimeSpan.FromMilliseconds(100),
        ToModel = TimeSpan.FromMilliseconds(5),
        Answers = [new AnswerTimings(1, 10, 20, 40, 3, TimeSpan.FromMilliseconds(95))],
    };

    [TestMethod]
    public async Task A_collector_gets_the_spans_of_each_request()
    {
        using var collector = new Collector();
        var settings = new Dictionary<string, string>
        {
            ["OTEL_EXPORTER_OTLP_ENDPOINT"] = $"http://127.0.0.1:{collector.Port}/",
            ["OTEL_EXPORTER_OTLP_HEADERS"] = "authorization=Basic%20abc, x-team = llm",
            ["OTEL_SERVICE_NAME"] = "ours",
        };
        await using (var export = TraceExport.Of(settings.GetValueOrDefault, "1.2.3", new CapturedLog().CreateLogger("shimmy"))!)
        {
            export.Add(Request);
            // Whose caller does not want it recorded, and what belongs to no trace, is not sent.
            export.Add(Request with { Trace = TraceContext.Of(Parent[..^1] + "0", begin: true) });
            export.Add(Request with { Trace = TraceContext.None });
        }

        var (head, body) = await collector.Received;
        Assert.StartsWith("POST /v1/traces HTTP/1.1\r\n", head);
        Assert.Contains("authorization: Basic abc\r\nx-team: llm\r\n", head);
        Assert.Contains("Content-Type: application/json\r\n", head);
        using var json = JsonDocument.Parse(body);
        var resource = json.RootElement.GetProperty("resourceSpans")[0];
        Assert.AreEqual("ours", resource.GetProperty("resource").GetProperty("attributes")[0]
            .GetProperty("value").GetProperty("stringValue").GetString());
        var spans = resource.GetProperty("scopeSpans")[0].GetProperty("spans").EnumerateArray().ToArray();
        CollectionAssert.AreEqual(new[] { "POST /v1/chat/completions", "model", "generation", "prefill", "queue", "template" },
            spans.Select(span => span.GetProperty("name").GetString()).ToArray());
        Assert.IsTrue(spans.All(span => span.GetProperty("traceId").GetString() == "4bf92f3577b34da6a3ce929d0e0e4736"));
        Assert.AreEqual("00f067aa0ba902b7", spans[0].GetProperty("parentSpanId").GetString());
        Assert.IsTrue(spans[1..].All(span => span.GetProperty("parentSpanId").GetString() == spans[0].GetProperty("spanId").GetString()));
        Assert.AreEqual(6, spans.Select(span => span.GetProperty("spanId").GetString()).Distinct().Count());
        // Milliseconds behind 100 s since 1970.
        CollectionAssert.AreEqual(new[] { (0L, 100L), (0L, 5L), (55L, 95L), (35L, 55L), (25L, 35L), (24L, 25L) },
            spans.Select(span => (Time(span, "startTimeUnixNano"), Time(span, "endTimeUnixNano"))).ToArray());

        static long Time(JsonElement span, string name) =>
            (long.Parse(span.GetProperty(name).GetString()!, System.Globalization.CultureInfo.InvariantCulture)
                - 100_000_000_000) / 1_000_000;
    }

    [TestMethod]
    public async Task A_collector_that_is_not_there_is_said_once_and_loses_nothing_else()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var port = ((IPEndPoint)taken.LocalEndpoint).Port;
        taken.Stop();
        var log = new CapturedLog();
        await using (var export =
            TraceExport.Of(name => name == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" ? $"http://127.0.0.1:{port}/own/path" : null,
                "1", log.CreateLogger("shimmy"))!)
        {
            for (var i = 0; i < 600; i++)
                export.Add(Request);
        }
        Assert.HasCount(1, log.Lines.Where(line => line.Contains("cannot export traces", StringComparison.Ordinal)));
        Assert.Contains("/own/path", log.Lines.First());
    }

    [TestMethod]
    public void What_came_from_the_response_cache_was_not_generated_now()
    {
        using var json = JsonDocument.Parse(RequestSpans.Write("ours", "1", [Request with { Cache = "hit" }]));
        CollectionAssert.AreEqual(new[] { "POST /v1/chat/completions", "model", "template" },
            json.RootElement.GetProperty("resourceSpans")[0].GetProperty("scopeSpans")[0]
            .GetProperty("spans").EnumerateArray().Select(span => span.GetProperty("name").GetString()).ToArray());
    }

    [TestMethod]
    public async Task A_collector_that_never_answers_holds_nobody_up_at_the_end()
    {
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        var log = new CapturedLog();
        var export =
            TraceExport.Of(
                name => name == "OTEL_EXPORTER_OTLP_ENDPOINT" ? $"http://127.0.0.1:{((IPEndPoint)silent.LocalEndpoint).Port}" : null,
                    "1", log.CreateLogger("shimmy"))!;
        for (var i = 0; i < 2000; i++)
            export.Add(Request);

        // Eight batches, each of which may take ten seconds while the server runs.
        await export.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(8));
        await log.WaitForAsync("cannot export traces");
    }

    [TestMethod]
    [DataRow("https://collector.example:4318")]
    [DataRow("collector:4318")]
    [DataRow("nonsense")]
    public void An_endpoint_that_cannot_be_used_is_said(string endpoint)
    {
        var log = new CapturedLog();
        Assert.IsNull(TraceExport.Of(name => name == "OTEL_EXPORTER_OTLP_ENDPOINT" ? endpoint : null, "1", log.CreateLogger("shimmy")));
        Assert.Contains("no traces are sent", log.Lines.Single());
        Assert.IsNull(TraceExport.Of(_ => null, "1", log.CreateLogger("shimmy")));
        Assert.IsNull(TraceExport.Of(name => name == "OTEL_SDK_DISABLED" ? "true" : endpoint, "1", log.CreateLogger("shimmy")));
    }

    /// <summary>Takes one export.</summary>
    private sealed class Collector : IDisposable
    {
        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);

        public Collector()
        {
            _listener.Start();
            Port = ((IPEndPoint)_listener.LocalEndpoint).Port;
            Received = ReceiveAsync();
        }

        public int Port { get; }

        public Task<(string Head, string Body)> Received { get; }

        public void Dispose() => _listener.Dispose();

        private async Task<(string, string)> ReceiveAsync()
        {
            using var client = await _listener.AcceptTcpClientAsync();
            using var reader = new StreamReader(client.GetStream(), Encoding.UTF8);
            var head = "";
            var length = 0;
            while (await reader.ReadLineAsync() is { Length: > 0 } line)
            {
                head += line + "\r\n";
                if (line.StartsWith("Content-Length: ", StringComparison.Ordinal))
                    length = int.Parse(line.AsSpan(16), System.Globalization.CultureInfo.InvariantCulture);
            }
            var body = new char[length];
            await reader.ReadBlockAsync(body);
            await client.GetStream().WriteAsync("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"u8.ToArray());
            return (head, new string(body));
        }
    }
}
