using System.Net;
using System.Text;
using System.Text.Json;
using Shimmy.Api;
using Shimmy.Engine;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Api.LlamaServer;

/// <summary>llama-server as a router, and what it has for the places that it runs in.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class LlamaRouterTests
{
    private static Task<ServerFixture> StartAsync(LlamaServerMode mode, ScriptedEngine? engine = null)
    {
        mode.Loading.SetResult();
        return ServerFixture.StartAsync(engine, new ServerOptions { LlamaServer = mode }, null, "one", "two");
    }

    private static async Task<JsonElement> ListedAsync(ServerFixture server, string name) =>
        (await server.JsonAsync("models")).GetProperty("data").EnumerateArray().Single(model => model.GetProperty("id").GetString() == name);

    private static async Task<string?> StatusAsync(ServerFixture server, string name) =>
        (await ListedAsync(server, name)).GetProperty("status").GetProperty("value").GetString();

    [TestMethod]
    public async Task A_router_loads_and_unloads_what_it_is_told()
    {
        await using var server = await StartAsync(new LlamaServerMode { IsOn = true, Routes = true, MostModels = 3 });
        var props = await server.JsonAsync("props");

        Assert.AreEqual("unloaded", await StatusAsync(server, "one"));
        await server.AnswerAsync("models/load", """{"model":"one"}""");
        await Poll.UntilAsync(async () => await StatusAsync(server, "one") == "loaded", "the load");
        using var again = await server.PostAsync("models/load", """{"model":"one"}""");
        await server.AnswerAsync("models/unload", """{"model":"one"}""");
        await Poll.UntilAsync(async () => await StatusAsync(server, "one") == "unloaded", "the unload");
        using var gone = await server.PostAsync("models/unload", """{"model":"one"}""");
        using var unknown = await server.PostAsync("models/load", """{"model":"three"}""");

        Assert.AreEqual(("router", 3), (props.GetProperty("role").GetString(), props.GetProperty("max_instances").GetInt32()));
        Assert.AreEqual(
            (HttpStatusCode.BadRequest, HttpStatusCode.BadRequest, HttpStatusCode.NotFound),
            (again.StatusCode, gone.StatusCode, unknown.StatusCode));
    }

    [TestMethod]
    public async Task A_router_that_does_not_load_by_itself_says_so()
    {
        await using var server = await StartAsync(new LlamaServerMode { IsOn = true, Routes = true, LoadsModels = false });
        const string Ask = """{"model":"two","prompt":"a","n_predict":1}""";

        using var refused = await server.PostAsync("completion", Ask);
        Assert.AreEqual("unloaded", await StatusAsync(server, "two"));
        await server.AnswerAsync("completion?autoload=1", Ask);

        Assert.AreEqual(HttpStatusCode.BadRequest, refused.StatusCode);
        Assert.Contains("not loaded", await refused.Content.ReadAsStringAsync());
        Assert.AreEqual("loaded", await StatusAsync(server, "two"));
        await server.AnswerAsync("completion", Ask);
    }

    [TestMethod]
    public async Task A_load_that_failed_is_told_in_the_list()
    {
        await using var server = await StartAsync(new LlamaServerMode { IsOn = true, Routes = true }, new ScriptedEngine
        {
            Loading = (_, _, _) => throw new EngineException(EngineFailure.LoadFailed, "broken"),
        });

        await server.AnswerAsync("models/load", """{"model":"one"}""");

        await Poll.UntilAsync(async () => (await ListedAsync(server, "one")).GetProperty("status").TryGetProperty("failed", out _),
            "the failure");
        Assert.AreEqual("unloaded", await StatusAsync(server, "one"));
    }

    [TestMethod]
    public async Task A_server_of_one_model_is_no_router()
    {
        await using var server = await StartAsync(new LlamaServerMode { IsOn = true });

        using var refused = await server.PostAsync("models/load", """{"model":"one"}""");

        Assert.AreEqual(HttpStatusCode.NotImplemented, refused.StatusCode);
    }

    [TestMethod]
    public async Task An_instance_of_a_prediction_is_a_request_to_the_route_that_it_names()
    {
        await using var server = await StartAsync(new LlamaServerMode { IsOn = true, PredictRoute = "/predict" });

        var predictions = (await Answers.JsonAsync(await server.PostAsync("predict", """
            {"instances":[
              {"@requestFormat":"chatCompletions","stream":true,"messages":[{"role":"user","content":"a"}]},
              {"@requestFormat":"/tokenize","content":"a"},
              {"@requestFormat":"chatCompletions"},
              {"@requestFormat":"none"}]}
            """))).GetProperty("predictions");

        Assert.AreEqual("I am one",
            predictions[0].GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString());
        Assert.AreEqual(JsonValueKind.Array, predictions[1].GetProperty("tokens").ValueKind);
        foreach (var i in (int[])[2, 3])
            Assert.AreEqual("invalid_request_error", predictions[i].GetProperty("error").GetProperty("type").GetString());
    }

    [TestMethod]
    public async Task The_proxy_passes_on_the_headers_that_are_meant_for_the_other_side_alone()
    {
        await using var server = await StartAsync(new LlamaServerMode { IsOn = true, Proxies = true });
        using var listener = new System.Net.Sockets.TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var seen = Task.Run(async () =>
        {
            using var client = await listener.AcceptTcpClientAsync();
            var bytes = new byte[4096];
            var read = await client.GetStream().ReadAsync(bytes);
            await client.GetStream().WriteAsync("HTTP/1.1 418 No\r\nX-Own: 1\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nhi"u8.ToArray());
            return Encoding.UTF8.GetString(bytes, 0, read);
        });
        using var request = new HttpRequestMessage(HttpMethod.Get, $"cors-proxy?url=http://{listener.LocalEndpoint}/x");
        request.Headers.Add("Cookie", "secret=1");
        request.Headers.Add("x-api-key", "secret");
        request.Headers.Add("x-llama-server-proxy-header-authorization", "Bearer other");

        using var answer = await server.Client.SendAsync(request);
        var asked = await seen;

        Assert.AreEqual((418, "hi"), ((int)answer.StatusCode, await answer.Content.ReadAsStringAsync()));
        Assert.IsTrue(answer.Headers.Contains("X-Own") && !answer.Headers.Contains("Set-Cookie"));
        Assert.Contains("Authorization: Bearer other", asked, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("secret", asked);
    }

    [TestMethod]
    [DataRow(false, "http://127.0.0.1/", HttpStatusCode.Forbidden)]
    [DataRow(true, "file:///etc/passwd", HttpStatusCode.BadRequest)]
    [DataRow(true, "http://a:b@127.0.0.1/", HttpStatusCode.BadRequest)]
    [DataRow(true, "", HttpStatusCode.BadRequest)]
    public async Task The_proxy_is_asked_for_and_takes_web_addresses_alone(bool isOn, string url, HttpStatusCode expected)
    {
        await using var server = await StartAsync(new LlamaServerMode { IsOn = true, Proxies = isOn });

        using var answer = await server.Client.GetAsync("cors-proxy?url=" + Uri.EscapeDataString(url));

        Assert.AreEqual(expected, answer.StatusCode);
    }

    [TestMethod]
    public async Task Browsers_that_had_the_other_servers_page_are_rid_of_its_worker()
    {
        await using var server = await StartAsync(new LlamaServerMode { IsOn = true });

        Assert.Contains("unregister", await server.Client.GetStringAsync("sw.js"));
        Assert.AreEqual("Shimmy", (await server.JsonAsync("manifest.webmanifest")).GetProperty("name").GetString());
    }
}
