using System.Net;
using System.Text.Json;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Http;

/// <summary>Holds the route table against the frozen inventory: nothing missing but what is listed as absent, nothing beside it.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class RouteTableTests
{
    // As the inventory has them, and /v1/rerank, which came with embeddings, and what lies below /v1/responses, and llama-server's; HEAD
    // goes with GET where a route only tells something.
    private static readonly string[] Inventory =
    [
        "GET /health", "GET /metrics", "GET /diag",
        "POST /api/generate", "GET /api/models", "POST /api/models/discover",
        "POST /api/models/{name}/load", "POST /api/models/{name}/unload", "GET /api/models/{name}/status",
        "GET /api/tools", "POST /api/tools/{name}/execute", "POST /api/workflows/execute",
        "GET /ws/generate",
        "GET /v1/models", "GET /v1/models/{id}", "POST /v1/chat/completions", "POST /v1/completions",
            "POST /v1/embeddings", "POST /v1/rerank", "POST /v1/audio/transcriptions", "POST /v1/responses",
        "GET /v1/responses/{id}", "DELETE /v1/responses/{id}", "POST /v1/responses/{id}/cancel",
            "GET /v1/responses/{id}/input_items", "POST /v1/responses/input_tokens",
        "POST /v1/messages", "POST /v1/messages/count_tokens",
        "GET /api/version", "GET /api/tags", "GET /api/ps", "POST /api/chat", "POST /api/show", "POST /api/embed",
        // Ollama's others; its /api/generate is beside Shimmy's own.
        "GET /", "GET /page/{file}", "GET /api/events", "POST /api/embeddings", "POST /api/copy",
            "POST /api/pull", "POST /api/models/pull", "POST /api/create", "DELETE /api/delete",
            "POST /api/blobs/{digest}",
        "POST /tokenize", "POST /detokenize", "POST /apply-template",
        "POST /completion", "POST /completions", "POST /infill", "GET /props", "POST /props", "GET /lora-adapters", "POST /lora-adapters",
        "GET /slots", "POST /slots/{id}", "POST /embedding",
        "POST /v1/chat/completions/input_tokens", "POST /v1/chat/completions/control",
        "POST /v1/completions/render", "POST /v1/chat/completions/render",
        "GET /v1/stream", "DELETE /v1/stream", "POST /v1/streams/lookup",
    ];

    // What no issue has brought yet. Each issue shortens this list.
    private static readonly string[] Absent =
    [
        "GET /api/tools", "POST /api/tools/{name}/execute", "POST /api/workflows/execute",
    ];

    [TestMethod]
    public async Task The_route_table_is_the_inventorys_but_the_absent_ones()
    {
        await using var server = await ServerFixture.StartAsync();

        CollectionAssert.IsSubsetOf(Absent, Inventory);
        CollectionAssert.AreEquivalent(
            Inventory.Except(Absent).ToArray(),
            server.Server.Routes.SelectMany(
                route => route.Methods.Where(method => method != "HEAD")
                    .Select(method => $"{method} {route.Pattern.Replace("{**", "{", StringComparison.Ordinal)}")).ToArray());
        foreach (var (methods, pattern) in server.Server.Routes)
        {
            // Ollama's clients ask whether a file is there, and never for the file.
            if (!pattern.StartsWith("/api/blobs/", StringComparison.Ordinal))
                Assert.AreEqual(methods.Contains("GET") && pattern != "/ws/generate", methods.Contains("HEAD"), pattern);
        }
    }

    [TestMethod]
    public async Task What_is_absent_answers_404_with_a_body_in_its_dialect()
    {
        await using var server = await ServerFixture.StartAsync();

        foreach (var route in Absent.Append("GET /v2/models").Append("DELETE /v1"))
        {
            var (method, path) = (route.Split(' ')[0], route.Split(' ')[1].Replace("{name}", "a", StringComparison.Ordinal));
            using var answer = await server.Client.SendAsync(new HttpRequestMessage(new HttpMethod(method), path[1..]));
            Assert.AreEqual(HttpStatusCode.NotFound, answer.StatusCode, route);
            var error = (await answer.JsonAsync()).GetProperty("error");
            var message = error.ValueKind == JsonValueKind.String ? error.GetString() : error.GetProperty("message").GetString();
            Assert.AreEqual(path.StartsWith("/v1", StringComparison.Ordinal), error.ValueKind == JsonValueKind.Object, route);
            Assert.StartsWith($"there is no route {method} {path}; the nearest is /", message);
            Assert.EndsWith(", and GET /health lists the endpoints", message);
        }
    }

    [TestMethod]
    public async Task Health_names_routes_that_there_are()
    {
        await using var server = await ServerFixture.StartAsync();
        using var health = JsonDocument.Parse(await server.Client.GetStringAsync("health"));

        Assert.AreEqual(
            "chat_completions completions diag embeddings generate health messages metrics models native_models ollama_chat ollama_models "
            + "rerank responses websocket",
            string.Join(' ', health.RootElement.GetProperty("endpoints").EnumerateObject().Select(endpoint => endpoint.Name).Order()));
        var patterns = server.Server.Routes.Select(route => route.Pattern).ToList();
        foreach (var endpoint in health.RootElement.GetProperty("endpoints").EnumerateObject())
            Assert.Contains(endpoint.Value.GetString()!, patterns);
    }

    [TestMethod]
    [DataRow("POST", "/health", "GET, HEAD")]
    [DataRow("DELETE", "/v1/models", "GET, HEAD")]
    [DataRow("DELETE", "/v1/models/talker", "GET, HEAD")]
    [DataRow("GET", "/v1/chat/completions", "POST")]
    [DataRow("GET", "/v1/completions", "POST")]
    [DataRow("PUT", "/api/generate", "POST")]
    [DataRow("POST", "/ws/generate", "GET")]
    [DataRow("OPTIONS", "/api/generate", "POST")]
    [DataRow("HEAD", "/api/generate", "POST")]
    public async Task A_wrong_method_is_answered_405_with_those_that_are_right(string method, string path, string allowed)
    {
        await using var server = await ServerFixture.StartAsync();
        using var answer = await server.Client.SendAsync(new HttpRequestMessage(new HttpMethod(method), path));

        Assert.AreEqual(HttpStatusCode.MethodNotAllowed, answer.StatusCode);
        Assert.AreEqual(allowed, string.Join(", ", answer.Content.Headers.Allow.Order()));
        if (method == "HEAD")
            return;
        var error = (await answer.JsonAsync()).GetProperty("error");
        if (path.StartsWith("/v1", StringComparison.Ordinal))
        {
            Assert.AreEqual("method_not_allowed", error.GetProperty("code").GetString());
            error = error.GetProperty("message");
        }
        Assert.AreEqual($"the method {method} is not allowed for {path}; allowed: {allowed}", error.GetString());
    }

    [TestMethod]
    [DataRow("health")]
    [DataRow("v1/models")]
    [DataRow("v1/models/talker")]
    public async Task HEAD_is_GET_without_the_body(string path)
    {
        await using var server = await ServerFixture.StartAsync();
        using var head = await server.Client.SendAsync(new HttpRequestMessage(HttpMethod.Head, path));
        using var get = await server.Client.GetAsync(path);

        Assert.AreEqual((HttpStatusCode.OK, get.StatusCode), (head.StatusCode, HttpStatusCode.OK));
        Assert.AreEqual(get.Content.Headers.ContentType, head.Content.Headers.ContentType);
        Assert.AreEqual("", await head.Content.ReadAsStringAsync());
        Assert.AreNotEqual("", await get.Content.ReadAsStringAsync());
    }
}
