using System.Net;
using Shimmy.Engine;
using Shimmy.Models;
using Shimmy.Models.Discovery;
using Shimmy.Models.Registry;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api;

/// <summary>What a server tells those that choose among many: metrics, adapters as models, the tokens of a prompt.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class FleetTests
{
    [TestMethod]
    public async Task The_first_series_of_what_is_routed_by_is_the_whole_servers()
    {
        var engine = new ScriptedEngine
        {
            Statistics = spec => spec.Name == "one"
                ? new EngineStatistics { SlotsBusy = 2, Waiting = 5, Cells = 6400, CellsUsed = 3200, CellsBusy = 1600, RunningAdapters = ["b", "a"] }
                : new EngineStatistics { SlotsBusy = 1, Waiting = 1, Cells = 1600, CellsUsed = 1600, CellsBusy = 400, WaitingAdapters = ["c"] },
        };
        await using var server = await ServerFixture.StartAsync(engine, new ServerOptions { MetricsAsVllm = true }, null, "one", "other");
        var before = await FirstSeriesAsync(server);
        Assert.AreEqual("0", before["shimmy_requests_waiting"]);
        foreach (var model in new[] { "one", "other" })
            await server.AnswerAsync("api/generate", $$"""{"model":"{{model}}","prompt":"?"}""");
        var metrics = await FirstSeriesAsync(server);
        Assert.AreEqual("6", metrics["shimmy_requests_waiting"]);
        Assert.AreEqual("3", metrics["shimmy_requests_running"]);
        Assert.AreEqual("0.25", metrics["shimmy_kv_cache_usage_ratio"]);
        Assert.AreEqual("64", metrics["shimmy_kv_block_size_tokens"]);
        Assert.AreEqual("125", metrics["shimmy_kv_blocks"]);
        foreach (var (vllm, own) in new[] { ("num_requests_waiting", "shimmy_requests_waiting"),
            ("num_requests_running", "shimmy_requests_running"),
            ("kv_cache_usage_perc", "shimmy_kv_cache_usage_ratio") })
        {
            Assert.AreEqual(metrics[own], metrics["vllm:" + vllm]);
        }
        Assert.IsTrue(metrics.ContainsKey("vllm:cache_config_info{block_size=\"64\",num_gpu_blocks=\"125\"}"));
        const string loras = "_requests_info{max_lora=\"0\",running_lora_adapters=\"a,b\",waiting_lora_adapters=\"c\"}";
        Assert.AreEqual(metrics["shimmy_lora" + loras], metrics["vllm:lora" + loras]);
        Assert.AreEqual(metrics["shimmy_lora" + loras], (await FirstSeriesAsync(server))["shimmy_lora" + loras],
            "the time of the change stays");
        Assert.IsGreaterThan(double.Parse(before.Single(pair => pair.Key.StartsWith("shimmy_lora", StringComparison.Ordinal)).Value,
            System.Globalization.CultureInfo.InvariantCulture),
            double.Parse(metrics["shimmy_lora" + loras], System.Globalization.CultureInfo.InvariantCulture));
    }

    [TestMethod]
    public async Task A_worker_that_does_not_answer_in_time_is_as_busy_as_it_said_last_or_as_what_it_was_given()
    {
        var (silent, release) = (false, new TaskCompletionSource());
        var said = new EngineStatistics { Waiting = 7, Cells = 640, CellsBusy = 64 };
        var engine = new ScriptedEngine { Statistics = _ => said };
        engine.BeforeStatistics = token => silent ? Task.Delay(Timeout.Infinite, token) : Task.CompletedTask;
        await using var server = await ServerFixture.StartAsync(engine);
        await server.AnswerAsync("api/generate", """{"model":"talker","prompt":"?"}""");
        Assert.AreEqual("7", (await FirstSeriesAsync(server))["shimmy_requests_waiting"]);

        silent = true;
        var last = await FirstSeriesAsync(server);
        Assert.AreEqual(("7", "0", "0.1"), (last["shimmy_requests_waiting"], last["shimmy_requests_running"],
            last["shimmy_kv_cache_usage_ratio"]));

        // Idle when it was asked last, and given six requests since.
        (silent, said) = (false, new EngineStatistics());
        Assert.AreEqual("0", (await FirstSeriesAsync(server))["shimmy_requests_waiting"]);
        silent = true;
        engine.BeforeToken = _ => release.Task;
        var slots = server.Residency.Resident.Single().Model!.Facts.Slots;
        var requests = Enumerable.Range(0, slots + 2)
            .Select(i => server.AnswerAsync("api/generate", $$"""{"model":"talker","prompt":"{{i}}"}""")).ToArray();
        await Poll.UntilAsync(() => server.Residency.Resident.Single().Requests == requests.Length, "all have the model");
        var metrics = await FirstSeriesAsync(server);
        Assert.AreEqual(($"{slots}", "2"), (metrics["shimmy_requests_running"], metrics["shimmy_requests_waiting"]));
        release.SetResult();
        await Task.WhenAll(requests);
    }

    [TestMethod]
    public async Task Requests_that_wait_for_a_load_are_in_the_queue()
    {
        var release = new TaskCompletionSource();
        var engine = new ScriptedEngine { Loading = (_, _, _) => release.Task };
        await using var server = await ServerFixture.StartAsync(engine, null, null, "one", "other");
        var requests = Enumerable.Range(0, 3)
            .Select(i => server.AnswerAsync("api/generate", $$"""{"model":"one","prompt":"{{i}}"}""")).ToArray();
        await Poll.UntilAsync(() => server.Residency.Resident is [{ Requests: 3 }], "all wait");
        var metrics = await server.Client.GetStringAsync("metrics");
        Assert.Contains("\nshimmy_requests_waiting 3\n", metrics);
        Assert.Contains("\nshimmy_requests_waiting{model=\"one\"} 3\n", metrics);
        Assert.Contains("\nshimmy_requests_waiting{model=\"other\"} 0\n", metrics);
        Assert.Contains("\nshimmy_requests_running{model=\"one\"} 0\n", metrics);
        release.SetResult();
        await Task.WhenAll(requests);
        Assert.Contains("\nshimmy_requests_waiting 0\n", await server.Client.GetStringAsync("metrics"));
    }

    [TestMethod]
    public async Task Adapters_in_the_metrics_have_the_names_that_requests_use()
    {
        await using var server = await WithAdaptersAsync(new ScriptedEngine
        {
            Statistics = spec => new EngineStatistics
            {
                RunningAdapters = spec.Name == "base" ? ["sql", "both"] : ["base"],
                WaitingAdapters = spec.Name == "base" ? [] : ["both", "un named, one"],
            },
        });
        // Routers send requests for an adapter to servers that have room for one, which are all, also before a model is loaded.
        Assert.Contains("max_lora=\"4\"", await server.Client.GetStringAsync("metrics"));
        foreach (var model in new[] { "base", "second" })
            await server.AnswerAsync("api/generate", $$"""{"model":"{{model}}","prompt":"?"}""");
        var metrics = await server.Client.GetStringAsync("metrics");
        Assert.Contains("running_lora_adapters=\"base/both,second/base,sql\"", metrics);
        Assert.Contains("waiting_lora_adapters=\"second/both,un named_ one\"", metrics);
    }

    [TestMethod]
    public async Task VLLMs_names_are_there_for_who_asks_for_them()
    {
        await using var server = await ServerFixture.StartAsync();
        Assert.DoesNotContain("vllm:", await server.Client.GetStringAsync("metrics"));
    }

    [TestMethod]
    public async Task A_metrics_key_opens_metrics_alone()
    {
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions
        {
            Keys = ApiKeyFile.Read(["client"]),
            MetricsKeys = ApiKeyFile.Read(["scraper"]),
        });
        Assert.AreEqual(HttpStatusCode.OK, await StatusAsync(server, "metrics", "scraper"));
        Assert.AreEqual(HttpStatusCode.OK, await StatusAsync(server, "metrics", "client"));
        Assert.AreEqual(HttpStatusCode.Unauthorized, await StatusAsync(server, "metrics", null));
        Assert.AreEqual(HttpStatusCode.Unauthorized, await StatusAsync(server, "v1/models", "scraper"));
        await using var open = await ServerFixture.StartAsync(options: new ServerOptions { MetricsKeys = ApiKeyFile.Read(["scraper"]) });
        Assert.AreEqual(HttpStatusCode.Unauthorized, await StatusAsync(open, "metrics", "anything"));
        Assert.AreEqual(HttpStatusCode.OK, await StatusAsync(open, "v1/models", null));
    }

    [TestMethod]
    public async Task The_address_of_the_metrics_needs_no_key_and_answers_nothing_else()
    {
        var port = ServerProcess.FreePort();
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions
        {
            Keys = ApiKeyFile.Read(["client"]),
            MetricsBind = ("--metrics-bind", port.ToString(System.Globalization.CultureInfo.InvariantCulture)),
        });
        Assert.AreEqual($"http://127.0.0.1:{port}/", server.Server.MetricsAddress!.ToString());
        using var scraper = new HttpClient { BaseAddress = server.Server.MetricsAddress };
        Assert.Contains("shimmy_requests_waiting 0\n", await scraper.GetStringAsync("metrics"));
        Assert.Contains("\"ok\"", await scraper.GetStringAsync("health"));
        Assert.Contains("\"talker\"", await scraper.GetStringAsync("v1/models"));
        using (var posted = await scraper.PostAsync("v1/models", null))
            Assert.IsFalse(posted.IsSuccessStatusCode);
        foreach (var path in new[] { "v1/models/talker", "api/models", "", "diag", "nowhere" })
        {
            using var answer = await scraper.GetAsync(path);
            Assert.AreEqual(HttpStatusCode.NotFound, answer.StatusCode, path);
            Assert.Contains("--metrics-bind", await answer.Content.ReadAsStringAsync());
        }
        Assert.AreEqual(HttpStatusCode.Unauthorized, await StatusAsync(server, "metrics", null));
    }

    [TestMethod]
    public async Task An_adapter_is_a_model_with_a_parent_and_answers_to_its_name_in_every_dialect()
    {
        var engine = new ScriptedEngine();
        var facts = engine.Facts;
        engine.Facts = spec => facts(spec) with
        {
            Adapters = [.. spec.Loras.Select((lora, i) => new AdapterFacts(i, lora.Name, lora.Path, lora.Scale))],
        };
        await using var server = await WithAdaptersAsync(engine);
        var models = (await (await server.Client.GetAsync("v1/models")).JsonAsync()).GetProperty("data").EnumerateArray()
            .Select(model => (model.GetProperty("id").GetString(),
                model.TryGetProperty("parent", out var parent) ? parent.GetString() : null)).ToArray();
        CollectionAssert.AreEquivalent(new (string?, string?)[]
        {
            ("base", null), ("second", null), ("sql", "base"), ("base/both", "base"), ("second/both", "second"), ("second/base", "second"),
        }, models);
        foreach (var (name, adapter) in new[] { ("base", null), ("sql", "sql"), ("base/both", "base/both") })
        {
            var status = await server.JsonAsync($"api/models/{name}/status");
            Assert.AreEqual(("base", adapter), (status.GetProperty("model").GetString(),
                status.TryGetProperty("adapter", out var told) ? told.GetString() : null));
        }
        foreach (var (path, body) in new[]
        {
            ("v1/chat/completions", """{"model":"NAME","messages":[{"role":"user","content":"?"}]}"""),
            ("v1/completions", """{"model":"NAME","prompt":"?"}"""),
            ("v1/responses", """{"model":"NAME","input":"?"}"""),
            ("v1/messages", """{"model":"NAME","max_tokens":4,"messages":[{"role":"user","content":"?"}]}"""),
            ("v1/embeddings", """{"model":"NAME","input":"?"}"""),
            ("api/generate", """{"model":"NAME","prompt":"?"}"""),
            ("api/chat", """{"model":"NAME","stream":false,"messages":[{"role":"user","content":"?"}]}"""),
            ("completion", """{"model":"NAME","prompt":"?"}"""),
        })
        {
            engine.Loras.Clear();
            var answer = await server.AnswerAsync(path, body.Replace("NAME", "sql", StringComparison.Ordinal));
            CollectionAssert.AreEqual(new[] { new LoraChoice(null, "sql", 0.5f) }, engine.Loras.Single()?.ToArray(), path);
            if (path.StartsWith("v1/", StringComparison.Ordinal))
                Assert.Contains("\"model\":\"sql\"", answer.Replace(": ", ":", StringComparison.Ordinal), path);
            engine.Loras.Clear();
            await server.AnswerAsync(path, body.Replace("NAME", "base", StringComparison.Ordinal));
            Assert.IsNull(engine.Loras.Single(), path);
        }
        engine.Loras.Clear();
        await server.AnswerAsync("v1/completions", """{"model":"Second/Both","prompt":"?"}""");
        // One that is loaded with strength 0 acts as it was trained.
        Assert.AreEqual(new LoraChoice(null, "both", 1), engine.Loras.Single()!.Single());
        engine.Loras.Clear();
        await server.AnswerAsync("v1/completions", """{"model":"sql","prompt":"?","lora":[{"name":"both"}]}""");
        Assert.AreEqual(new LoraChoice(null, "both", 1), engine.Loras.Single()!.Single());
        using var none = await server.PostAsync("v1/completions", """{"model":"both","prompt":"?"}""");
        Assert.AreEqual(HttpStatusCode.NotFound, none.StatusCode);
        var one = await (await server.Client.GetAsync("v1/models/base%2Fboth")).JsonAsync();
        Assert.AreEqual(("base/both", "base"), (one.GetProperty("id").GetString(), one.GetProperty("parent").GetString()));
    }

    [TestMethod]
    public async Task An_adapter_is_neither_copied_nor_deleted_as_its_base()
    {
        await using var server = await WithAdaptersAsync(new ScriptedEngine());
        using var copied = await server.PostAsync("api/copy", """{"source":"sql","destination":"x"}""");
        using var deleted = await server.Client.SendAsync(new HttpRequestMessage(HttpMethod.Delete, "api/delete")
        {
            Content = new StringContent("""{"model":"sql"}"""),
        });
        foreach (var answer in new[] { copied, deleted })
        {
            Assert.AreEqual(HttpStatusCode.NotFound, answer.StatusCode);
            Assert.Contains("is an adapter of", await answer.Content.ReadAsStringAsync());
        }
    }

    [TestMethod]
    public async Task Render_gives_the_tokens_of_each_prompt_and_generates_nothing()
    {
        var engine = new ScriptedEngine();
        await using var server = await ServerFixture.StartAsync(engine);
        using var several =
            await server.PostAsync("v1/completions/render", """{"model":"talker","prompt":["a b c","d",[7,8]],"max_tokens":4}""");
        var rendered = (await several.JsonAsync()).EnumerateArray().ToArray();
        CollectionAssert.AreEqual(new[] { "[0,1,2]", "[0]", "[7,8]" },
            rendered.Select(one => one.GetProperty("token_ids").GetRawText()).ToArray());
        Assert.IsTrue(rendered.All(one => one.GetProperty("request_id").GetString()!.StartsWith("cmpl-", StringComparison.Ordinal)));
        const string chat = """{"model":"talker","messages":[{"role":"user","content":"a b"}]}""";
        using var conversation = await server.PostAsync("v1/chat/completions/render", chat);
        using var tokenized = await server.PostAsync("tokenize", chat);
        Assert.AreEqual((await tokenized.JsonAsync()).GetProperty("tokens").GetRawText(),
            (await conversation.JsonAsync()).GetProperty("token_ids").GetRawText());
        Assert.IsEmpty(engine.Places);
        using var wrong = await server.PostAsync("v1/chat/completions/render", """{"model":"talker","messages":[],"top_k":"x"}""");
        Assert.AreEqual(HttpStatusCode.BadRequest, wrong.StatusCode);
    }

    [TestMethod]
    public async Task Rendered_tokens_end_before_the_first_that_no_text_has()
    {
        await using var server = await ServerFixture.StartAsync(new ScriptedEngine { Tokens = _ => [5, 6, -1, -1, 7] });
        using var answer = await server.PostAsync("v1/chat/completions/render",
            """{"model":"talker","messages":[{"role":"user","content":"?"}]}""");
        Assert.AreEqual("[5,6]", (await answer.JsonAsync()).GetProperty("token_ids").GetRawText());
    }

    private static Task<ServerFixture> WithAdaptersAsync(ScriptedEngine engine)
    {
        var registry = new ModelRegistry(new ModelDiscovery([]));
        foreach (var name in new[] { "base", "second" })
            registry.Register(new ModelEntry { Name = name, Path = $"/nowhere/{name}.gguf" });
        registry.AddAlias(new ModelAlias("s*", "second"));
        return ServerFixture.StartAsync(engine, registry, entry => new ModelSpec
        {
            Name = entry.Name,
            Path = entry.Path,
            ContextLength = 64,
            Loras = entry.Name == "base"
                ? [new LoraSetting("/nowhere/sql.gguf", 0.5f), new LoraSetting("/nowhere/both.gguf", 0)]
                : [new LoraSetting("/elsewhere/both.gguf", 0), new LoraSetting("/elsewhere/base.gguf")],
        });
    }

    // As a picker reads: the first series of each family, without a timestamp.
    private static async Task<Dictionary<string, string>> FirstSeriesAsync(ServerFixture server)
    {
        var found = new Dictionary<string, string>();
        string? family = null;
        foreach (var line in (await server.Client.GetStringAsync("metrics")).Split('\n'))
        {
            if (line.StartsWith("# TYPE ", StringComparison.Ordinal))
            {
                family = line.Split(' ')[2];
            }
            else if (family is not null && line.StartsWith(family, StringComparison.Ordinal))
            {
                found.Add(line[..line.LastIndexOf(' ')], line[(line.LastIndexOf(' ') + 1)..]);
                family = null;
            }
        }
        return found;
    }

    private static async Task<HttpStatusCode> StatusAsync(ServerFixture server, string path, string? key)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        if (key is not null)
            request.Headers.Add("x-api-key", key);
        using var answer = await server.Client.SendAsync(request);
        return answer.StatusCode;
    }
}
