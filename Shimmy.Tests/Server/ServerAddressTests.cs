using System.Net;
using System.Text.Json;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Server;

/// <summary>
/// Kind: the address of a server as people type it into a client: with /v1 missing, twice, behind a whole route, with a slash too many.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ServerAddressTests
{
    private const string Chat = """{"model":"talker","messages":[{"role":"user","content":"?"}]}""";

    private static ServerFixture _server = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext context) => _server = await ServerFixture.StartAsync();

    [ClassCleanup]
    public static async Task StopAsync() => await _server.DisposeAsync();

    [TestMethod]
    [DataRow("/chat/completions")]
    [DataRow("//v1/chat/completions")]
    [DataRow("/v1//chat/completions")]
    [DataRow("/v1/v1/chat/completions")]
    [DataRow("/api/v1/chat/completions")]
    [DataRow("/openai/v1/chat/completions")]
    [DataRow("/v1/chat/completions/chat/completions")]
    [DataRow("/v1/chat/completions/v1/chat/completions")]
    [DataRow("/V1/Chat/Completions/")]
    public async Task A_mistyped_address_finds_its_route(string path)
    {
        var request = $"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {Chat.Length}\r\nConnection: close\r\n\r\n{Chat}";
        Assert.StartsWith("HTTP/1.1 200", await _server.RawAsync(request), path);
    }

    [TestMethod]
    [DataRow("models")]
    [DataRow("models/talker")]
    [DataRow("v1/v1/models/talker")]
    [DataRow("healthz")]
    [DataRow("v1/health")]
    public async Task So_do_the_routes_that_tell(string path)
    {
        using var answer = await _server.Client.GetAsync(path);
        Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode);
    }

    [TestMethod]
    [DataRow("POST", "v1/chat/completion", "/v1/chat/completions")]
    [DataRow("POST", "v1/embed", "/v1/embeddings")]
    [DataRow("GET", "v1/response", "/v1/responses")]
    [DataRow("POST", "api/generat", "/api/generate")]
    public async Task A_route_that_there_is_not_is_404_and_names_the_nearest(string method, string path, string nearest)
    {
        using var answer = await _server.Client.SendAsync(new HttpRequestMessage(new HttpMethod(method), path));
        Assert.AreEqual(HttpStatusCode.NotFound, answer.StatusCode);
        var error = (await answer.JsonAsync()).GetProperty("error");
        var message = error.ValueKind == JsonValueKind.Object ? error.GetProperty("message").GetString()! : error.GetString()!;
        Assert.Contains($"the nearest is {nearest}", message);
        Assert.AreEqual(path.StartsWith("v1", StringComparison.Ordinal), error.ValueKind == JsonValueKind.Object);
    }

    [TestMethod]
    [DataRow("POST")]
    [DataRow("GET")]
    public async Task Compact_is_not_the_id_of_a_response(string method)
    {
        using var answer = await _server.Client.SendAsync(new HttpRequestMessage(new HttpMethod(method), "v1/responses/compact"));
        Assert.AreEqual(HttpStatusCode.NotFound, answer.StatusCode);
        Assert.Contains("route_not_found", await answer.Content.ReadAsStringAsync());
    }

    [TestMethod]
    public async Task Models_are_listed_as_Anthropic_does_for_its_clients()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "v1/models?limit=10");
        request.Headers.Add("anthropic-version", "2023-06-01");
        using var answer = await _server.Client.SendAsync(request);
        var list = await answer.JsonAsync();
        var model = list.GetProperty("data")[0];
        Assert.AreEqual(("model", "talker", "talker"), (model.GetProperty("type").GetString(), model.GetProperty("id").GetString(),
            model.GetProperty("display_name").GetString()));
        Assert.MatchesRegex("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$", model.GetProperty("created_at").GetString()!);
        Assert.AreEqual((false, "talker", "talker"), (list.GetProperty("has_more").GetBoolean(),
            list.GetProperty("first_id").GetString(), list.GetProperty("last_id").GetString()));
        Assert.Contains("\"object\":\"list\"", await _server.Client.GetStringAsync("v1/models"));

        using var unknown = new HttpRequestMessage(HttpMethod.Get, "v1/models/nobody");
        unknown.Headers.Add("anthropic-version", "2023-06-01");
        using var refused = await _server.Client.SendAsync(unknown);
        Assert.AreEqual(HttpStatusCode.NotFound, refused.StatusCode);
        Assert.AreEqual("error", (await refused.JsonAsync()).GetProperty("type").GetString());
    }

    [TestMethod]
    [DataRow("{% for message in messages %}{{ message.content }}{% endfor %}", false, false)]
    [DataRow("{% for tool in tools %}{% endfor %}{{ messages }}", true, false)]
    [DataRow("{{ messages }}{% if tools %}{% endif %}{% if enable_thinking %}<think>{% endif %}", true, true)]
    public void What_a_model_can_do_is_read_off_the_template_in_its_file(string template, bool callsTools, bool thinks)
    {
        using var folder = new TemporaryFolder();
        var path = folder["model.gguf"];
        RandomModel.Write(path, new RandomModelShape { ChatTemplate = template });
        var entry = Shimmy.Models.Discovery.SingleFile.Open(path);
        Assert.AreEqual((callsTools, thinks), (entry.CallsTools, entry.Thinks));
    }
}
