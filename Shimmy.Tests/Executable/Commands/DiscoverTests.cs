using System.Security.Cryptography;
using System.Text.Json;
using Shimmy.Gguf;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable.Commands;

/// <summary>The command <c>discover</c> on a machine where every tool has left its models.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class DiscoverTests
{
    private const string Hub = "home/.cache/huggingface/hub/models--org--Tiny-GGUF/";
    private const string Ollama = "home/.ollama/models/";

    [TestMethod]
    public async Task Every_layout_gives_the_names_sizes_and_skips_that_it_should()
    {
        using var folder = new TemporaryFolder();
        Furnish(folder);

        var run = await RunAsync(folder, "discover", "--json", "--model-dirs", $"{folder["dirs"]};{folder["nowhere/else"]}");

        Assert.AreEqual(0, run.ExitCode, run.Errors);
        using var json = JsonDocument.Parse(run.Output);
        string[] expected =
        [
            Line(folder, "story", "models", 1, "work/models/story.gguf"),
            Line(folder, "split-7b", "models", 2, "work/models/split-7b-00001-of-00002.gguf", "work/models/split-7b-00002-of-00002.gguf"),
            Line(folder, "deep", "models", 1, "work/models/1/2/3/4/deep.gguf"),
            Line(folder, "shimmy-demo", "app",
                1, Path.GetRelativePath(folder.Path,
                    Path.Combine(Path.GetDirectoryName(ShimmyProcess.Executable)!, "models/shimmy-demo.gguf"))),
            Line(folder, "dirs/story", "dirs", 1, "dirs/story.gguf"),
            Line(folder, "bge-embed", "dirs", 1, "dirs/bge-embed.gguf"),
            Line(folder, "org/Tiny-GGUF:Q8_0", "huggingface", 1, Hub + "blobs/b1"),
            Line(folder, "llama9:1b", "ollama", 1, OllamaBlob(folder, 6)),
            Line(folder, "me/gemma3:latest", "ollama", 1, OllamaBlob(folder, 7)),
            Line(folder, "studio", "lmstudio", 1, "home/.lmstudio/models/pub/studio/studio.gguf"),
            Line(folder, "someone_cached", "llama.cpp", 1, "home/.cache/llama.cpp/someone_cached.gguf"),
        ];
        CollectionAssert.AreEqual(expected.Order(StringComparer.Ordinal).ToArray(), Models(json).Order(StringComparer.Ordinal).ToArray(),
            string.Join('\n', Models(json)));

        var skips = json.RootElement.GetProperty("skipped").EnumerateArray()
            .ToDictionary(file => Path.GetRelativePath(folder.Path, file.GetProperty("path").GetString()!),
                file => file.GetProperty("reason").GetString()!);
        string[] skipped =
        [
            "nowhere/else: there is no such folder",
            "work/models/broken.gguf: broken link to ",
            "work/models/half-00001-of-00003.gguf: missing shards: half-00002-of-00003.gguf, half-00003-of-00003.gguf",
            "work/models/lora.gguf: adapter, not a model; fits story",
            "work/models/mmproj-story.gguf: multimodal projector, not a model; fits story",
            "work/models/text.gguf: not a GGUF file",
            Ollama + "manifests/registry.ollama.ai/library/cloud/latest: a stub of a cloud model",
            Path.GetRelativePath(folder.Path,
                Path.Combine(Path.GetDirectoryName(ShimmyProcess.Executable)!, "models/shimmy-demo.mmproj.gguf"))
                + ": multimodal projector, not a model; fits shimmy-demo",
        ];
        Assert.HasCount(skipped.Length, skips, string.Join('\n', skips));
        foreach (var one in skipped.Select(line => line.Split(": ", 2)))
            StringAssert.StartsWith(skips[one[0]], one[1]);

        var story = Model(json, "story");
        Assert.AreEqual(folder["work/models/lora.gguf"], story.GetProperty("adapters")[0].GetString());
        Assert.AreEqual(folder["work/models/mmproj-story.gguf"], story.GetProperty("projector").GetString());
        StringAssert.Contains(Model(json, "me/gemma3:latest").GetProperty("why_unloadable").GetString(), "Ollama");
        Assert.AreEqual("dirs", json.RootElement.GetProperty("places").EnumerateArray()
            .First(place => !place.GetProperty("exists").GetBoolean()
            && place.GetProperty("path").GetString()!.Contains("nowhere", StringComparison.Ordinal)).GetProperty("origin").GetString());
    }

    [TestMethod]
    public async Task Llm_only_leaves_out_what_does_not_generate_and_list_has_it_all()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["work/models/story.gguf"]);
        RandomModel.Write(folder["work/models/bge-embed.gguf"]);

        using var json = JsonDocument.Parse((await RunAsync(folder, "discover", "--json", "--llm-only")).Output);
        CollectionAssert.AreEqual(new[] { "story", "shimmy-demo" }, json.RootElement.GetProperty("models")
            .EnumerateArray().Select(model => model.GetProperty("name").GetString()).ToArray());
        Assert.AreEqual("bge-embed\nstory\nshimmy-demo\n", (await RunAsync(folder, "list", "-s")).Output);
    }

    [TestMethod]
    public async Task As_text_every_model_skip_and_place_is_named()
    {
        using var folder = new TemporaryFolder();
        Furnish(folder);

        var run = await RunAsync(folder, "discover", "--model-dirs", folder["dirs"]);

        Assert.AreEqual((0, ""), (run.ExitCode, run.Errors));
        foreach (var text in new[]
        {
            "story: a LoRA adapter that fits: " + folder["work/models/lora.gguf"],
            "me/gemma3:latest: cannot be loaded: ",
            "skipped (models) " + folder["work/models/text.gguf"],
            "11 models, 7 skipped",
            "huggingface  " + folder["home/.cache/huggingface/hub"],
        })
        {
            StringAssert.Contains(run.Output, text);
        }
    }

    [TestMethod]
    public async Task A_model_in_Ollama_s_own_variant_is_refused_with_the_explanation()
    {
        using var folder = new TemporaryFolder();
        Furnish(folder);

        var run = await RunAsync(folder, "probe", "me/gemma3");

        Assert.AreEqual(2, run.ExitCode);
        StringAssert.StartsWith(run.Errors, "shimmy probe: model 'me/gemma3:latest' cannot be loaded: ");
        StringAssert.Contains(run.Errors, "llama.cpp cannot load it");
    }

    [TestMethod]
    public async Task A_second_scan_reads_no_header_that_has_not_changed()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["work/models/story.gguf"]);
        Assert.AreEqual("story\nshimmy-demo\n", (await RunAsync(folder, "list", "-s")).Output);

        // The same size and time: only the cache can still know what was in it.
        var time = File.GetLastWriteTimeUtc(folder["work/models/story.gguf"]);
        File.WriteAllBytes(folder["work/models/story.gguf"], new byte[new FileInfo(folder["work/models/story.gguf"]).Length]);
        File.SetLastWriteTimeUtc(folder["work/models/story.gguf"], time);

        Assert.AreEqual("story\nshimmy-demo\n", (await RunAsync(folder, "list", "-s")).Output);
    }

    private static void Furnish(TemporaryFolder folder)
    {
        RandomModel.Write(folder["work/models/story.gguf"]);
        RandomAdapter.Write(folder["work/models/lora.gguf"]);
        new GgufWriter().Add("general.architecture", "clip")
            .AddTensor("mm.2.weight", GgmlType.F32, [1, 64], output => output.Write(new byte[4 * 64])).WriteFile(folder["work/models/mmproj-story.gguf"]);
        File.WriteAllText(folder["work/models/text.gguf"], "Once upon a time");
        File.CreateSymbolicLink(folder["work/models/broken.gguf"], folder["gone.gguf"]);
        Directory.CreateSymbolicLink(folder["work/models/loop"], folder["work/models"]);
        File.CreateSymbolicLink(folder["work/models/1/again.gguf"], folder["work/models/story.gguf"]);
        Shard("split-7b", 1, 2, seed: 2);
        Shard("split-7b", 2, 2, seed: 2);
        Shard("half", 1, 3, seed: 3);
        RandomModel.Write(folder["work/models/1/2/3/4/deep.gguf"], Other(4));
        RandomModel.Write(folder["work/models/1/2/3/4/5/too-deep.gguf"], Other(4));
        RandomModel.Write(folder["dirs/story.gguf"], Other(8));
        RandomModel.Write(folder["dirs/bge-embed.gguf"], Other(9));

        RandomModel.Write(folder[Hub + "blobs/b1"], Other(5));
        File.CreateSymbolicLink(folder[Hub + "snapshots/abc/Tiny-Q8_0.gguf"], folder[Hub + "blobs/b1"]);
        File.WriteAllText(folder[Hub + "refs/main"], "abc");
        RandomModel.Write(folder["home/.cache/huggingface/hub/datasets--org--data/snapshots/abc/data.gguf"]);

        Manifest("registry.ollama.ai/library/llama9/1b", Path.GetFileName(OllamaBlob(folder, 6)));
        Manifest("registry.ollama.ai/me/gemma3/latest", Path.GetFileName(OllamaBlob(folder, 7)));
        File.WriteAllText(folder[Ollama + "manifests/registry.ollama.ai/library/cloud/latest"], """{"layers":[]}""");

        RandomModel.Write(folder["home/.lmstudio/models/pub/studio/studio.gguf"], Other(10));
        RandomModel.Write(folder["home/.cache/llama.cpp/someone_cached.gguf"], Other(11));

        void Shard(string name, int number, int count, int seed) =>
            RandomModel.Write(folder[$"work/models/{name}-{number:D5}-of-{count:D5}.gguf"], Other(seed) with
            {
                Metadata = new Dictionary<string, GgufValue>
                {
                    ["split.no"] = GgufValue.OfInteger(GgufType.UInt16, number - 1),
                    ["split.count"] = GgufValue.OfInteger(GgufType.UInt16, count),
                },
            });

        void Manifest(string tag, string blob) => File.WriteAllText(folder[Ollama + "manifests/" + tag],
            $$"""{"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:{{blob["sha256-".Length..]}}","size":1}]}""");
    }

    // Other widths than the base's, so that its adapter and projector fit nothing else.
    private static RandomModelShape Other(int seed) => new() { Seed = seed, Embedding = 32 };

    // The blob of a seed; written at the first call.
    private static string OllamaBlob(TemporaryFolder folder, int seed)
    {
        var bytes = RandomModel.Bytes(Other(seed) with { Architecture = seed == 7 ? "gemma3" : "llama" });
        var name = Ollama + "blobs/sha256-" + Convert.ToHexStringLower(SHA256.HashData(bytes));
        if (!File.Exists(folder[name]))
            File.WriteAllBytes(folder[name], bytes);
        return name;
    }

    private static string Line(TemporaryFolder folder, string name, string origin, int shards, params string[] files) =>
        $"{name} {origin} {shards} {files.Sum(file => new FileInfo(folder[file]).Length)}";

    private static string[] Models(JsonDocument json) => [.. json.RootElement.GetProperty("models").EnumerateArray().Select(model =>
        $"{model.GetProperty("name").GetString()} {model.GetProperty("origin").GetString()} {model.GetProperty("shards").GetArrayLength()} "
        + $"{model.GetProperty("size_bytes").GetInt64()}")];

    private static JsonElement Model(JsonDocument json, string name) =>
        json.RootElement.GetProperty("models").EnumerateArray().Single(model => model.GetProperty("name").GetString() == name);

    private static Task<ShimmyResult> RunAsync(TemporaryFolder folder, params string[] arguments) =>
        ShimmyProcess.RunAsync(arguments, Path.GetDirectoryName(folder["work/x"]), new Dictionary<string, string>
        {
            ["HOME"] = folder["home"],
            ["USERPROFILE"] = folder["home"],
            ["LOCALAPPDATA"] = folder["home/local"],
            ["APPDATA"] = folder["home/roaming"],
        });
}
