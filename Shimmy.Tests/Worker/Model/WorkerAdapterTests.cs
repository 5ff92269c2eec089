using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;
using static Shimmy.Tests.Fixtures.Servers.WorkerFixture;

namespace Shimmy.Tests.Worker.Model;

/// <summary>LoRA adapters that requests choose.</summary>
[TestClass]
[TestCategory("Worker")]
public sealed class WorkerAdapterTests
{
    private static readonly int[] Tokens = [1, 300, 301, 305, 310, 322];

    [TestMethod]
    [DataRow(0f)]
    [DataRow(1f)]
    [DataRow(-0.5f)]
    public async Task An_adapter_changes_the_probabilities_as_computed_by_hand(float scale)
    {
        using var folder = new TemporaryFolder();
        var adapter = RandomAdapter.Write(folder["style.gguf"], alpha: 6);
        await using var model = await LoadAsync(folder, spec => spec with { Loras = [new LoraSetting(adapter)] });
        var expected = new LlamaReference(folder["random.gguf"], adapter, scale).LogProbabilities(Tokens);
        var plain = new LlamaReference(folder["random.gguf"], null, 0).LogProbabilities(Tokens);

        var answer = await RunAsync(model, Request([new LoraChoice(0, null, scale)]));

        var top = answer.LogProbabilities[0]!.Top;
        Assert.HasCount(20, top);
        foreach (var one in top)
            Assert.AreEqual(expected[one.Token], one.LogProbability, 0.02, $"token {one.Token}");
        Assert.AreEqual(scale != 0, top.Any(one => Math.Abs(plain[one.Token] - one.LogProbability) > 0.1));
    }

    [TestMethod]
    public async Task Scale_0_and_an_empty_choice_give_the_model_alone()
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadTwoAsync(folder);
        await using var bare = await LoadAsync(folder, spec => spec with { Parallel = 8 });

