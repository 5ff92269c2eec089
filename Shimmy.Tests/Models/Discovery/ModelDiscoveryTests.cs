using Shimmy.Gguf;
using Shimmy.Models;
using Shimmy.Models.Discovery;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Models.Discovery;

[TestClass]
[TestCategory("Unit")]
public sealed class ModelDiscoveryTests
{
    [TestMethod]
    public void discovered_empty()
    {
        using var folder = new TemporaryFolder();
        var result = new ModelDiscovery([new FolderSource("models", folder.Path), new FolderSource("app", folder["absent"])]).Scan();
        Assert.IsEmpty(result.Models);
        Assert.IsEmpty(result.Skipped);
    }

    [TestMethod]
    public void creates_discovery()
    {
        var discovery =
            new ModelDiscovery(SearchOrder.Sources(HostEnvironments.Linux(("SHIMMY_MODEL_PATHS", "/data/a; ~/b")), modelDirs: "c;/data/d"));
        Assert.AreEqual(
            "models app dirs dirs dirs dirs huggingface ollama ollama ollama ollama ollama lmstudio llama.cpp",
            string.Join(' ', discovery.Sources.Select(source => source.Origin)));
    }

    [TestMethod]
    public void The_folder_of_the_base_model_is_searched_but_not_what_lies_below()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["base/one.gguf"]);
        RandomModel.Write(folder["base/two.gguf"]);
        RandomModel.Write(folder["base/deeper/three.gguf"]);
        var host = HostEnvironments.In(folder, ("SHIMMY_BASE_GGUF", "base/one.gguf")) with { CurrentDirectory = folder.Path };

        var result = new ModelDiscovery(SearchOrder.Sources(host)).Scan();

        Assert.AreEqual("one two", Names(result));
        Assert.AreEqual("base", result.Models[0].Origin);
    }

    [TestMethod]
    public void populates_discovered()
    {
        using var folder = new TemporaryFolder();
        var path = RandomModel.Write(folder["models/tiny-Q8_0.gguf"], new RandomModelShape
        {
            Type = GgmlType.Q8_0,
            Embedding = 128,
            Context = 777,
            ChatTemplate = RandomModel.ChatMl,
        });

        var model = Scan(folder["models"]).Models.Single();

        Assert.AreEqual("tiny", model.Name);
        Assert.AreEqual(path, model.Path);
        Assert.AreEqual(new FileInfo(path).Length, model.SizeBytes);
        Assert.AreEqual("llama", model.Architecture);
        Assert.AreEqual(GgufReader.ReadFile(path).ParameterCount, model.ParameterCount);
        Assert.AreEqual("Q8_0", model.Quantization);
        Assert.AreEqual(777, model.ContextLength);
        Assert.AreEqual(ModelType.Chat, model.Type);
        Assert.AreEqual(ModelSource.Discovered, model.Source);
        Assert.AreEqual(path, model.Shards.Single());
    }

    [TestMethod]
    public void Metadata_beat_the_file_name_and_the_file_name_fills_what_they_lack()
    {
        using var folder = new TemporaryFolder();
        Write(folder["a-7b-instruct-Q4_K_M.gguf"], new GgufWriter().Add("general.architecture", "x").Add("general.size_label", "9B-A2B")
            .Add("general.file_type", 18u).AddTensor("t", GgmlType.F32, [1], Zero(4)));
        Write(folder["b-8b-chat-Q4_K_M-00001-of-00001.gguf"], new GgufWriter().Add("split.count", 2u));
        Write(folder["c-3b-F16.gguf"], new GgufWriter().AddTensor("t", GgmlType.BF16, [1_600, 1_000], Zero(3_200_000)));

        var models = Scan(folder.Path).Models;

        Assert.AreEqual("a-7b-instruct x 9B-A2B Q6_K Chat", Facts(models[0]));
        Assert.AreEqual("b-8b-chat unknown 8B Q4_K_M Chat", Facts(models[1]));
        Assert.AreEqual("c-3b unknown 1.6M BF16 Completion", Facts(models[2]));

        static string Facts(ModelEntry model) =>
            $"{model.Name} {model.Architecture} {model.ParameterLabel} {model.Quantization} {model.Type}";
    }

    [TestMethod]
    public void filter_non_model()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["real.gguf"]);
        File.WriteAllText(folder["readme.txt"], "GGUF");
        File.WriteAllText(folder["fake.gguf"], "not a model at all");
        File.WriteAllText(folder["empty.gguf"], "");
        File.WriteAllText(folder["download.gguf.part"], "GGUF");
        Write(folder["vision.gguf"], Tensor(new GgufWriter().Add("general.architecture", "clip")));
        Write(folder["anything.gguf"], Tensor(new GgufWriter().Add("general.architecture", "llama").Add("general.type", "adapter")));
        Write(folder["matrix.gguf"], Tensor(new GgufWriter().Add("general.type", "imatrix")));
        Write(folder["vocab.gguf"], new GgufWriter().Add("general.architecture", "llama"));
        Write(folder["mmproj-nothing.gguf"], Tensor(new GgufWriter()));
        Write(folder["nothing-imatrix.gguf"], Tensor(new GgufWriter()));
        Write(folder["nothing-draft.gguf"], Tensor(new GgufWriter()));
        Write(folder["guess.gguf"], Tensor(new GgufWriter().Add("general.architecture", "eagle3")));
        RandomModel.Write(folder["mmproj-model.gguf"]);
        RandomModel.Write(folder["model-imatrix.gguf"]);
        RandomModel.Write(folder["model-0.5b-draft.gguf"]);
        File.WriteAllBytes(folder["cut.gguf"], RandomModel.Bytes()[..5000]);

        var result = Scan(folder.Path);

        Assert.AreEqual("mmproj-model model-0.5b-draft model-imatrix real", Names(result));
        var reasons = result.Skipped.ToDictionary(skipped => Path.GetFileName(skipped.Path), skipped => skipped.Reason);
        Assert.HasCount(11, reasons);
        StringAssert.Contains(reasons["fake.gguf"], "not a GGUF file");
        StringAssert.Contains(reasons["empty.gguf"], "not a GGUF file");
        StringAssert.Contains(reasons["cut.gguf"], "truncated");
        Assert.AreEqual("multimodal projector, not a model; fits none of the models found", reasons["vision.gguf"]);
        Assert.AreEqual("adapter, not a model; fits none of the models found", reasons["anything.gguf"]);
        Assert.AreEqual("importance matrix, not a model", reasons["matrix.gguf"]);
        Assert.AreEqual("vocabulary without weights, not a model", reasons["vocab.gguf"]);
        Assert.AreEqual("draft model, used together with another model", reasons["guess.gguf"]);
        Assert.AreEqual("multimodal projector by its name, not a model", reasons["mmproj-nothing.gguf"]);
        Assert.AreEqual("importance matrix by its name, not a model", reasons["nothing-imatrix.gguf"]);
        Assert.AreEqual("draft model by its name, used together with another model", reasons["nothing-draft.gguf"]);
    }

    [TestMethod]
    public void respect_max_depth()
    {
        using var folder = new TemporaryFolder();
        foreach (var path in new[] { "d0.gguf", "1/d1.gguf", "1/2/d2.gguf", "1/2/3/d3.gguf", "1/2/3/4/d4.gguf", "1/2/3/4/5/d5.gguf" })
            RandomModel.Write(folder[path]);

        Assert.AreEqual("d0 d1 d2 d3 d4", Names(Scan(folder.Path)));
    }

    [TestMethod]
    public void preserve_models()
    {
        using var folder = new TemporaryFolder();
        foreach (var architecture in new[] { "clip", "flux", "whisper", "vae", "t5encoder", "bert", "llama", "qwen3" })
            Write(folder[architecture + ".gguf"], Tensor(new GgufWriter().Add("general.architecture", architecture)));

        foreach (var name in new[] { "nomic-embed-text", "stable-diffusion-v1", "sd-vae", "clip-vit",
            "whisper-tiny", "text-encoder", "llama-it" })
        {
            Write(folder[name + ".gguf"], Tensor(new GgufWriter()));
        }

        Write(folder["qwen3-pooled.gguf"], Tensor(new GgufWriter().Add("general.architecture", "qwen3").Add("qwen3.pooling_type", 3u)));
        Write(folder["qwen3-ranked.gguf"], Tensor(new GgufWriter().Add("general.architecture", "qwen3").Add("qwen3.pooling_type", 4u)
            .AddTensor("cls.output.weight", GgmlType.F32, [32], Zero(128))));

        var models = Scan(folder.Path).Models;

        Assert.AreEqual("llama-it llama qwen3",
            string.Join(' ', models.Where(model => model.Type.IsLanguageModel()).Select(model => model.Name)));
        Assert.AreEqual(ModelType.Reranker, models.Single(model => model.Name == "qwen3-ranked").Type);
        Assert.AreEqual(ModelType.Embedding, models.Single(model => model.Name == "qwen3-pooled").Type);
    }

    [TestMethod]
    public void Shards_are_one_model_and_missing_ones_are_named()
    {
        using var folder = new TemporaryFolder();
        for (var number = 1; number <= 3; number++)
            WriteShard(folder[$"qwen2-7b-Q8_0-{number:D5}-of-00003.gguf"], number, 3);

        WriteShard(folder["half-00002-of-00003.gguf"], 2, 3);
        WriteShard(folder["renamed.gguf"], 1, 2);

        var result = Scan(folder.Path);

        var model = result.Models.Single();
        Assert.AreEqual("qwen2-7b", model.Name);
        Assert.HasCount(3, model.Shards);
        Assert.AreEqual(model.Shards[0], model.Path);
        Assert.EndsWith("-00001-of-00003.gguf", model.Path);
        Assert.AreEqual(model.Shards.Sum(shard => new FileInfo(shard).Length), model.SizeBytes);
        Assert.AreEqual(3 * 32, model.ParameterCount);
        Assert.AreEqual("missing shards: half-00001-of-00003.gguf, half-00003-of-00003.gguf", Reason(result, "half-00002-of-00003.gguf"));
        StringAssert.StartsWith(Reason(result, "renamed.gguf"), "one of 2 shards");
    }

    [TestMethod]
    public void One_file_reached_twice_is_one_model_and_loops_end()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["real/one.gguf"]);
        File.CreateSymbolicLink(folder["real/alias.gguf"], folder["real/one.gguf"]);
        Directory.CreateSymbolicLink(folder["again"], folder["real"]);
        Directory.CreateSymbolicLink(folder["real/loop"], folder.Path);
        File.CreateSymbolicLink(folder["real/self.gguf"], folder["real/self.gguf"]);
        File.CreateSymbolicLink(folder["real/broken.gguf"], folder["gone.gguf"]);
        File.CreateSymbolicLink(folder["real/broken.txt"], folder["gone.txt"]);

        var result = Scan(folder.Path, folder["again"]);

        Assert.HasCount(1, result.Models);
        StringAssert.StartsWith(Reason(result, "broken.gguf"), "broken link to ");
        StringAssert.StartsWith(Reason(result, "self.gguf"), "cannot follow link");
        Assert.IsFalse(result.Skipped.Any(skipped => skipped.Path.EndsWith("broken.txt", StringComparison.Ordinal)));
    }

    [TestMethod]
    public void Linked_folders_and_files_outside_the_root_are_followed()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["elsewhere/deep/one.gguf"]);
        RandomModel.Write(folder["blobs/abc"]);
        Directory.CreateDirectory(folder["root/x"]);
        Directory.CreateSymbolicLink(folder["root/linked"], "../elsewhere");
        File.CreateSymbolicLink(folder["root/two.gguf"], "../blobs/abc");

        var result = Scan(folder["root"]);

        Assert.AreEqual("two one", Names(result));
        Assert.AreEqual(folder["root/linked/deep/one.gguf"], result.Models[1].Path);
        Assert.AreEqual(new FileInfo(folder["blobs/abc"]).Length, result.Models[0].SizeBytes);
    }

    [TestMethod]
    public void Of_two_models_with_one_name_the_first_keeps_it()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["first/tiny-F32.gguf"]);
        RandomModel.Write(folder["second/Tiny-F32.gguf"]);
        RandomModel.Write(folder["second/x/tiny-F16.gguf"], new RandomModelShape { Type = GgmlType.F16 });
        RandomModel.Write(folder["second/y/tiny-F16.gguf"], new RandomModelShape { Type = GgmlType.F16, Seed = 2 });

        var sources = new IModelSource[] { new FolderSource("models", folder["first"]), new FolderSource("dirs", folder["second"]) };
        var result = new ModelDiscovery(sources).Scan();

        Assert.AreEqual("tiny dirs/Tiny x/tiny y/tiny", Names(result));
    }

    [TestMethod]
    public void Names_hold_no_control_characters()
    {
        if (OperatingSystem.IsWindows())
            Assert.Inconclusive("Windows allows no such file names.");

        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["a\nb\e[0m.gguf"]);
        Assert.AreEqual("a_b_[0m", Names(Scan(folder.Path)));
    }

    private static ScanResult Scan(params string[] folders) =>
        new ModelDiscovery([.. folders.Select(folder => new FolderSource("models", folder))]).Scan();

    private static string Names(ScanResult result) => string.Join(' ', result.Models.Select(model => model.Name));

    private static string Reason(ScanResult result, string fileName) =>
        result.Skipped.First(skipped => Path.GetFileName(skipped.Path) == fileName).Reason;

    private static GgufWriter Tensor(GgufWriter writer) => writer.AddTensor("t", GgmlType.F32, [32], Zero(128));

    private static Action<Stream> Zero(int bytes) => output => output.Write(new byte[bytes]);

    private static void Write(string path, GgufWriter writer) => writer.WriteFile(path);

    private static void WriteShard(string path, int number, int count) => Write(path, Tensor(new GgufWriter()
        .Add("general.architecture", "qwen2")
        .Add("split.no", GgufValue.OfInteger(GgufType.UInt16, number - 1))
        .Add("split.count", GgufValue.OfInteger(GgufType.UInt16, count))));
}
