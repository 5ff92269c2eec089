using System.Collections.Concurrent;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using static Shimmy.Tests.Fixtures.Servers.WorkerFixture;

namespace Shimmy.Tests.Worker.Prefixes;

/// <summary>What a worker tells of its blocks is what its slots and kept states hold.</summary>
[TestClass]
[TestCategory("Worker")]
public sealed class WorkerKvBlocksTests
{
    [TestMethod]
    public async Task Blocks_are_reported_when_they_are_full_shared_ones_once_and_until_nobody_holds_them()
    {
        using var folder = new TemporaryFolder();
        var held = new Held();
        await using (var model = await LoadAsync(held, folder, cells: 2048, memory: 64 << 20))
        {
            var shared = Tokens(1, 200);
            await RunAsync(model, Request([.. shared, .. Tokens(2, 20)]));
            // 220 tokens of the prompt and the first of 5 generated ones, the last of which is not computed.
            await Poll.UntilAsync(() => held.InCells.Count == 3, "three blocks are full");
            CollectionAssert.AreEqual(shared[..192], held.TokensInOrder());
            await RunAsync(model, Request([.. shared, .. Tokens(3, 100)]));
            await AssertTrueAsync(model, held);
            Assert.IsLessThan(8, held.InCells.Count, "the shared blocks count once");

            // More than there are cells for: prefixes leave for the host's memory.
            for (var i = 10; i < 22; i++)
                await RunAsync(model, Request(Tokens(i, 500)));
            await AssertTrueAsync(model, held);
            Assert.IsGreaterThan(0, held.InMemory.Count);
            Assert.IsEmpty(held.Mistakes);

            var slots = (await model.GetStatisticsAsync(CancellationToken.None)).Slots;
            foreach (var slot in slots)
                await model.DoAsync(new SlotAction(slot.Id, null, Restore: false), CancellationToken.None);
            await Poll.UntilAsync(() => held.InCells.IsEmpty, "erased slots hold nothing");
            Assert.IsFalse(held.IsGone);
        }
        await Poll.UntilAsync(() => held.IsGone, "an unloaded model holds nothing");
    }

    [TestMethod]
    public async Task Who_it_was_computed_for_is_part_of_a_block()
    {
        using var folder = new TemporaryFolder();
        var held = new Held();
        var adapter = RandomAdapter.Write(folder["style.gguf"]);
        await using var model = await LoadAsync(held, folder, 2048, 0, spec => spec with { Loras = [new LoraSetting(adapter, 0)] });
        await RunAsync(model, Request(Tokens(1, 100)));
        var styled = Request(Tokens(1, 100));
        await RunAsync(model, styled with { Options = styled.Options with { Loras = [new LoraChoice(0, null, 1)] } });
        await RunAsync(model, styled with { Place = new QueuePlace("somebody", 0, 0) });
        await Poll.UntilAsync(() => held.InCells.Count == 3, "the same tokens are three blocks");
        CollectionAssert.AreEquivalent(new[] { null, "style", null }, held.InCells.Values.Select(change => change.Adapter).ToArray());
    }

    [TestMethod]
    public async Task By_what_it_was_computed_is_part_of_a_block()
    {
        using var folder = new TemporaryFolder();
        var (style, other) = (RandomAdapter.Write(folder["style.gguf"]), RandomAdapter.Write(folder["other.gguf"]));
        var blocks = new List<(ulong Hash, string? Adapter)>();
        foreach (var (name, lora) in new (string, string?)[] { ("random", null), ("second", null), ("random", style), ("random", other) })
        {
            var held = new Held();
            await using var model = await LoadAsync(held, folder, 2048, 0,
                spec => spec with { Name = name, Loras = lora is null ? [] : [new LoraSetting(lora)] });
            await RunAsync(model, Request(Tokens(1, 100)));
            await Poll.UntilAsync(() => held.InCells.Count == 1, "a block is full");
            blocks.Add((held.InCells.Single().Key, held.InCells.Single().Value.Adapter));
        }
        Assert.HasCount(4, blocks.Select(block => block.Hash).Distinct().ToList());
        Assert.IsTrue(blocks.TrueForAll(block => block.Adapter is null), "what acts for everybody is no adapter that anybody asked for");
    }

