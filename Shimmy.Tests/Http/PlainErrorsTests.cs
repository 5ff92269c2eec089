using System.IO.Compression;
using System.Net;
using System.Text;
using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Http;

/// <summary>
/// Kind: errors that a person can use, in the words of the request and the shape of the dialect, with a status that clients do not retry in
/// vain.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class PlainErrorsTests
{
    private static ServerFixture _server = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext context) => _server = await ServerFixture.StartAsync();

    [ClassCleanup]
    public static async Task StopAsync() => await _server.DisposeAsync();

    [TestMethod]
    [DataRow("", "it is empty")]
    [DataRow("{\"model\":", "it ends too early")]
    [DataRow("{\"model\":\"a\"", "it ends too early")]
    [DataRow("{\"model\":\"a", "it ends too early")]
    [DataRow("{\"model\":\"a\",}", "a comma stands before a closing bracket")]
    public async Task A_body_that_is_no_JSON_is_reported_without_words_of_NET(string body, string words)
    {
        foreach (var route in new[] { "v1/chat/completions", "v1/messages", "api/generate" })
        {
            using var answer = await _server.PostAsync(route, body);
            var text = await answer.Content.ReadAsStringAsync();
            Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
            Assert.Contains(words, text);
            foreach (var word in new[] { "isFinalBlock", "JsonReader", "reader options", "payload", "BytePosition" })
                Assert.DoesNotContain(word, text);
        }
    }

    [TestMethod]
    public async Task A_body_that_is_no_UTF8_is_told_in_plain_words()
    {
        using var answer = await _server.Client.PostAsync("api/generate", new ByteArrayContent([.. "{\"prompt\":\""u8, 0xFF, .. "\"}"u8]));
        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains("prompt: holds bytes that are not text in UTF-8", await answer.Content.ReadAsStringAsync());
    }

    [TestMethod]
    [DataRow("gzip")]
    [DataRow("deflate")]
    public async Task A_compressed_body_is_read(string encoding)
    {
        var body = Compressed("""{"model":"talker","messages":[{"role":"user","content":"?"}]}""", encoding);
        body.Headers.ContentEncoding.Add(encoding);
        using var answer = await _server.Client.PostAsync("v1/chat/completions", body);
        Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode, await answer.Content.ReadAsStringAsync());
    }

    [TestMethod]
    public async Task A_compression_that_is_not_supported_is_named()
    {
        var body = new ByteArrayContent([1, 2, 3]);
        body.Headers.ContentEncoding.Add("br");
        using var answer = await _server.Client.PostAsync("v1/chat/completions", body);
        Assert.AreEqual(HttpStatusCode.UnsupportedMediaType, answer.StatusCode);
        Assert.Contains("'br' is not supported; gzip and deflate are", await answer.Content.ReadAsStringAsync());
    }

    [TestMethod]
    public async Task A_body_that_is_not_what_it_says_is_a_wrong_request()
    {
        var body = new ByteArrayContent("{\"model\":\"talker\"}"u8.ToArray());
        body.Headers.ContentEncoding.Add("gzip");
        using var answer = await _server.Client.PostAsync("v1/chat/completions", body);
        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains("is not gzip", await answer.Content.ReadAsStringAsync());
    }

    [TestMethod]
    public async Task A_small_body_that_unpacks_to_a_large_one_is_too_large()
    {
        await using var server = await ServerFixture.StartAsync(options: new Shimmy.Server.ServerOptions { BodyLimit = 100_000 });
        var body = Compressed($$"""{"model":"talker","prompt":"{{new string('a', 1_000_000)}}"}""", "gzip");
        body.Headers.ContentEncoding.Add("gzip");
        using var answer = await server.Client.PostAsync("v1/completions", body);
        Assert.AreEqual(HttpStatusCode.RequestEntityTooLarge, answer.StatusCode);
    }

    [TestMethod]
    [DataRow("GET /v1/models HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n", 400, "invalid_request_error")]
    [DataRow("POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n", 400, "\"type\":\"error\"")]
    [DataRow("GET /api/models HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "{\"error\":\"")]
    [DataRow("GET /v1/models HTTP/1.1\r\n\r\n", 400, "invalid_request_error")]
    public async Task What_is_not_valid_HTTP_is_reported_in_the_shape_of_the_dialect(string request, int status, string shape)
    {
        var answer = await _server.RawAsync(request);
        Assert.StartsWith($"HTTP/1.1 {status} ", answer);
        var (head, body) = (answer[..answer.IndexOf("\r\n\r\n", StringComparison.Ordinal)],
            answer[(answer.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4)..]);
        Assert.Contains($"Content-Length: {Encoding.UTF8.GetByteCount(body)}", head);
        Assert.Contains("Content-Type: application/json", head);
        Assert.Contains(shape, body);
        _ = JsonDocument.Parse(body);
    }

    [TestMethod]
    public async Task Too_many_lines_in_a_header_are_431_with_a_body()
    {
        var lines = string.Concat(Enumerable.Range(0, 200).Select(i => $"x-line-{i}: a\r\n"));
        var answer = await _server.RawAsync($"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
        Assert.StartsWith("HTTP/1.1 431 ", answer);
        Assert.Contains("the header of the request is too large", answer);
    }

    [TestMethod]
    public async Task A_header_that_does_not_come_is_408_with_a_body()
    {
        await using var server = await ServerFixture.StartAsync(
            options: new Shimmy.Server.ServerOptions { HeadersTimeout = TimeSpan.FromSeconds(1) });
        var answer = await server.RawAsync("GET /v1/models HTTP/1.1\r\nHost: localhost\r\nx-slow: a");
        Assert.StartsWith("HTTP/1.1 408 ", answer);
        Assert.Contains("did not come in time", answer);
    }

    [TestMethod]
    [DataRow("chatml")]
    [DataRow(" ChatML\n")]
    [DataRow("a text that reads nothing of a conversation")]
    public async Task A_template_that_reads_no_messages_is_replaced_by_its_family_with_a_warning(string template)
    {
        var log = new CapturedLog();
        GenerationRequest? seen = null;
        await using var server = await StartAsync(template, log, request => seen = request);
        await server.AnswerAsync("v1/chat/completions", """{"model":"qwen","messages":[{"role":"user","content":"?"}]}""");
        Assert.Contains("<|im_start|>user\n?<|im_end|>", seen!.Prompt.WholeText());
        Assert.StartsWith("Warning", await log.WaitForAsync("never reads messages"));
    }

    [TestMethod]
    public async Task A_broken_template_is_not_a_status_that_clients_retry()
    {
        await using var server = await StartAsync("{% for message in messages %}", new CapturedLog(), _ => { });
        foreach (var (route, body) in new[]
        {
            ("v1/chat/completions", """{"model":"qwen","messages":[{"role":"user","content":"?"}]}"""),
            ("v1/messages", """{"model":"qwen","max_tokens":5,"messages":[{"role":"user","content":"?"}]}"""),
        })
        {
            using var answer = await server.PostAsync(route, body);
            Assert.AreEqual(HttpStatusCode.UnprocessableEntity, answer.StatusCode);
            Assert.Contains("chat template", await answer.Content.ReadAsStringAsync());
        }
    }

    [TestMethod]
    public async Task A_model_that_does_not_fit_is_not_a_status_that_clients_retry()
    {
        var engine = new ScriptedEngine
        {
            Loading = (_, _, _) => throw new EngineException(EngineFailure.LoadFailed, "needs about 46111 MB") { IsLasting = true },
        };
        await using var server = await ServerFixture.StartAsync(engine);
        using var answer = await server.PostAsync("v1/completions", """{"model":"talker","prompt":"?"}""");
        Assert.AreEqual(HttpStatusCode.UnprocessableEntity, answer.StatusCode);
        Assert.AreEqual("model_load_failed", (await answer.JsonAsync()).GetProperty("error").GetProperty("code").GetString());
    }

    private static Task<ServerFixture> StartAsync(string template, CapturedLog log, Action<GenerationRequest> seen) =>
        ServerFixture.StartAsync(new ScriptedEngine
        {
            Answer = (_, request) =>
            {
                seen(request);
                return ["ok"];
            },
            Facts = spec => new ModelFacts
            {
                Architecture = "qwen2",
                Description = "",
                Slots = 1,
                ContextLength = 1000,
                ChatTemplates = new Dictionary<string, string> { ["default"] = template },
            },
        }, loggers: log, models: "qwen");

    private static ByteArrayContent Compressed(string text, string encoding)
    {
        var packed = new MemoryStream();
        using (Stream stream = encoding == "gzip"
            ? new GZipStream(packed, CompressionLevel.Fastest)
            : new ZLibStream(packed, CompressionLevel.Fastest))
        {
            stream.Write(Encoding.UTF8.GetBytes(text));
        }

        return new ByteArrayContent(packed.ToArray());
    }
}
