using System.Net;
using System.Security.Cryptography;
using System.Text.Json;
using Shimmy.Api;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

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
    public async Task A_router_loads_and_unloads_what_it_is_asked_to()
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
    [DataRow("lora-adapters?model=two", "")]
    [DataRow("lora-adapters?model=two", "[]")]
    [DataRow("slots/0?action=erase&model=two", "{}")]
    public async Task Nor_does_it_load_for_what_is_asked_by_the_address(string path, string body)
    {
        await using var server = await StartAsync(
            new LlamaServerMode { IsOn = true, Routes = true, LoadsModels = false, SlotFolder = Path.GetTempPath() });

        using var refused = body.Length == 0 ? await server.Client.GetAsync(path) : await server.PostAsync(path, body);

        Assert.AreEqual(HttpStatusCode.BadRequest, refused.StatusCode);
        Assert.Contains("not loaded", await refused.Content.ReadAsStringAsync());
        Assert.AreEqual("unloaded", await StatusAsync(server, "two"));
    }

    [TestMethod]
    public async Task A_load_that_failed_is_reported_in_the_list()
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
              {"@requestFormat":"none"},
              {"@requestFormat":"predict","instances":[]},
              {"@requestFormat":"/api/chat","model":"one","messages":[{"role":"user","content":"a"}]}]}
            """))).GetProperty("predictions");

        Assert.AreEqual("I am one",
            predictions[0].GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString());
        Assert.AreEqual(JsonValueKind.Array, predictions[1].GetProperty("tokens").ValueKind);
        // Ollama's dialect streams lines of JSON where it is not told otherwise.
        Assert.AreEqual("I am one", predictions[5].GetProperty("message").GetProperty("content").GetString());
        foreach (var i in (int[])[2, 3, 4])
            Assert.AreEqual("invalid_request_error", predictions[i].GetProperty("error").GetProperty("type").GetString());
    }

    [TestMethod]
    public async Task An_instance_has_a_time_of_its_own_and_all_count_for_the_key()
    {
        var mode = new LlamaServerMode { IsOn = true, PredictRoute = "/predict" };
        mode.Loading.SetResult();
        var key = new ApiKey("vertex", SHA256.HashData("1"u8)) { TokensPerMinute = 1000 };
        var log = new CapturedLog();
        var engine = new ScriptedEngine
        {
            BeforeToken = cancellation => Task.Delay(Timeout.InfiniteTimeSpan, cancellation),
        };
        await using var server = await ServerFixture.StartAsync(
            engine, new ServerOptions { LlamaServer = mode, Keys = [key] }, log, "one");
        server.Client.DefaultRequestHeaders.Authorization = new("Bearer", "1");

        var slow = (await Answers.JsonAsync(await server.PostAsync("predict",
            """{"instances":[{"@requestFormat":"completion","prompt":"a b","timeout":0.05},{"@requestFormat":"tokenize","content":"a"}]}""")))
            .GetProperty("predictions");
        engine.BeforeToken = _ => Task.CompletedTask;
        await server.AnswerAsync("predict",
            """{"instances":[{"@requestFormat":"completion","prompt":"a b"},{"@requestFormat":"completion","prompt":"a b c"}]}""");

        Assert.AreEqual(504, slow[0].GetProperty("error").GetProperty("code").GetInt32());
        Assert.IsTrue(slow[1].TryGetProperty("tokens", out _));
        await log.WaitForAsync("5 prompt tokens (0 cached), 6 generated");
    }

    [TestMethod]
    public async Task All_of_a_prediction_ends_with_its_own_time()
    {
        var mode = new LlamaServerMode { IsOn = true, PredictRoute = "/predict" };
        mode.Loading.SetResult();
        await using var server = await ServerFixture.StartAsync(
            new ScriptedEngine { BeforeToken = cancellation => Task.Delay(Timeout.InfiniteTimeSpan, cancellation) },
            new ServerOptions { LlamaServer = mode, RequestTimeout = TimeSpan.FromMilliseconds(50) }, null, "one");

        using var answer = await server.PostAsync("predict", """{"instances":[{"@requestFormat":"completion","prompt":"a"}]}""");

        Assert.AreEqual(HttpStatusCode.GatewayTimeout, answer.StatusCode);
    }

    [TestMethod]
    public async Task Browsers_that_had_the_other_servers_page_are_rid_of_its_worker()
    {
        await using var server = await StartAsync(new LlamaServerMode { IsOn = true });

        Assert.Contains("unregister", await server.Client.GetStringAsync("sw.js"));
        Assert.AreEqual("Shimmy", (await server.JsonAsync("manifest.webmanifest")).GetProperty("name").GetString());
    }
}
