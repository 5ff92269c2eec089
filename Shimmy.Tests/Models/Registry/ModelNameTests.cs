using Shimmy.Gguf;
using Shimmy.Models;
using Shimmy.Models.Discovery;
using Shimmy.Models.Registry;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Models.Discovery;

namespace Shimmy.Tests.Models.Registry;

/// <summary>Kind: what a name means. It is told from others of its kind, stays what it was, and is found however it is written.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ModelNameTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private int _seed;

    public void Dispose() => _folder.Dispose();

    [TestMethod]
    public async Task Files_of_one_name_in_several_folders_take_the_folder_into_the_name()
    {
        Add("llama/model.gguf");
        Add("qwen/model.gguf");
        var registry = await ScanAsync();
        Assert.AreEqual("llama/model qwen/model", Names(registry));
        Assert.IsNull(registry.Find("model"));
        Assert.AreEqual("several models have that name: llama/model, qwen/model", registry.ExplainUnknown("model"));
    }

    [TestMethod]
    public async Task Models_of_LM_Studio_take_publisher_and_model()
    {
        Add("home/.lmstudio/models/one/tiny-GGUF/tiny-Q8_0.gguf");
        Add("home/.lmstudio/models/two/tiny-GGUF/tiny-Q8_0.gguf");
        var registry = await ScanAsync(new LmStudioSource(HostEnvironments.In(_folder)));
        Assert.AreEqual("one/tiny-GGUF two/tiny-GGUF", Names(registry));
        Assert.AreEqual("two/tiny-GGUF", registry.Find("two/tiny-gguf:Q8_0")?.Name);
    }

    [TestMethod]
    public async Task Several_quantizations_of_one_stem_are_distinguished()
    {
        Add("tiny-F32.gguf");
        Add("tiny-Q8_0.gguf", GgmlType.Q8_0);
        Assert.AreEqual("tiny:F32 tiny:Q8_0", Names(await ScanAsync()));
    }

    [TestMethod]
    [DataRow("aaa/model.gguf")]
    [DataRow("model-Q8_0.gguf")]
    [DataRow("zzz/model.GGUF")]
    public async Task A_file_that_is_added_changes_no_name(string added)
    {
        Add("m/model-F32.gguf");
        var discovery = Discovery();
        var registry = new ModelRegistry(discovery);
        await registry.RefreshAsync();
        var path = registry.Find("model")!.Path;
        var before = new[] { "model", "model-F32", "model:F32", "m/model" };

        Add(added);
        await registry.RefreshAsync();

        Assert.HasCount(2, registry.Entries);
        foreach (var name in before)
            Assert.AreEqual(path, registry.Find(name)?.Path, name);
    }

    [TestMethod]
    public void What_was_there_first_is_remembered_over_a_restart()
    {
        Add("m/model.gguf");
        ScanCache Cache() => new(_folder["cache/models.cache"]);
        Assert.AreEqual("model", new ModelDiscovery(Sources(), Cache()).Scan().Models.Single().Name);
        // Another command, which searches elsewhere, comes between.
        _ = new ModelDiscovery([new FolderSource("models", _folder["other"])], Cache()).Scan();
        Add("a/model.gguf");

        var names = new ModelDiscovery(Sources(), Cache()).Scan().Models.Select(model => model.Name);
        Assert.AreEqual("a/model model", string.Join(' ', names));
    }

    [TestMethod]
    public async Task A_link_under_another_name_is_an_alias()
    {
        var path = Add("z/real-name-F32.gguf");
        File.CreateSymbolicLink(_folder["a/my-favourite.gguf"], path);
        var registry = await ScanAsync();
        Assert.AreEqual("real-name", registry.Entries.Single().Name);
        Assert.AreEqual("real-name", registry.Find("my-favourite")?.Name);
    }

    [TestMethod]
    public async Task A_link_to_a_file_of_another_tool_keeps_that_tools_name()
    {
        var blob = Add("home/.cache/huggingface/hub/models--org--Tiny-GGUF/snapshots/abc/Tiny-F32.gguf");
        File.CreateSymbolicLink(_folder["models/mine.gguf"], blob);
        var registry = await ScanAsync(new FolderSource("models", _folder["models"]), new HuggingFaceSource(HostEnvironments.In(_folder)));
        Assert.HasCount(1, registry.Entries);
        Assert.AreSame(registry.Entries[0], registry.Find("mine"));
        Assert.AreSame(registry.Entries[0], registry.Find("org/Tiny-GGUF:F32"));
    }

    [TestMethod]
    [DataRow("Mode\u0300le-e\u0301te\u0301", "Mod\u00E8le-\u00E9t\u00E9")]
    [DataRow("u\u0308bung", "\u00DCbung")]
    [DataRow("\u30D2\u3099", "\u30D3")]
    [DataRow("\u1112\u1161\u11AB\u1100\u1173\u11AF", "\uD55C\uAE00")]
    [DataRow("e\u0323\u0302", "\u1EC7")]
    public async Task Composed_and_decomposed_letters_are_one_name(string onDisk, string asked)
    {
        Add(onDisk + ".gguf");
        var registry = await ScanAsync();
        Assert.IsNotNull(registry.Find(asked));
        Assert.IsNotNull(registry.Find(onDisk));
    }

    [TestMethod]
    [DataRow("Tiny-1B-F32.gguf")]
    [DataRow("tiny-1b-f32")]
    [DataRow("tiny-1b:latest")]
    [DataRow("library/tiny-1b")]
    [DataRow("registry.ollama.ai/library/tiny-1b:latest")]
    [DataRow(" tiny-1b ")]
    public async Task A_file_is_found_as_other_programs_write_its_name(string name)
    {
        Add("Tiny-1B-F32.gguf");
        Assert.AreEqual("Tiny-1B", (await ScanAsync()).Find(name)?.Name);
    }

    [TestMethod]
    [DataRow("hf.co/org/Tiny-GGUF:F32")]
    [DataRow("https://huggingface.co/org/Tiny-GGUF")]
    [DataRow("org/tiny-gguf:f32")]
    [DataRow("hf.co/org/Tiny-GGUF/Tiny-F32.gguf")]
    [DataRow("Tiny-F32.gguf")]
    public async Task A_repository_of_Hugging_Face_is_found_as_other_programs_write_it(string name)
    {
        Add("home/.cache/huggingface/hub/models--org--Tiny-GGUF/snapshots/abc/Tiny-F32.gguf");
        var registry = await ScanAsync(new HuggingFaceSource(HostEnvironments.In(_folder)));
        Assert.AreEqual("org/Tiny-GGUF:F32", registry.Find(name)?.Name);
    }

    [TestMethod]
    public async Task The_ending_in_capitals_works_for_shards_too()
    {
        for (var number = 1; number <= 2; number++)
        {
            new GgufWriter().Add("general.architecture", "llama").Add("split.count", 2u)
                .AddTensor($"t{number}", GgmlType.F32, [4], output => output.Write(new byte[16]))
                .WriteFile(_folder[$"big-{number:D5}-of-00002.GGUF"]);
        }
        var model = (await ScanAsync()).Entries.Single();
        Assert.AreEqual("big", model.Name);
        Assert.HasCount(2, model.Shards);
        Assert.HasCount(2, SingleFile.Open(model.Path).Shards);
    }

    [TestMethod]
    [DataRow("qwen-imatrix-Q4_K_M")]
    [DataRow("qwen-0.5b-draft")]
    [DataRow("mmproj-tuned")]
    [DataRow("my-vae-clip-whisper-encoder")]
    public async Task A_word_in_the_name_hides_no_model(string name)
    {
        Add(name + ".gguf");
        var model = (await ScanAsync()).Entries.Single();
        Assert.IsTrue(model.Type.IsLanguageModel());
    }

    private string Add(string path, GgmlType type = GgmlType.F32) => RandomModel.Write(_folder[path],
        new RandomModelShape { Seed = ++_seed, Layers = 1, Vocabulary = 384, Type = type, Embedding = 128 });

    private IModelSource[] Sources() => [new FolderSource("models", _folder.Path)];

    private ModelDiscovery Discovery() => new(Sources());

    private async Task<ModelRegistry> ScanAsync(params IModelSource[] sources)
    {
        var registry = new ModelRegistry(new ModelDiscovery(sources.Length > 0 ? sources : Sources()));
        await registry.RefreshAsync();
        return registry;
    }

    private static string Names(ModelRegistry registry) => string.Join(' ', registry.Entries.Select(entry => entry.Name));
}
