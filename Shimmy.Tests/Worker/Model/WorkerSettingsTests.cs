using Shimmy.Engine;
using Shimmy.Gguf;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using static Shimmy.Tests.Fixtures.Servers.WorkerFixture;

namespace Shimmy.Tests.Worker.Model;

/// <summary>What a spec asks for beside the model's file: adapters, defaults of its requests.</summary>
[TestClass]
[TestCategory("Worker")]
public sealed class WorkerSettingsTests
{
    [TestMethod]
    public async Task An_adapter_changes_the_answer_by_its_scale()
    {
        using var folder = new TemporaryFolder();
        var adapter = RandomAdapter.Write(folder["lora.gguf"]);

        var plain = await TokensAsync(folder, []);
        var nothing = await TokensAsync(folder, [new LoraSetting(adapter, 0)]);
        var changed = await TokensAsync(folder, [new LoraSetting(adapter)]);
        var backwards = await TokensAsync(folder, [new LoraSetting(adapter, -1)]);
        var both = await TokensAsync(folder, [new LoraSetting(adapter, 0.5f), new LoraSetting(adapter, 0.5f)]);

        Assert.AreEqual(plain, nothing);
        Assert.AreNotEqual(plain, changed);
        Assert.AreNotEqual(changed, backwards);
        Assert.AreEqual(changed, both);
    }

    [TestMethod]
    public async Task A_model_within_another_file_answers_as_one_of_its_own()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("Elsewhere no text stands for a model.");
        using var folder = new TemporaryFolder();
        await using var plain = await LoadAsync(folder);
        var bytes = File.ReadAllBytes(folder["random.gguf"]);
        File.WriteAllBytes(folder["packed"], [.. new byte[3 * 4096], .. bytes, .. new byte[5000]]);
        File.WriteAllText(folder["shimmy/packed/0/models/placed.gguf"], new GgufPlace(folder["packed"], 3 * 4096, bytes.Length).Text());
        foreach (var maps in new bool?[] { null, false })
        {
            await using var placed = await LoadAsync(folder, spec => spec with
            {
                Path = folder["shimmy/packed/0/models/placed.gguf"],
                Tuning = spec.Tuning with { MemoryMap = maps },
            });
            CollectionAssert.AreEqual((await RunAsync(plain, Greedy("abc", 20))).Tokens, (await RunAsync(placed, Greedy("abc", 20))).Tokens);
        }
    }

    [TestMethod]
    [DataRow("qwen2", 64)]
    [DataRow("llama", 128)]
    public async Task An_adapter_of_another_model_is_refused_by_name(string architecture, int width)
    {
        using var folder = new TemporaryFolder();
        var adapter = RandomAdapter.Write(folder["alien.gguf"], new RandomModelShape { Architecture = architecture, Embedding = width });

        var refused =
            await Assert.ThrowsExactlyAsync<EngineException>(
                () => LoadAsync(folder, spec => spec with { Loras = [new LoraSetting(adapter)] }));

        Assert.AreEqual(EngineFailure.LoadFailed, refused.Failure);
        StringAssert.Contains(refused.Message, $"cannot load the LoRA adapter {adapter}: ");
    }

    [TestMethod]
    public async Task The_defaults_of_a_spec_stand_over_those_of_the_file()
    {
        using var folder = new TemporaryFolder();
        var shape = new RandomModelShape
        {
            Metadata = new Dictionary<string, Shimmy.Gguf.GgufValue>
            {
                ["general.sampling.top_k"] = Shimmy.Gguf.GgufValue.OfInteger(Shimmy.Gguf.GgufType.Int32, 7),
                ["general.sampling.temp"] = Shimmy.Gguf.GgufValue.OfInteger(Shimmy.Gguf.GgufType.Int32, 3),
            },
        };
        var defaults =
            new RequestDefaults { Sampling = new Dictionary<string, string> { ["temp"] = "0.25", ["seed"] = "9", ["max_tokens"] = "5" } };

        await using var model = await LoadAsync(folder, spec => spec with { Defaults = defaults }, shape);

        var options = SamplingPatch.DefaultsOf(model.Facts);
        Assert.AreEqual((7, 0.25f, 9u, 5), (options.TopK, options.Temperature, options.Seed, options.MaxTokens));
    }

    [TestMethod]
    public void Specs_load_alike_where_their_lists_hold_the_same()
    {
        var spec = new ModelSpec
        {
            Name = "a",
            Path = "a",
            Loras = [new LoraSetting("l")],
            Defaults = new RequestDefaults { System = "s", Stop = ["x"], Sampling = new Dictionary<string, string> { ["a"] = "1" } },
        };
        var same = spec with
        {
            Loras = [new LoraSetting("l")],
            Defaults = spec.Defaults with { Stop = ["x"], Sampling = new Dictionary<string, string> { ["a"] = "1" } },
        };
        Assert.IsTrue(spec.LoadsLike(same));
        ModelSpec[] others =
        [
            same with { Path = "b" },
            same with { Loras = [] },
            same with { Loras = [new LoraSetting("l", 2)] },
            same with { Defaults = same.Defaults with { System = null } },
            same with { Defaults = same.Defaults with { Stop = ["y"] } },
            same with { Defaults = same.Defaults with { Sampling = new Dictionary<string, string> { ["a"] = "2" } } },
        ];
        foreach (var other in others)
            Assert.IsFalse(spec.LoadsLike(other));
    }

    private static async Task<string> TokensAsync(TemporaryFolder folder, IReadOnlyList<LoraSetting> loras)
    {
        await using var model = await LoadAsync(folder, spec => spec with { Loras = loras });
        return string.Join(' ', (await RunAsync(model, Greedy("once upon a time", 24))).Tokens);
    }
}
