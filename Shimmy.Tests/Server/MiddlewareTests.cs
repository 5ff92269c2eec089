using System.Net;
using System.Text;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Server;

/// <summary>What stands before the endpoints: origins, Host, keys, ids, sizes.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class MiddlewareTests
{
    private const string Ask = """{"model":"talker","prompt":"?"}""";

    [TestMethod]
    [DataRow(null, "http://localhost:3000", "http://localhost:3000")]
    [DataRow(null, "http://127.0.0.1", "http://127.0.0.1")]
    [DataRow(null, "https://[::1]:8443", "https://[::1]:8443")]
    [DataRow(null, "https://evil.example", null)]
    [DataRow(null, "https://localhost.evil.example", null)]
    [DataRow(null, "null", null)]
    [DataRow("*", "https://any.example", "*")]
    [DataRow("https://mine.example", "https://mine.example", "https://mine.example")]
    [DataRow("https://mine.example", "https://mine.example.evil", null)]
    [DataRow("https://mine.example", "http://localhost", null)]
    public async Task allow_origins(string? option, string origin, string? allowed)
    {
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions
        {
            CorsOrigins = option is null ? [] : [option],
            Keys = ApiKeyFile.Read(["key"]),
        });

        // The preflight needs no key: browsers send none with it.
        using var preflight = await SendAsync(server, HttpMethod.Options, "v1/completions",
            ("Origin", origin), ("Access-Control-Request-Method", "POST"),
                ("Access-Control-Request-Headers", "authorization, x-stainless-os"));
        Assert.AreEqual(HttpStatusCode.NoContent, preflight.StatusCode);
        Assert.AreEqual(allowed, Header(preflight, "Access-Control-Allow-Origin"));
        Assert.AreEqual(allowed is null ? null : "authorization, x-stainless-os", Header(preflight, "Access-Control-Allow-Headers"));
        Assert.AreEqual(allowed is null ? null : "GET, POST, DELETE, OPTIONS", Header(preflight, "Access-Control-Allow-Methods"));
        Assert.AreEqual("Origin", Header(preflight, "Vary"));

        // A page may send text/plain without asking first; what it may not read must not run either.
        using var answer = await SendAsync(server, HttpMethod.Post, "api/generate", ("Origin", origin), ("x-api-key", "key"));
        Assert.AreEqual(allowed is null ? HttpStatusCode.Forbidden : HttpStatusCode.OK, answer.StatusCode);
        Assert.AreEqual(allowed, Header(answer, "Access-Control-Allow-Origin"));
        if (allowed is null)
        {
            Assert.AreEqual($"the origin '{origin}' is not allowed (CORS); --cors allows an origin",
                (await answer.JsonAsync()).GetProperty("error").GetString());
            Assert.IsEmpty(server.Residency.Resident);
        }

        // An error can be read by the page as well.
        using var error = await SendAsync(server, HttpMethod.Get, "nowhere", ("Origin", origin), ("x-api-key", "key"));
        Assert.AreEqual(allowed, Header(error, "Access-Control-Allow-Origin"));
    }

    [TestMethod]
    public async Task A_client_that_takes_too_long_over_a_head_or_between_requests_is_let_go()
    {
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions
        {
            HeadersTimeout = TimeSpan.FromSeconds(1),
            IdleTimeout = TimeSpan.FromSeconds(1),
        });
        // Both read until the server closes the connection.
        var slow = server.RawAsync("GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
        var idle = server.RawAsync("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Assert.StartsWith("HTTP/1.1 408", await slow);
        Assert.StartsWith("HTTP/1.1 200", await idle);
    }

    [TestMethod]
    [DataRow("localhost", true)]
    [DataRow("LOCALHOST:1234", true)]
    [DataRow("app.localhost", true)]
    [DataRow("127.0.0.1:80", true)]
    [DataRow("127.9.9.9", true)]
    [DataRow("[::1]:11435", true)]
    [DataRow("evil.example", false)]
    [DataRow("evil.example:11435", false)]
    [DataRow("localhost.evil.example", false)]
    [DataRow("evillocalhost", false)]
    [DataRow("192.168.0.1", false)]
    [DataRow("127.0.0.1.evil.example", false)]
    public async Task A_name_that_was_pointed_at_this_machine_is_refused(string host, bool works)
    {
        await using var server = await ServerFixture.StartAsync();
        foreach (var path in new[] { "health", "v1/models" })
        {
            using var answer = await SendAsync(server, HttpMethod.Get, path, ("Host", host));
            Assert.AreEqual(works ? HttpStatusCode.OK : HttpStatusCode.Forbidden, answer.StatusCode);
            if (!works)
                Assert.Contains("which is not this machine", await answer.Content.ReadAsStringAsync());
        }
    }

    [TestMethod]
    [DataRow("Authorization", "Bearer one", 200)]
    [DataRow("Authorization", "bearer  two ", 200)]
    [DataRow("x-api-key", "two", 200)]
    [DataRow("Authorization", "Bearer three", 401)]
    [DataRow("Authorization", "Bearer one ,two", 401)]
    [DataRow("Authorization", "Basic one", 401)]
    [DataRow("x-api-key", "", 401)]
    [DataRow("x-api-key", "on", 401)]
    [DataRow("x-none", "one", 401)]
    public async Task A_key_lets_in_and_nothing_else_does(string header, string value, int status)
    {
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions { Keys = ApiKeyFile.Read(["one", "two"]) });
        foreach (var path in new[] { "v1/models", "v1/models/talker" })
        {
            using var answer = await SendAsync(server, HttpMethod.Get, path, (header, value));
            Assert.AreEqual(status, (int)answer.StatusCode);
            if (status == 200)
                continue;
            Assert.AreEqual("Bearer", answer.Headers.WwwAuthenticate.ToString());
            Assert.AreEqual("authentication_error", (await answer.JsonAsync()).GetProperty("error").GetProperty("type").GetString());
        }
        using var generated = await SendAsync(server, HttpMethod.Post, "api/generate", (header, value));
        Assert.AreEqual(status, (int)generated.StatusCode);
        using var unknown = await SendAsync(server, HttpMethod.Get, "nowhere", (header, value));
        Assert.AreEqual(status == 200 ? 404 : 401, (int)unknown.StatusCode);
        using var health = await SendAsync(server, HttpMethod.Get, "health", (header, value));
        Assert.AreEqual(HttpStatusCode.OK, health.StatusCode);
    }

    [TestMethod]
    public async Task Without_keys_any_is_accepted()
    {
        await using var server = await ServerFixture.StartAsync();
        using var answer = await SendAsync(server, HttpMethod.Get, "v1/models", ("Authorization", "Bearer whatever"));
        Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode);
    }

    [TestMethod]
    public async Task Every_answer_has_a_request_id_and_a_harmless_one_of_the_client_is_kept()
    {
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(loggers: log);
        var ids = new HashSet<string>();
        foreach (var (given, kept) in new[] { ("", false), ("mine-1_a.b:c", true),
            (new string('a', 128), true), (new string('a', 129), false), ("a b", false), ("<i>", false) })
        {
            using var answer = await SendAsync(server, HttpMethod.Get, "nowhere", ("x-request-id", given));
            var id = Header(answer, "x-request-id")!;
            Assert.AreEqual(kept, id == given);
            Assert.IsTrue(kept || id.StartsWith("req_", StringComparison.Ordinal), id);
            Assert.IsTrue(ids.Add(id));
            await log.WaitForAsync($"{id} GET /nowhere - 404");
        }
    }

    [TestMethod]
    public async Task A_path_forges_no_line_of_the_log()
    {
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(loggers: log);
        using var answer = await server.Client.GetAsync("health%0D%0Areq_1%20POST%20/api/generate");
        Assert.AreEqual(HttpStatusCode.NotFound, answer.StatusCode);
        var line = await log.WaitForAsync("404");
        Assert.DoesNotContain("\n", line);
        Assert.Contains("/health%0D%0Areq_1%20POST%20/api/generate", line);
    }

    [TestMethod]
    public async Task A_request_has_one_line_in_the_log_with_its_tokens()
    {
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(loggers: log);
        await server.AnswerAsync("v1/completions", """{"model":"talker","prompt":"one two"}""");
        Assert.Contains("POST /v1/completions talker 200: 2 prompt tokens (0 cached), 3 generated", await log.WaitForAsync("generated"));
        await server.Client.GetStringAsync("health");
        Assert.StartsWith("Debug", await log.WaitForAsync("GET /health"));
    }

    [TestMethod]
    [DataRow("Content-Length: 2000\r\n\r\n", DisplayName = "announced")]
    [DataRow("Transfer-Encoding: chunked\r\n\r\n", DisplayName = "chunked")]
    public async Task A_body_over_the_limit_is_413(string rest)
    {
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions { BodyLimit = 1024 });
        var body = rest.Contains("chunked", StringComparison.Ordinal) ? $"7d0\r\n{new string(' ', 2000)}\r\n0\r\n\r\n" : "";
        var answer = await server.RawAsync($"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{rest}{body}");

        Assert.StartsWith("HTTP/1.1 413 ", answer);
        Assert.EndsWith(
            """{"error":{"message":"the request body is larger than this server accepts","type":"invalid_request_error","param":null,"code":"request_too_large"}}""", answer);
        await server.AnswerAsync("api/generate", Ask);
    }

    [TestMethod]
    [DataRow("application/json")]
    [DataRow("application/x-www-form-urlencoded")]
    [DataRow("text/plain; charset=utf-8")]
    [DataRow("multipart/form-data; boundary=x")]
    [DataRow("nonsense")]
    [DataRow(null)]
    public async Task A_body_is_read_as_JSON_whatever_type_it_claims(string? type)
    {
        // curl -d sends a form's type; a page cannot abuse this, see allow_origins.
        await using var server = await ServerFixture.StartAsync();
        var answer =
            await server.RawAsync(
                $"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{(type is null ? "" : $"Content-Type: {type}\r\n")}Content-Length: {Ask.Length}\r\n\r\n{Ask}");
        Assert.StartsWith("HTTP/1.1 200 OK", answer);
        Assert.Contains("I am talker", answer);
    }

    [TestMethod]
    public async Task A_body_in_UTF16_is_no_JSON()
    {
        await using var server = await ServerFixture.StartAsync();
        using var answer = await server.Client.PostAsync("api/generate", new StringContent(Ask, Encoding.Unicode, "application/json"));
        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.StartsWith("the body is not valid JSON (line 1, byte ", (await answer.JsonAsync()).GetProperty("error").GetString());
    }

    private static Task<HttpResponseMessage> SendAsync(ServerFixture server, HttpMethod method,
        string path, params (string Name, string Value)[] headers)
    {
        var request = new HttpRequestMessage(method, path);
        if (method == HttpMethod.Post)
            request.Content = new StringContent(Ask);
        foreach (var (name, value) in headers)
            Assert.IsTrue(request.Headers.TryAddWithoutValidation(name, value));
        return server.Client.SendAsync(request);
    }

    private static string? Header(HttpResponseMessage answer, string name) =>
        answer.Headers.TryGetValues(name, out var values) ? string.Join(", ", values) : null;
}
