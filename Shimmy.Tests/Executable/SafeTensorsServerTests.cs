using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Shimmy.Gguf;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable;

/// <summary>
/// Hugging Face folders through the program: those that SHIMMY_SAFETENSORS_CASES names answer as their expected.json says, and folders made
/// here, of every architecture, are served from the conversions that the first request makes.
/// </summary>
[TestClass]
[TestCategory("Executable")]
public sealed class SafeTensorsServerTests
{
    private const string Variable = "SHIMMY_SAFETENSORS_CASES";

    private static readonly TemporaryFolder Folder = new();
    private static ServerProcess _server = null!;

    private static string? Cases => Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } folder ? folder : null;

    public static IEnumerable<object[]> Names => Cases is { } folder
        ? Directory.GetDirectories(folder).Order(StringComparer.Ordinal).Select(path => new object[] { Path.GetFileName(path) })
        : [[""]];

    public static IEnumerable<object[]> Families => FolderFamily.All.Select(family => new object[] { family.Class });

    [ClassInitialize]
    public static async Task StartAsync(TestContext _)
    {
        foreach (var path in Cases is { } folder ? Directory.GetDirectories(folder) : [])
            Directory.CreateSymbolicLink(Folder[$"models/case-{Path.GetFileName(path)}"], Path.Combine(path, "hf"));
        foreach (var family in FolderFamily.All)
            RandomFolder.Write(Folder[$"models/{family.Class}"], family: family, seed: 11, shards: family.Class.Length % 2 + 1);
        var weights = RandomFolder.WeightsOf(FolderFamily.Llama.Shapes, 7);
        RandomFolder.Write(Folder["models/base"], weights: weights);
        RandomFolder.Write(Folder["models/merged"], weights: RandomPeft.Merged(weights));
        RandomPeft.Write(Folder["models/tuned"]);
        _server = await ServerProcess.StartAsync(
            Folder, "--threads", "1", "--ctx", "256", "--parallel", "1", "--flash-attn", "off", "--cache-type-k", "f32",
            "--cache-type-v", "f32", "--max-loaded", "3", "--convert-cache", Folder["converted"]);
    }

    [ClassCleanup]
    public static void Clean()
    {
        _server.Dispose();
        Folder.Dispose();
    }

    [TestMethod]
    [DynamicData(nameof(Names))]
    public async Task A_reference_folder_answers_as_the_reference_does(string name)
    {
        if (name.Length == 0)
            Assert.Inconclusive($"{Variable} names no folder of cases.");

        var expected = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(Cases!, name, "expected.json")))!;
        foreach (var text in All(expected["tokenize_merge_rank_scores"] ?? expected["tokenize"]))
        {
            // XLM-RoBERTa's own file and its tokenizer.json differ in <mask>, where the reference makes padding of it.
            if (name == "xlm-roberta-spm" && text["text"]!.GetValue<string>().Contains("<mask>", StringComparison.Ordinal))
                continue;
            var tokens =
                await PostAsync("tokenize", new
                {
                    model = "case-" + name,
                    content = text["text"],
                    add_special = true,
                    parse_special = true
                });
            Assert.AreEqual(text["add_and_parse_special"]!.ToJsonString(), tokens["tokens"]!.ToJsonString(), text["text"]!.ToJsonString());
        }

        foreach (var run in All(expected["completions"]))
        {
            // Penalties are the model's own, as with the reference.
            var answer = await PostAsync("v1/completions", new
            {
                model = "case-" + name,
                prompt = run["prompt"],
                max_tokens = 32,
                temperature = 0,
                return_tokens = true,
            });
            Assert.AreEqual(run["tokens"]!.ToJsonString(), answer["choices"]![0]!["tokens"]!.ToJsonString());
        }

        if (expected["chat"] is { } chat)
        {
            var prompt = await PostAsync("apply-template", new { model = "case-" + name, messages = chat["messages"] });
            // The reference leaves out the text's begin, which is added as a token.
            StringAssert.EndsWith(prompt["prompt"]!.GetValue<string>(), chat["prompt"]!.GetValue<string>());
            var answer = await PostAsync("v1/chat/completions",
                new { model = "case-" + name, messages = chat["messages"], max_tokens = 4, temperature = 0 });
            Assert.IsGreaterThan(0, answer["usage"]!["completion_tokens"]!.GetValue<int>());
        }

        foreach (var text in All(expected["embeddings"]))
        {
            var answer = await PostAsync("v1/embeddings", new { model = "case-" + name, input = text["text"] });
            var own = Floats(answer["data"]![0]!["embedding"]!);
            var theirs = Floats(text["embedding"]!);
            Assert.HasCount(theirs.Length, own);
            var most = expected["source_dtype"]!.GetValue<string>() == "BF16" ? 1e-2 : 1e-3;
            for (var i = 0; i < own.Length; i++)
                Assert.AreEqual(theirs[i], own[i], most, $"{text["text"]} [{i}]");
        }
    }

    [TestMethod]
    [DynamicData(nameof(Families))]
    public async Task A_folder_of_every_architecture_is_served(string name)
    {
        if (name == "BertModel")
        {
            var vector = await PostAsync("v1/embeddings", new { model = name, input = "the cat" });
            Assert.HasCount(RandomFolder.Width, Floats(vector["data"]![0]!["embedding"]!));
            return;
        }

        var answer =
            await PostAsync("v1/completions", new { model = name, prompt = "the", max_tokens = 8, temperature = 0, ignore_eos = true });

        Assert.AreEqual(8, answer["usage"]!["completion_tokens"]!.GetValue<int>());
        var model = (await GetAsync($"api/models/{name}/status"))!;
        Assert.AreEqual(("safetensors", "converted"), (model["format"]!.GetValue<string>(), model["conversion"]!.GetValue<string>()));
    }

    [TestMethod]
    public async Task An_adapter_of_PEFT_acts_as_the_weights_that_it_is_merged_into()
    {
        var merged = await TextAsync("merged", null);
        var plain = await TextAsync("base", null);
        var tuned = await TextAsync("base", new[] { new { name = "tuned", scale = 1 } });

        Assert.AreEqual(merged, tuned);
        Assert.AreNotEqual(plain, tuned);

        async Task<string> TextAsync(string model, object? lora) => (await PostAsync("v1/completions", new
        {
            model,
            lora = lora ?? Array.Empty<object>(),
            prompt = "the cat",
            max_tokens = 12,
            temperature = 0,
            ignore_eos = true,
            repeat_penalty = 1,
        }))["choices"]![0]!["text"]!.GetValue<string>();
    }

    [TestMethod]
    public async Task Weights_are_quantized_on_the_way_where_the_command_asks_for_it()
    {
        RandomFolder.Write(Folder["other/tiny"], seed: 3);

        var run = await ShimmyProcess.RunAsync(["convert", Folder["other/tiny"], "-o", Folder["other/tiny.gguf"], "--type", "q4_0"]);
        var refused = await ShimmyProcess.RunAsync(["convert", Folder["other/tiny"], "--type", "iq2_xs"]);

        Assert.AreEqual(0, run.ExitCode, run.Errors);
        var header = GgufReader.ReadFile(Folder["other/tiny.gguf"]);
        Assert.AreEqual(GgmlType.Q4_0, header.Tensors.Single(tensor => tensor.Name == "blk.0.ffn_up.weight").Type);
        var text = await ShimmyProcess.RunAsync(["generate", Folder["other/tiny.gguf"], "--prompt", "the", "--raw", "--max-tokens", "4"]);
        Assert.AreEqual(0, text.ExitCode, text.Errors);
        Assert.AreEqual(2, refused.ExitCode);
        StringAssert.Contains(refused.Errors, "iq2_xs needs an importance matrix");
    }

    [TestMethod]
    public async Task A_file_that_cannot_grow_is_an_error_and_leaves_nothing()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("A shell sets the limit.");

        RandomFolder.Write(Folder["other/large"], seed: 4);
        var start = ShimmyProcess.CreateStart(["-c", $"ulimit -f 64; exec \"$0\" generate \"$1\" --prompt the --raw --convert-cache \"$2\"",
            ShimmyProcess.Executable, Folder["other/large"], Folder["small/cache"]]);
        start.FileName = "/bin/sh";
        // .NET maps code through a file, which the limit would forbid.
        start.Environment["DOTNET_EnableWriteXorExecute"] = "0";
        using var process = System.Diagnostics.Process.Start(start)!;
        var errors = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();

        Assert.AreEqual(2, process.ExitCode, errors);
        StringAssert.Contains(errors, "it cannot be converted into");
        Assert.IsEmpty(Directory.GetFiles(Folder["small/cache"]));
    }

    private static IEnumerable<JsonNode> All(JsonNode? list) => list?.AsArray().OfType<JsonNode>() ?? [];

    private static float[] Floats(JsonNode list) => [.. list.AsArray().Select(value => value!.GetValue<float>())];

    private static async Task<JsonNode> PostAsync(string path, object body)
    {
        using var answer = await _server.Client.PostAsync(path,
            new StringContent(JsonSerializer.Serialize(body), Encoding.UTF8, "application/json"));
        var text = await answer.Content.ReadAsStringAsync();
        Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode, text);
        return JsonNode.Parse(text)!;
    }

    private static async Task<JsonNode> GetAsync(string path) => JsonNode.Parse(await _server.Client.GetStringAsync(path))!;
}