    // Slots of unlike prompts hold unlike blocks, so their numbers must add up; states may share blocks.
    private static async Task AssertTrueAsync(ILoadedModel model, Held held)
    {
        var statistics = await model.GetStatisticsAsync(CancellationToken.None);
        var most = statistics.Slots.Sum(slot => slot.Tokens / CellBlocks.Tokens);
        await Poll.UntilAsync(() => held.InCells.Count <= most && held.InCells.Count * CellBlocks.Tokens <= statistics.CellsUsed,
            $"{held.InCells.Count} blocks, {most} at most in the slots, {statistics.CellsUsed} cells");
        // Each slot has less than a block that is not told of; shared ones are counted once in the cells, too.
        Assert.IsGreaterThanOrEqualTo(statistics.CellsUsed - (statistics.Slots.Count * CellBlocks.Tokens),
            held.InCells.Count * CellBlocks.Tokens);
        Assert.AreEqual(statistics.States == 0, held.InMemory.IsEmpty);
    }

    private static GenerationRequest Request(int[] tokens) => new()
    {
        Prompt = Prompt.FromTokens(tokens),
        Options = new GenerationOptions { Temperature = 0, MaxTokens = 5, IgnoreEos = true },
    };

    private static int[] Tokens(int seed, int count)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(300, 500))];
    }

    private static Task<ILoadedModel> LoadAsync(
        Held held, TemporaryFolder folder, int cells, long memory, Func<ModelSpec, ModelSpec>? change = null)
    {
        var spec = new ModelSpec
        {
            Name = "random",
            Path = RandomModel.Write(folder["random.gguf"], new RandomModelShape { Context = 1024 }),
            Threads = 1,
            Parallel = 4,
            Cells = cells,
            PrefixMemoryBytes = memory,
            ReportsCells = true,
            Speculate = false,
        };
        return NewEngine(cells: held).LoadAsync(change?.Invoke(spec) ?? spec, null, CancellationToken.None);
    }

    // A router's view.
    private sealed class Held : ICellListener
    {
        public ConcurrentDictionary<ulong, CellChange> InCells { get; } = [];

        public ConcurrentDictionary<ulong, CellChange> InMemory { get; } = [];

        public ConcurrentQueue<string> Mistakes { get; } = [];

        public bool IsGone { get; private set; }

        public void Changed(string model, ReadOnlyMemory<byte> changes)
        {
            foreach (var change in CellBlocks.Read(changes))
            {
                var tier = change.InMemory ? InMemory : InCells;
                var parent = change.Parent;
                for (var i = 0; i < change.Hashes.Length; i++)
                {
                    var hash = change.Hashes[i];
                    if (change.Tokens is null ? !tier.TryRemove(hash, out _) : !tier.TryAdd(hash, Block(change, i, parent)))
                        Mistakes.Enqueue($"{hash} came or went twice");
                    parent = hash;
                }
            }
        }

        public void Gone(string model) => IsGone = true;

        public int[] TokensInOrder()
        {
            var tokens = new List<int>();
            for (var at = InCells.Single(pair => pair.Value.Parent is null); ;)
            {
                tokens.AddRange(at.Value.Tokens!);
                var next = InCells.Where(pair => pair.Value.Parent == at.Key).ToArray();
                if (next.Length == 0)
                    return [.. tokens];
                at = next.Single();
            }
        }

        private static CellChange Block(CellChange change, int i, ulong? parent) => change with
        {
            Hashes = [change.Hashes[i]],
            Tokens = change.Tokens![(i * CellBlocks.Tokens)..((i + 1) * CellBlocks.Tokens)],
            Parent = parent,
        };
    }
}