        foreach (var choices in new LoraChoice[][] { [], [new(0, null, 0)], [new(null, "first", 0), new(1, null, 0)] })
        {
            // The same requests in the same order on both: in which cells a sequence lies decides the last bits on some processors.
            var expected = await RunAsync(bare, Request(null));
            var answer = await RunAsync(model, Request(choices));
            CollectionAssert.AreEqual(expected.Tokens, answer.Tokens);
            CollectionAssert.AreEqual(Likely(expected), Likely(answer));
        }
        CollectionAssert.AreNotEqual(Likely(await RunAsync(bare, Request(null))),
            Likely(await RunAsync(model, Request(null))), "the first acts where nothing is said");
    }

    [TestMethod]
    public async Task Requests_of_different_adapters_at_once_answer_as_each_does_alone()
    {
        using var folder = new TemporaryFolder();
        LoraChoice[]?[] sets = [null, [], [new(1, null, 1)], [new(0, null, 1), new(null, "second", 0.5f)], [new(1, null, -1)], []];
        var alone = new List<Answer>();
        await using (var one = await LoadTwoAsync(folder))
        {
            foreach (var set in sets)
                alone.Add(await RunAsync(one, Request(set, 60)));
        }
        await using var model = await LoadTwoAsync(folder);

        var together = await Task.WhenAll(sets.Select(set => RunAsync(model, Request(set, 60))));

        for (var i = 0; i < sets.Length; i++)
            CollectionAssert.AreEqual(alone[i].Tokens[..30], together[i].Tokens[..30], $"set {i}");
        Assert.AreEqual(5, together.Select(answer => string.Join(' ', answer.Tokens)).Distinct().Count(), "five sets, one of them twice");
    }

    [TestMethod]
    public async Task Cells_are_shared_among_requests_of_the_same_adapters_alone()
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadTwoAsync(folder);
        LoraChoice[] second = [new(1, null, 1)];

        var first = await RunAsync(model, Cached(null));
        var other = await RunAsync(model, Cached(second));
        var stronger = await RunAsync(model, Cached([new(1, null, 2)]));
        var again = await RunAsync(model, Cached(second));
        // The first acts by default, so that naming it is the same set.
        var named = await RunAsync(model, Cached([new(null, "first", 1)]));

        Assert.AreEqual((0, 0, 0), (first.Start.CachedTokens, other.Start.CachedTokens, stronger.Start.CachedTokens));
        Assert.AreEqual((Tokens.Length - 1, Tokens.Length - 1), (again.Start.CachedTokens, named.Start.CachedTokens));

        static GenerationRequest Cached(LoraChoice[]? choices) => Request(choices) is var request
            ? request with { Options = request.Options with { CachePrompt = true } } : request;
    }

    [TestMethod]
    public async Task No_set_starves_while_others_stream()
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadTwoAsync(folder);
        var running = 0;
        var streams = Enumerable.Range(0, 3)
            .Select(_ => RunAsync(model, Request([], 480), _ => Interlocked.Increment(ref running))).ToArray();
        await Poll.UntilAsync(() => Volatile.Read(ref running) >= 10, "the streams run");

        await RunAsync(model, Request([new LoraChoice(1, null, 1)], 20));

        Assert.IsFalse(streams.All(stream => stream.IsCompleted), "it had to wait for all the others to end");
        await Task.WhenAll(streams);
    }

    [TestMethod]
    [DataRow(7, null, "lora[0].id", "this model has 0 'first', 1 'second'")]
    [DataRow(null, "third", "lora[0].name", "there is no adapter 'third'; this model has 0 'first', 1 'second'")]
    public async Task An_adapter_that_is_not_there_is_refused_with_those_that_are(int? id, string? name, string field, string message)
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadTwoAsync(folder);

        var refused = await Assert.ThrowsExactlyAsync<EngineException>(() => RunAsync(model, Request([new LoraChoice(id, name, 1)])));

        Assert.AreEqual((EngineFailure.InvalidRequest, field), (refused.Failure, refused.Option));
        StringAssert.Contains(refused.Message, message);
        var twice =
            await Assert.ThrowsExactlyAsync<EngineException>(() => RunAsync(model, Request([new(0, null, 1), new(null, "first", 1)])));
        Assert.AreEqual("lora[1]", twice.Option);
    }

    [TestMethod]
    public async Task An_adapter_of_another_architecture_is_refused_with_both_names()
    {
        using var folder = new TemporaryFolder();
        var alien = RandomAdapter.Write(folder["alien.gguf"], new RandomModelShape { Architecture = "qwen2" });

        var refused =
            await Assert.ThrowsExactlyAsync<EngineException>(
                () => LoadAsync(folder, spec => spec with { Loras = [new LoraSetting(alien)] }));

        Assert.AreEqual(EngineFailure.LoadFailed, refused.Failure);
        StringAssert.Contains(refused.Message,
            $"cannot load the LoRA adapter {alien}: it is made for models of the architecture qwen2, and this one is of llama");
    }

    [TestMethod]
    public async Task What_was_only_found_beside_the_model_waits_to_be_chosen_and_may_be_unfit()
    {
        using var folder = new TemporaryFolder();
        var adapter = RandomAdapter.Write(folder["found.gguf"]);
        var alien = RandomAdapter.Write(folder["alien.gguf"], new RandomModelShape { Embedding = 128 });
        await using var model = await LoadAsync(folder, spec => spec with
        {
            Loras = [new LoraSetting(alien, 0, Found: true), new LoraSetting(adapter, 0, Found: true)],
        });
        await using var bare = await LoadAsync(folder);

        Assert.AreEqual(new AdapterFacts(0, "found", adapter, 0), model.Facts.Adapters.Single());
        var plain = await RunAsync(bare, Request(null));
        CollectionAssert.AreEqual(Likely(plain), Likely(await RunAsync(model, Request(null))));
        CollectionAssert.AreNotEqual(Likely(plain), Likely(await RunAsync(model, Request([new LoraChoice(null, "found", 1)]))));
    }

    private static Task<ILoadedModel> LoadTwoAsync(TemporaryFolder folder)
    {
        var first = RandomAdapter.Write(folder["first.gguf"]);
        var second = RandomAdapter.Write(folder["second.gguf"], new RandomModelShape { Seed = 77 });
        return LoadAsync(folder, spec => spec with { Parallel = 8, Loras = [new LoraSetting(first), new LoraSetting(second, 0)] });
    }

    private static GenerationRequest Request(LoraChoice[]? choices, int most = 8) => new()
    {
        Prompt = Prompt.FromTokens(Tokens),
        Options = new GenerationOptions
        {
            Temperature = 0,
            MaxTokens = most,
            IgnoreEos = true,
            TopLogProbabilities = 20,
            Loras = choices,
            CachePrompt = false
        },
    };

    private static string[] Likely(Answer answer) =>
        [.. answer.LogProbabilities.Select(one => string.Join(' ', one!.Top.Select(top => $"{top.Token}:{top.LogProbability:R}")))];
}
