using System.Net;
using System.Text;
using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;
using Shimmy.Tests.Worker.Sampling;

namespace Shimmy.Tests.Executable;

/// <summary><c>shimmy llama-server</c> with a model in a worker: names, errors, slots that are kept in files, texts of a seed.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class LlamaServerModeTests
{
    private static readonly TemporaryFolder Folder = new();
    private static ServerProcess _server = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext _)
    {
        RandomModel.Write(Folder["noise.gguf"]);
        _server = await ServerProcess.StartAsLlamaServerAsync(Folder, "-m", Folder["noise.gguf"], "-t", "1", "-c", "256", "-np", "2",
            "--slot-save-path", Folder["slots"], "--seed", "42", "-n", "8");
    }

    [ClassCleanup]
    public static void Clean()
    {
        _server.Dispose();
        Folder.Dispose();
    }

    private static async Task<JsonElement> PostAsync(string path, string body, HttpStatusCode expected = HttpStatusCode.OK)
    {
        using var answer = await _server.Client.PostAsync(path, new StringContent(body, Encoding.UTF8, "application/json"));
        using var json = JsonDocument.Parse(await answer.Content.ReadAsStringAsync());
        Assert.AreEqual(expected, answer.StatusCode, json.RootElement.ToString());
        return json.RootElement.Clone();
    }

    [TestMethod]
    public async Task The_one_model_answers_every_name()
    {
        foreach (var (path, prompt) in ((string, string)[])
            [("completion", "\"prompt\":\"A\""), ("v1/completions", "\"prompt\":\"A\""),
                ("v1/chat/completions", "\"messages\":[{\"role\":\"user\",\"content\":\"A\"}]")])
        {
            var body = await PostAsync(path, $$"""{"model":"gpt-none","max_tokens":2,{{prompt}}}""");
            Assert.IsTrue(body.TryGetProperty("timings", out _), path);
        }
    }

    [TestMethod]
    [DataRow("v1/chat/completions")]
    [DataRow("v1/messages")]
    [DataRow("api/generate")]
    [DataRow("no/such/route")]
    public async Task Errors_of_all_routes_have_one_shape(string path)
    {
        var isFound = path != "no/such/route";
        var body = await PostAsync(path, "{}", isFound ? HttpStatusCode.BadRequest : HttpStatusCode.NotFound);
        var error = body.GetProperty("error");

        Assert.AreEqual(isFound ? 400 : 404, error.GetProperty("code").GetInt32());
        Assert.AreEqual(isFound ? "invalid_request_error" : "not_found_error", error.GetProperty("type").GetString());
    }

    [TestMethod]
    public async Task Its_names_of_fields_count_on_the_routes_of_OpenAI()
    {
        var choices = (await PostAsync("v1/chat/completions", """
            {"messages":[{"role":"user","content":"A"}],"max_tokens":1,"n_probs":3,"n_cmpl":2,"n_keep":1,"ignore_eos":true}
            """)).GetProperty("choices");

        Assert.AreEqual(2, choices.GetArrayLength());
        var token = choices[0].GetProperty("logprobs").GetProperty("content")[0];
        Assert.AreEqual(3, token.GetProperty("top_logprobs").GetArrayLength());
    }

    [TestMethod]
    public async Task A_saved_slot_is_restored_into_another()
    {
        const string Prompt = """{"prompt":"What is kept of this need not be computed again","n_predict":4,"temperature":0,"id_slot":""";
        await EraseAllAsync();
        var first = await PostAsync("completion", Prompt + "1}");
        var saved = await PostAsync("slots/1?action=save", """{"filename":"kept.bin"}""");
        await EraseAllAsync();
        var erased = await PostAsync("completion", Prompt + "1}");
        await EraseAllAsync();
        var restored = await PostAsync("slots/0?action=restore", """{"filename":"kept.bin"}""");
        var second = await PostAsync("completion", Prompt + "0}");

        Assert.AreEqual(saved.GetProperty("n_saved").GetInt32(), restored.GetProperty("n_restored").GetInt32());
        Assert.AreEqual(saved.GetProperty("n_written").GetInt64(), new FileInfo(Folder["slots/kept.bin"]).Length);
        Assert.AreEqual(Computed(first), Computed(erased));
        Assert.AreEqual(1, Computed(second));
        Assert.AreEqual(first.GetProperty("content").GetString(), second.GetProperty("content").GetString());

        static async Task EraseAllAsync()
        {
            foreach (var slot in (int[])[0, 1])
                await PostAsync($"slots/{slot}?action=erase", "{}");
        }

        static int Computed(JsonElement answer) => answer.GetProperty("timings").GetProperty("prompt_n").GetInt32();
    }

    [TestMethod]
    [DataRow("../kept.bin")]
    [DataRow("a/b.bin")]
    [DataRow("")]
    [DataRow("none.bin")]
    public async Task A_slot_is_restored_only_from_a_file_of_the_folder(string name)
    {
        await PostAsync("slots/0?action=restore", $$"""{"filename":"{{name}}"}""", HttpStatusCode.BadRequest);
    }

    [TestMethod]
    public async Task A_seed_gives_one_text_whatever_the_slot()
    {
        const string Body = """{"prompt":"AB","n_predict":16,"temperature":0.8,"seed":7,"id_slot":""";
        var texts = new List<string?>();
        foreach (var slot in (int[])[0, 1, 0])
            texts.Add((await PostAsync("completion", Body + slot + "}")).GetProperty("content").GetString());
        // The order of samplers that llama-server has by itself.
        texts.Add((await PostAsync("completion",
            Body + """1,"samplers":["penalties","dry","top_n_sigma","top_k","typ_p","top_p","min_p","xtc","temperature"]}"""))
            .GetProperty("content").GetString());

        Assert.HasCount(1, texts.Distinct().ToArray(), string.Join(" | ", texts));
    }

    [TestMethod]
    public async Task What_is_drawn_is_what_llama_cpps_own_chain_of_samplers_draws()
    {
        using var chain = new SamplerChain(
            new ModelSpec { Name = "noise", Path = Folder["noise.gguf"], Threads = 1, ContextLength = 128, Speculate = false });
        var plain = new GenerationOptions { MaxTokens = 12, Seed = 42 };
        foreach (var (fields, options) in ((string, GenerationOptions)[])
            [("", plain),
                ("\"seed\":7,\"temperature\":0.8,\"top_k\":40,\"top_p\":0.95,\"min_p\":0.05,", plain with { Seed = 7 }),
                ("\"temperature\":0,", plain with { Temperature = 0 }),
                ("\"mirostat\":2,\"mirostat_tau\":4,", plain with { Mirostat = 2, MirostatTau = 4 }),
                ("\"xtc_probability\":0.5,\"xtc_threshold\":0.05,\"typical_p\":0.8,",
                    plain with { XtcProbability = 0.5f, XtcThreshold = 0.05f, TypicalP = 0.8f }),
                ("\"repeat_penalty\":1.3,\"dry_multiplier\":0.8,\"samplers\":[\"penalties\",\"dry\",\"top_k\",\"temperature\"],",
                    plain with
                    {
                        RepeatPenalty = 1.3f,
                        DryMultiplier = 0.8f,
                        Samplers = [SamplerKind.Penalties, SamplerKind.Dry, SamplerKind.TopK, SamplerKind.Temperature],
                    }),
                ("\"adaptive_target\":0.3,\"samplers\":\"kpa\",",
                    plain with { AdaptiveTarget = 0.3f, Samplers = [SamplerKind.TopK, SamplerKind.TopP, SamplerKind.AdaptiveP] })])
        {
            var answer = await PostAsync("completion",
                "{" + fields + "\"prompt\":\"AB\",\"n_predict\":12,\"return_tokens\":true,\"cache_prompt\":false}");

            chain.AssertDraws(Prompt.FromText("AB"), options,
                [.. answer.GetProperty("tokens").EnumerateArray().Select(token => token.GetInt32())], fields);
        }
    }

    [TestMethod]
    [DataRow("--no-such-option", "unknown option --no-such-option")]
    [DataRow("--grp-attn-n", "unknown option --grp-attn-n")]
    public async Task An_unknown_option_is_refused_by_its_name(string option, string message)
    {
        var run = await ShimmyProcess.RunAsync(["llama-server", "-m", Folder["noise.gguf"], option]);

        Assert.AreEqual(2, run.ExitCode);
        Assert.Contains(message, run.Errors);
    }

    [TestMethod]
    [TestCategory("Shared")]
    public async Task Seed_42_tells_what_llama_server_tells()
    {
        if (Environment.GetEnvironmentVariable("SHIMMY_STORIES_MODEL") is not { Length: > 0 } stories)
        {
            Assert.Inconclusive("SHIMMY_STORIES_MODEL names no model; .ci/run knows where one may lie.");
            return;
        }
        using var server = await ServerProcess.StartAsLlamaServerAsync(Folder, "-m", stories, "-t", "1", "--seed", "42", "--temp", "0.8");

        using var answer = await server.Client.PostAsync("chat/completions", new StringContent("""
            {"max_tokens":8,"messages":[{"role":"system","content":"Book"},{"role":"user","content":"What is the best book"}]}
            """, Encoding.UTF8, "application/json"));

        using var json = JsonDocument.Parse(await answer.Content.ReadAsStringAsync());
        var message = json.RootElement.GetProperty("choices")[0].GetProperty("message");
        Assert.StartsWith("Suddenly", message.GetProperty("content").GetString()!.Trim());
        Assert.AreEqual(77, json.RootElement.GetProperty("usage").GetProperty("prompt_tokens").GetInt32());
    }
}
