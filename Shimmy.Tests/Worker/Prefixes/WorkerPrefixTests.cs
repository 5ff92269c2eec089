using Shimmy.Engine;
using Shimmy.Gguf;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using static Shimmy.Tests.Fixtures.Servers.WorkerFixture;

namespace Shimmy.Tests.Worker.Prefixes;

[TestClass]
[TestCategory("Worker")]
public sealed class WorkerPrefixTests
{
    private const int Newline = RandomModel.FirstByte + '\n';

    private static readonly int[] EndOfTurn = [RandomModel.ImEnd, Newline, RandomModel.ImStart];

    [TestMethod]
    [DataRow("lfm2")]
    [DataRow("mamba2")]
    [DataRow("gemma3")]
    public async Task A_memory_that_cannot_be_cut_is_taken_up_again_from_checkpoints(string architecture)
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, spec => spec with { Parallel = 2, BatchSize = 128 }, RandomMemory.ShapeOf(architecture));
        await using var alone = await LoadAsync(folder, spec => spec with { Parallel = 1, BatchSize = 128, SharePrefixes = false },
            RandomMemory.ShapeOf(architecture));
        // A history of 600 tokens, a question, and the beginning of the answer.
        int[] history = [.. RandomMemory.Words(1, 600), .. EndOfTurn];
        int[] first = [.. history, .. RandomMemory.Words(2, 150), .. EndOfTurn, 700];
        int[] otherQuestion = [.. history, .. RandomMemory.Words(3, 200), .. EndOfTurn, 700];
        int[] otherHistory = [.. RandomMemory.Words(1, 560), .. RandomMemory.Words(4, 100)];

        Assert.AreEqual(0, (await AskAsync(first)).CachedTokens);

        var again = await AskAsync(first);
        Assert.IsInRange(first.Length - 17, first.Length - 1, again.CachedTokens, "the same again");
        var otherEnd = await AskAsync(otherQuestion);
        Assert.IsInRange(history.Length - 1, history.Length, otherEnd.CachedTokens, "another question");
        var otherMiddle = await AskAsync(otherHistory);
        Assert.IsInRange(512, 560, otherMiddle.CachedTokens, "another history");
        // Those two took its end out of the cells; a state of recurrent layers alone needs none.
        Assert.IsGreaterThanOrEqualTo(architecture == "mamba2" ? first.Length - 17 : 512, (await AskAsync(first)).CachedTokens,
            "the first once more");

        var statistics = await model.GetStatisticsAsync(CancellationToken.None);
        Assert.AreEqual(statistics.CachedTokens, statistics.CachedTokensFrom.Values.Sum());
        Assert.IsGreaterThan(0L, statistics.StateBytes);

        async Task<GenerationStart> AskAsync(int[] prompt)
        {
            var answer = await RunAsync(model, RandomMemory.Ask(prompt));
            var computed = await RunAsync(alone, RandomMemory.Ask(prompt));
            Assert.AreEqual(0, computed.Start.CachedTokens);
            CollectionAssert.AreEqual(computed.Tokens, answer.Tokens, $"another text with {answer.Start.CachedTokens} tokens restored");
            return answer.Start;
        }
    }

    // On processors with AMX llama.cpp gives noise or NaN for several sequences in a recurrent layer (Backends.UsesTiles).
    [TestMethod]
    [DataRow("lfm2")]
    [DataRow("mamba2")]
    public async Task Quantized_recurrent_layers_compute_several_sequences_as_they_do_one(string architecture)
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, spec => spec with { Parallel = 4, ContextLength = 512, SharePrefixes = false },
            RandomMemory.ShapeOf(architecture) with { Type = GgmlType.Q8_0, Embedding = 128, FeedForward = 256 });
        var alone = new List<int>();
        for (var i = 0; i < 12; i++)
            alone.Add((await RunAsync(model, RandomMemory.Prompt(i, 60))).Tokens[1]);
        var together = new List<int>();
        for (var round = 0; round < 3; round++)
        {
            var answers = await Task.WhenAll(Enumerable.Range(4 * round, 4).Select(i => RunAsync(model, RandomMemory.Prompt(i, 60))));
            together.AddRange(answers.Select(answer => answer.Tokens[1]));
        }
        // Another shape of the batch may turn over a near tie of random weights.
        Assert.IsGreaterThanOrEqualTo(10, alone.Zip(together).Count(pair => pair.First == pair.Second));
    }

    [TestMethod]
    [DataRow("llama", 1)]
    [DataRow("llama", 4)]
    [DataRow("lfm2", 1)]
    [DataRow("lfm2", 4)]
    [DataRow("mamba2", 1)]
    [DataRow("gemma3", 1)]
    [DataRow("gemma3", 4)]
    public async Task A_prefix_that_left_the_cells_is_brought_back_from_memory(string architecture, int slots)
    {
        using var folder = new TemporaryFolder();
        // Of four slots two have cells.
        await using var model =
            await LoadAsync(folder, spec => spec with { Parallel = slots, ContextLength = 1024, Cells = 1024 },
                RandomMemory.ShapeOf(architecture));
        var first = await RunAsync(model, RandomMemory.Ask(RandomMemory.Words(1, 400)));
        for (var other = 2; other < 5; other++)
            await RunAsync(model, RandomMemory.Ask(RandomMemory.Words(other, 400)));

        var back = await RunAsync(model, RandomMemory.Ask(RandomMemory.Words(1, 400)));
        int[] next = [.. RandomMemory.Words(1, 400), .. first.Tokens, .. RandomMemory.Words(9, 20)];
        for (var other = 2; other < 5; other++)
            Assert.IsGreaterThan(380, (await RunAsync(model, RandomMemory.Ask(RandomMemory.Words(other, 400)))).Start.CachedTokens);
        var continued = await RunAsync(model, RandomMemory.Ask(next));

        Assert.IsGreaterThan(380, back.Start.CachedTokens);
        CollectionAssert.AreEqual(first.Tokens, back.Tokens);
        Assert.IsGreaterThan(380, continued.Start.CachedTokens);
        await using var without = await LoadAsync(folder, spec => spec with { Parallel = 1, ContextLength = 1024, PrefixMemoryBytes = 0 },
            RandomMemory.ShapeOf(architecture));
        CollectionAssert.AreEqual((await RunAsync(without, RandomMemory.Ask(next))).Tokens, continued.Tokens);
        await RunAsync(without, RandomMemory.Ask(RandomMemory.Words(2, 400)));
        Assert.AreEqual(0, (await RunAsync(without, RandomMemory.Ask(next))).Start.CachedTokens);
        Assert.AreEqual(0L, (await without.GetStatisticsAsync(CancellationToken.None)).StateBytes);
    }

    [TestMethod]
    [DataRow("llama")]
    [DataRow("lfm2")]
    [DataRow("gemma3")]
    public async Task Idle_prefixes_leave_the_cells_for_what_runs_and_come_back(string architecture)
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, spec => spec with { Parallel = 4, ContextLength = 1024 },
            RandomMemory.ShapeOf(architecture));
        List<List<int>> texts = [];
        for (var prompt = 0; prompt < 4; prompt++)
            texts.Add((await RunAsync(model, RandomMemory.Prompt(prompt, 400))).Tokens);

        var after = await model.GetStatisticsAsync(CancellationToken.None);
        Assert.IsInRange(400, 500, after.CellsUsed, "cells of one prompt");
        Assert.AreEqual(0, after.CellsBusy);
        Assert.AreEqual(0L, after.PrefixesDropped);
        for (var prompt = 0; prompt < 4; prompt++)
        {
            var again = await RunAsync(model, RandomMemory.Prompt(prompt, 400));
            Assert.IsGreaterThan(380, again.Start.CachedTokens, $"prompt {prompt}");
            CollectionAssert.AreEqual(texts[prompt], again.Tokens, $"prompt {prompt}");
        }
    }

    [TestMethod]
    [DataRow("llama")]
    [DataRow("lfm2")]
    [DataRow("mamba2")]
    [DataRow("gemma3")]
    public async Task The_same_prompt_again_computes_nothing(string architecture)
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, spec => spec with { Parallel = 2, ContextLength = 1024 },
            RandomMemory.ShapeOf(architecture));
        var prompt = RandomMemory.Prompt(1, 400);
        prompt = prompt with { Options = prompt.Options with { TopLogProbabilities = 3 } };
        var first = await RunAsync(model, prompt);
        for (var other = 2; other < 5; other++)
            await RunAsync(model, RandomMemory.Prompt(other, 400));
        var before = await model.GetStatisticsAsync(CancellationToken.None);

        var again = await RunAsync(model, prompt);

        Assert.AreEqual(before.PrefilledTokens, (await model.GetStatisticsAsync(CancellationToken.None)).PrefilledTokens);
        Assert.AreEqual(399, again.Start.CachedTokens);
        CollectionAssert.AreEqual(first.Tokens, again.Tokens);
        // To the last digit: these numbers are those of the first time.
        Assert.AreEqual(first.LogProbabilities[0]!.LogProbability, again.LogProbabilities[0]!.LogProbability);
        // Nobody else gets them, and nobody who does not want what was computed before.
        var asked = prompt with { Options = prompt.Options with { CachePrompt = false } };
        Assert.AreEqual(0, (await RunAsync(model, asked)).Start.CachedTokens);
    }

    [TestMethod]
    public async Task What_others_share_or_asked_for_by_number_stays_in_the_cells()
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, spec => spec with { Parallel = 4, ContextLength = 1024 });
        var system = RandomMemory.Words(1, 300);
        var numbered = RandomMemory.Prompt(2, 300);
        await RunAsync(model, numbered with { Options = numbered.Options with { Slot = 3 } });
        for (var user = 3; user < 5; user++)
            await RunAsync(model, RandomMemory.Ask([.. system, .. RandomMemory.Words(user, 400)]));

        await RunAsync(model, RandomMemory.Prompt(5, 300));

        var slots = (await model.GetStatisticsAsync(CancellationToken.None)).Slots;
        Assert.HasCount(4, slots.Where(slot => slot.Tokens >= 300), string.Join(' ', slots.Select(slot => slot.Tokens)));
        var again = await RunAsync(model, numbered with { Options = numbered.Options with { Slot = 3 } });
        Assert.AreEqual(299, again.Start.CachedTokens);
    }

    [TestMethod]
    public async Task What_the_store_has_no_memory_for_stays_in_the_cells()
    {
        using var folder = new TemporaryFolder();
        // Room for fewer states than slots: they would push each other out.
        await using var model = await LoadAsync(folder,
            spec => spec with { Parallel = 8, ContextLength = 1024, PrefixMemoryBytes = 1 << 20 });
        for (var prompt = 0; prompt < 8; prompt++)
            await RunAsync(model, RandomMemory.Prompt(prompt, 800));
        var statistics = await model.GetStatisticsAsync(CancellationToken.None);
        Assert.IsGreaterThan(1600, statistics.CellsUsed, $"{statistics.States} states of {statistics.StateBytes} bytes");
        Assert.AreEqual(0L, statistics.StatesEvicted);

        for (var prompt = 0; prompt < 8; prompt++)
            Assert.AreEqual(799, (await RunAsync(model, RandomMemory.Prompt(prompt, 800))).Start.CachedTokens, $"prompt {prompt}");
    }

    [TestMethod]
    [DataRow("llama")]
    [DataRow("gemma3")]
    public async Task The_end_of_a_prompt_is_saved_before_another_takes_its_place(string architecture)
    {
        using var folder = new TemporaryFolder();
        // So wide that computing takes far longer than copying.
        await using var model = await LoadAsync(folder, spec => spec with { Parallel = 1, ContextLength = 1024 },
            RandomMemory.ShapeOf(architecture) with { FeedForward = 8192 });
        var prompt = RandomMemory.Words(1, 600);
        var first = await RunAsync(model, RandomMemory.Ask(prompt));
        await RunAsync(model, RandomMemory.Ask([.. prompt[..400], .. RandomMemory.Words(2, 200)]));

        var again = await RunAsync(model, RandomMemory.Ask(prompt));

        Assert.AreEqual(599, again.Start.CachedTokens);
        CollectionAssert.AreEqual(first.Tokens, again.Tokens);
    }

    [TestMethod]
    public async Task Clients_share_nothing_unless_they_are_to()
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, spec => spec with { Parallel = 2, PrefixStore = folder["states"] });
        var request = RandomMemory.Prompt(1, 300);

        var first = await RunAsync(model, request with { Place = new QueuePlace("one") });
        var other = await RunAsync(model, request with { Place = new QueuePlace("two") });
        var again = await RunAsync(model, request with { Place = new QueuePlace("one") });

        Assert.AreEqual((0, 0, 299), (first.Start.CachedTokens, other.Start.CachedTokens, again.Start.CachedTokens));
        await using var shared = await LoadAsync(folder, spec => spec with { Parallel = 2, ShareAmongClients = true });
        await RunAsync(shared, request with { Place = new QueuePlace("one") });
        Assert.AreEqual(299, (await RunAsync(shared, request with { Place = new QueuePlace("two") })).Start.CachedTokens);
    }

    [TestMethod]
    public async Task States_stay_inside_their_bound()
    {
        using var folder = new TemporaryFolder();
        const long Most = 1 << 20;
        await using var model = await LoadAsync(folder,
            spec => spec with { Parallel = 1, ContextLength = 1024, PrefixMemoryBytes = Most }, RandomMemory.ShapeOf("lfm2"));
        for (var i = 0; i < 40; i++)
        {
            await RunAsync(model, RandomMemory.Ask(RandomMemory.Words(i % 13, 300 + i)));
            Assert.IsInRange(1L, Most, (await model.GetStatisticsAsync(CancellationToken.None)).StateBytes);
        }
        Assert.IsGreaterThan(0L, (await model.GetStatisticsAsync(CancellationToken.None)).StatesEvicted);
    }
}
