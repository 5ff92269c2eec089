using System.Net;
using System.Text;
using System.Text.Json;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable;

/// <summary>Models loaded when asked and unloaded when not needed, as clients of <c>serve</c> see it.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class ModelLifecycleTests
{
    [TestMethod]
    public async Task Models_are_loaded_unloaded_and_reported_by_their_routes()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/talker.gguf"], new RandomModelShape { Says = "hello" });
        using var server = await ServerProcess.StartAsync(folder, "--threads", "1");

        using (var found = await PostAsync(server, "api/models/discover"))
            Assert.AreEqual(2, found.RootElement.GetProperty("discovered").GetInt32());
        Assert.AreEqual("unloaded", await StatusAsync(server, "talker"));
        using (var loaded = await PostAsync(server, "api/models/talker/load"))
        {
            Assert.AreEqual("talker", loaded.RootElement.GetProperty("model").GetString());
            Assert.IsTrue(loaded.RootElement.GetProperty("loaded").GetBoolean());
            Assert.AreEqual("ready", loaded.RootElement.GetProperty("status").GetString());
            Assert.IsGreaterThan(1_000_000, loaded.RootElement.GetProperty("memory_bytes").GetInt64());
            Assert.AreEqual(0, loaded.RootElement.GetProperty("requests_active").GetInt32());
            Assert.IsLessThan(TimeSpan.FromMinutes(1), DateTimeOffset.UtcNow - loaded.RootElement.GetProperty("last_used")
                .GetDateTimeOffset());
        }
        using (var list = JsonDocument.Parse(await server.Client.GetStringAsync("api/models")))
        {
            var model = list.RootElement.GetProperty("models").EnumerateArray().First();
            Assert.AreEqual(("talker", "discovered", true, true),
                (model.GetProperty("name").GetString(), model.GetProperty("source").GetString(),
                model.GetProperty("is_discovered").GetBoolean(), model.GetProperty("loaded").GetBoolean()));
            Assert.AreEqual(new FileInfo(folder["models/talker.gguf"]).Length, model.GetProperty("size_bytes").GetInt64());
        }
        if (OperatingSystem.IsLinux())
            Assert.HasCount(1, server.Workers);
        using (var unloaded = await PostAsync(server, "api/models/talker/unload"))
            Assert.AreEqual("unloaded", unloaded.RootElement.GetProperty("status").GetString());
        if (OperatingSystem.IsLinux())
            Assert.IsEmpty(server.Workers);
        Assert.AreEqual("unloaded", await StatusAsync(server, "talker"));
    }

    [TestMethod]
    [DataRow("GET", "api/models/nobody/status", 404, "the model 'nobody' does not exist here; ")]
    [DataRow("POST", "api/models/nobody/load", 404, "the model 'nobody' does not exist here; ")]
    [DataRow("POST", "api/models/talker/explode", 404, "there is no route POST /api/models/talker/explode")]
    [DataRow("GET", "api/models/talker", 404, "there is no route GET /api/models/talker")]
    [DataRow("POST", "api/models/talker/load {\"keep_alive\":\"soon\"}", 400, "keep_alive: must be a number of seconds")]
    [DataRow("POST", "api/models/talker/load {\"ctx\":5}", 400, "ctx: is not a known field; keep_alive, pinned, gpu_layers, cpu_moe, n_cpu_moe are")]
    [DataRow("POST", "api/models/talker/load [", 400, "the body is not valid JSON")]
    [DataRow("POST", "api/generate {\"model\":\"talker\",\"prompt\":\"x\",\"keep_alive\":true}", 400, "keep_alive: must be a number of seconds")]
    [DataRow("POST", "v1/completions {\"model\":\"talker\",\"prompt\":\"x\",\"keep_alive\":\"5 weeks\"}", 400, "keep_alive: must be a number of seconds")]
    public async Task What_is_wrong_is_said(string method, string request, int status, string error)
    {
        var (path, body) = (request.Split(' ', 2)[0], request.Split(' ', 2).ElementAtOrDefault(1));
        using var message =
            new HttpRequestMessage(new HttpMethod(method), path) { Content = body is null ? null : new StringContent(body) };
        using var answer = await Shared.Client.SendAsync(message);

        Assert.AreEqual(status, (int)answer.StatusCode);
        using var json = JsonDocument.Parse(await answer.Content.ReadAsStringAsync());
        var told = json.RootElement.GetProperty("error");
        StringAssert.StartsWith(told.ValueKind == JsonValueKind.String ? told.GetString() : told.GetProperty("message").GetString(), error);
    }

    [TestMethod]
    public async Task A_load_that_fails_as_asked_leaves_the_model_as_it_was()
    {
        using (var message = new StringContent("""{"cpu_moe":true}"""))
        using (var refused = await Shared.Client.PostAsync("api/models/talker/load", message))
        {
            Assert.AreEqual(502, (int)refused.StatusCode);
            Assert.Contains("has no experts", await refused.Content.ReadAsStringAsync());
        }
        using var loaded = await PostAsync(Shared, "api/models/talker/load");
        Assert.AreEqual("ready", loaded.RootElement.GetProperty("status").GetString());
    }

    [TestMethod]
    public async Task Names_with_slashes_and_of_duplicates_are_reached_by_every_spelling()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/twin.gguf"], new RandomModelShape { Says = "first" });
        RandomModel.Write(folder["dirs/twin.gguf"], new RandomModelShape { Says = "second", Seed = 2 });
        using var server =
            await ServerProcess.StartAsync(folder, "--threads", "1", "--model-dirs", folder["dirs"], "--alias", "gpt-4*=dirs/twin");

        Assert.AreEqual(" first", await CompleteAsync(server, "twin"));
        Assert.AreEqual(" second", await CompleteAsync(server, "dirs/twin"));
        Assert.AreEqual(" second", await CompleteAsync(server, "gpt-4o-mini"));
        Assert.AreEqual("ready", await StatusAsync(server, "dirs/twin"));
        Assert.AreEqual("ready", await StatusAsync(server, "dirs%2Ftwin"));
        foreach (var id in new[] { "dirs/twin", "dirs%2Ftwin" })
            Assert.Contains("\"dirs/twin\"", await server.Client.GetStringAsync("v1/models/" + id));
        using var missing = await server.Client.PostAsync("v1/completions", Json("""{"model":"other/twin","prompt":"x"}"""));
        Assert.AreEqual(HttpStatusCode.NotFound, missing.StatusCode);
    }

    [TestMethod]
    public async Task Keep_alive_is_the_server_s_the_model_s_or_the_request_s()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["a.gguf"]);
        RandomModel.Write(folder["models/brief.gguf"]);
        RandomModel.Write(folder["models/other.gguf"]);
        File.WriteAllText(folder["shimmy.config.json"], """{"models":[{"name":"lasting","base_path":"a.gguf","keep_alive":-1}]}""");
        using var server = await ServerProcess.StartAsync(folder, Config(folder), "--threads", "1", "--keep-alive", "0");

        await CompleteAsync(server, "brief");
        await UntilAsync(server, "brief", "unloaded");
        await CompleteAsync(server, "brief", ",\"keep_alive\":\"10m\"");
        await CompleteAsync(server, "lasting");
        // One that was asked for later is gone: those that are there still were not merely slow to leave.
        await CompleteAsync(server, "other");
        await UntilAsync(server, "other", "unloaded");
        Assert.AreEqual("ready", await StatusAsync(server, "brief"));
        Assert.AreEqual("ready", await StatusAsync(server, "lasting"));
        await CompleteAsync(server, "lasting", ",\"keep_alive\":0");
        await UntilAsync(server, "lasting", "unloaded");
    }

    [TestMethod]
    public async Task The_config_file_is_followed_while_the_server_runs()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["one.gguf"], new RandomModelShape { Says = "one" });
        RandomModel.Write(folder["two.gguf"], new RandomModelShape { Says = "two" });
        File.WriteAllText(folder["shimmy.config.json"],
            """{"models":[{"name":"m","base_path":"one.gguf","ctx_len":128,"n_threads":1,"aliases":["gpt-*"]}]}""");
        using var server = await ServerProcess.StartAsync(folder, Config(folder));
        Assert.AreEqual(" one", await CompleteAsync(server, "gpt-5"));

        File.WriteAllText(folder["shimmy.config.json"], """{"models":[{"name":"m","base_path":"two.gguf","ctx":128}]}""");
        await Poll.UntilAsync(() => server.Log.Any(line => line.Contains("the one before stays in force", StringComparison.Ordinal)),
            "the bad file is reported");
        Assert.AreEqual(" one", await CompleteAsync(server, "m"), "a bad file leaves the old one in force");

        File.WriteAllText(folder["shimmy.config.json"],
            """{"models":[{"name":"m","base_path":"two.gguf","n_threads":1}],"memory_budget":"64MB"}""");
        await Poll.UntilAsync(async () => await CompleteAsync(server, "m") == " two", "the config file takes effect");
        using var gone = await server.Client.PostAsync("v1/completions", Json("""{"model":"gpt-5","prompt":"x"}"""));
        Assert.AreEqual(HttpStatusCode.NotFound, gone.StatusCode);
    }

    [TestMethod]
    public async Task What_cannot_fit_is_refused_with_the_numbers()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/tiny.gguf"]);
        RandomModel.Write(folder["models/large.gguf"],
            new RandomModelShape { Context = 32768, Layers = 8, Embedding = 256, KeyValueHeads = 4 });
        // With a context that was asked for: one that was not would shrink to what fits.
        File.WriteAllText(folder["shimmy.config.json"],
            """{"memory_budget":"60MB","models":[{"name":"large","base_path":"models/large.gguf","ctx_len":32768}]}""");
        using var server = await ServerProcess.StartAsync(folder, Config(folder), "--threads", "1");

        await CompleteAsync(server, "tiny");
        using var refused = await server.Client.PostAsync("v1/completions", Json("""{"model":"large","prompt":"x"}"""));
        Assert.AreEqual(HttpStatusCode.UnprocessableEntity, refused.StatusCode);
        Assert.MatchesRegex("model 'large' needs about [0-9]+ MB but the memory budget is 60 MB",
            await refused.Content.ReadAsStringAsync());
        Assert.AreEqual("ready", await StatusAsync(server, "tiny"), "nothing was unloaded in vain");

        var probe = await ShimmyProcess.RunAsync(["probe", "large", "--ctx", "32768"], folder.Path, Config(folder));
        Assert.AreEqual(2, probe.ExitCode);
        Assert.MatchesRegex("^shimmy probe: model 'large' needs about [0-9]+ MB but the memory budget is 60 MB", probe.Errors);
    }

    [TestMethod]
    public async Task Of_more_models_than_may_be_loaded_the_least_recently_used_goes_and_a_pinned_one_stays()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["pinned.gguf"]);
        foreach (var name in new[] { "a", "b" })
            RandomModel.Write(folder[$"models/{name}.gguf"], new RandomModelShape { Says = name });
        File.WriteAllText(folder["shimmy.config.json"], """{"models":[{"name":"pinned","base_path":"pinned.gguf","pinned":true}]}""");
        using var server = await ServerProcess.StartAsync(folder, Config(folder), "--threads", "1", "--max-loaded", "2");

        await CompleteAsync(server, "pinned");
        Assert.AreEqual(" a", await CompleteAsync(server, "a"));
        Assert.AreEqual(" b", await CompleteAsync(server, "b"));

        Assert.AreEqual("ready unloaded ready",
            $"{await StatusAsync(server, "pinned")} {await StatusAsync(server, "a")} {await StatusAsync(server, "b")}");
    }

    [TestMethod]
    public async Task A_config_file_that_is_missing_or_wrong_is_named()
    {
        using var folder = new TemporaryFolder();
        var missing = await ShimmyProcess.RunAsync(["list"], folder.Path, Config(folder));
        Assert.AreEqual(1, missing.ExitCode);
        Assert.AreEqual($"shimmy list: SHIMMY_CONFIG: there is no file '{folder["shimmy.config.json"]}'", missing.Errors.TrimEnd());

        File.WriteAllText(folder["shimmy.config.json"], """{"modles":[]}""");
        var wrong = await ShimmyProcess.RunAsync(["list"], folder.Path, Config(folder));
        Assert.AreEqual(2, wrong.ExitCode);
        Assert.Contains("modles: unknown field; allowed are $schema, models, aliases, memory_budget", wrong.Errors);
    }

    [TestMethod]
    public async Task A_system_prompt_and_stops_of_Ollama_are_used()
    {
        using var folder = new TemporaryFolder();
        var blobs = Path.GetDirectoryName(folder["ollama/blobs/x"])!;
        var model = Blob(RandomModel.Bytes(new RandomModelShape { Says = "hello", ChatTemplate = RandomModel.ChatMl }));
        var system = Blob("You are terse."u8.ToArray());
        var parameters = Blob("""{"stop":["ell"],"num_ctx":256}"""u8.ToArray());
        File.WriteAllText(folder["ollama/manifests/registry.ollama.ai/library/terse/latest"],
            $$"""{"layers":[{{Layer("model", model)}},{{Layer("system", system)}},{{Layer("params", parameters)}}]}""");
        using var server =
            await ServerProcess.StartAsync(folder, new Dictionary<string, string> { ["OLLAMA_MODELS"] = folder["ollama"] },
                "--threads", "1");

        Assert.AreEqual(" h", await CompleteAsync(server, "terse"));
        using var prompt = await PostAsync(server, "apply-template", """{"model":"terse","messages":[{"role":"user","content":"hi"}]}""");
        StringAssert.StartsWith(prompt.RootElement.GetProperty("prompt").GetString(),
            "<|im_start|>system\nYou are terse.<|im_end|>\n<|im_start|>user\nhi");
        using var own = await PostAsync(server, "apply-template",
            """{"model":"terse","messages":[{"role":"system","content":"Mine."},{"role":"user","content":"hi"}]}""");
        StringAssert.StartsWith(own.RootElement.GetProperty("prompt").GetString(),
            "<|im_start|>system\nMine.<|im_end|>\n<|im_start|>user\nhi");

        string Blob(byte[] bytes)
        {
            var digest = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(bytes));
            File.WriteAllBytes(Path.Join(blobs, "sha256-" + digest), bytes);
            return digest;
        }

        static string Layer(string kind, string digest) =>
            $$"""{"mediaType":"application/vnd.ollama.image.{{kind}}","digest":"sha256:{{digest}}"}""";
    }

    private static TemporaryFolder _folder = null!;
    private static ServerProcess _server = null!;

    private static ServerProcess Shared => _server;

    [ClassInitialize]
    public static async Task Start(TestContext _)
    {
        _folder = new TemporaryFolder();
        RandomModel.Write(_folder["models/talker.gguf"]);
        _server = await ServerProcess.StartAsync(_folder, "--threads", "1");
    }

    [ClassCleanup]
    public static void Stop()
    {
        _server.Dispose();
        _folder.Dispose();
    }

    private static Dictionary<string, string> Config(TemporaryFolder folder) => new() { ["SHIMMY_CONFIG"] = folder["shimmy.config.json"] };

    private static StringContent Json(string body) => new(body, Encoding.UTF8, "application/json");

    private static async Task<JsonDocument> PostAsync(ServerProcess server, string path, string? body = null)
    {
        using var answer = await server.Client.PostAsync(path, body is null ? null : Json(body));
        var text = await answer.Content.ReadAsStringAsync();
        Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode, text);
        return JsonDocument.Parse(text);
    }

    private static async Task<string> StatusAsync(ServerProcess server, string name)
    {
        using var status = JsonDocument.Parse(await server.Client.GetStringAsync($"api/models/{name}/status"));
        return status.RootElement.GetProperty("status").GetString()!;
    }

    private static Task UntilAsync(ServerProcess server, string name, string status) =>
        Poll.UntilAsync(async () => await StatusAsync(server, name) == status, $"{name} is {status}");

    private static async Task<string> CompleteAsync(ServerProcess server, string model, string more = "")
    {
        using var answer =
            await PostAsync(server, "v1/completions", $$"""{"model":"{{model}}","prompt":"who?","max_tokens":4,"temperature":0{{more}}}""");
        return answer.RootElement.GetProperty("choices")[0].GetProperty("text").GetString()!;
    }
}
