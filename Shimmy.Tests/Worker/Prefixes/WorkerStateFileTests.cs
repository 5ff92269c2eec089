using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;
using Shimmy.Worker.Prefixes;
using static Shimmy.Tests.Fixtures.Servers.WorkerFixture;

namespace Shimmy.Tests.Worker.Prefixes;

[TestClass]
[TestCategory("Worker")]
public sealed class WorkerStateFileTests
{
    private const int Length = 300;

    [TestMethod]
    [DataRow("llama")]
    [DataRow("lfm2")]
    [DataRow("mamba2")]
    [DataRow("gemma3")]
    public async Task A_prompt_is_known_after_a_restart(string architecture)
    {
        using var folder = new TemporaryFolder();
        var first = await ComputeAsync(folder, architecture);

        await using var model = await LoadAsync(folder, WithStore(folder), RandomMemory.ShapeOf(architecture));
        var back = await RunAsync(model, RandomMemory.Prompt(1, Length));

        Assert.IsGreaterThan(Length - 20, back.Start.CachedTokens);
        CollectionAssert.AreEqual(first.Tokens, back.Tokens);
        var statistics = await model.GetStatisticsAsync(CancellationToken.None);
        Assert.AreEqual(back.Start.CachedTokens, statistics.CachedTokensFrom["disk"]);
        Assert.IsGreaterThan(0L, statistics.StateFileBytes);
        Assert.AreEqual(0, (await RunAsync(model, RandomMemory.Prompt(2, Length))).Start.CachedTokens);
    }

    [TestMethod]
    [DataRow("a bit flipped")]
    [DataRow("cut off")]
    [DataRow("no state at all")]
    [DataRow("of another model")]
    [DataRow("of a file that was changed")]
    [DataRow("computed with another option")]
    public async Task A_file_that_is_not_what_it_should_be_is_deleted_and_the_prompt_computed(string how)
    {
        using var folder = new TemporaryFolder();
        var first = await ComputeAsync(folder, "llama");
        var file = Directory.GetFiles(folder["states"], "*.state").Single();
        var bytes = await File.ReadAllBytesAsync(file);
        switch (how)
        {
            case "a bit flipped":
                bytes[bytes.Length / 2] ^= 4;
                break;
            case "cut off":
                bytes = bytes[..^100];
                break;
            case "no state at all":
                Array.Fill(bytes, (byte)'x');
                break;
            default:
                break;
        }
        await File.WriteAllBytesAsync(file, bytes);
        var shape = RandomMemory.ShapeOf("llama") with { Seed = how == "of another model" ? 2 : 1 };
        var change = WithStore(folder, how == "of a file that was changed" ? 2 : 1);
        using var log = new CapturedLog();
        await using var model = await LoadAsync(folder, spec => change(spec) with
        {
            Tuning = how == "computed with another option" ? spec.Tuning with { RopeFrequencyBase = 5000 } : spec.Tuning,
        }, shape, log);

        var computed = await RunAsync(model, RandomMemory.Prompt(1, Length));

        Assert.AreEqual(0, computed.Start.CachedTokens);
        if (how is "of another model" or "computed with another option")
        {
            CollectionAssert.AreNotEqual(first.Tokens, computed.Tokens);
            return;
        }
        if (how == "of a file that was changed")
            return;
        CollectionAssert.AreEqual(first.Tokens, computed.Tokens);
        await log.WaitForAsync($"the state {file} is not used and was deleted: ");
        // It was deleted, and what was computed takes its place.
        await Poll.UntilAsync(async () =>
        {
            await Task.Yield();
            return File.Exists(file) && new FileInfo(file).LastWriteTimeUtc > DateTime.UtcNow.AddMinutes(-5) && IsWhole(file, bytes);
        }, "the file is written anew");
    }

    [TestMethod]
    public async Task States_are_written_down_and_counted_however_often_the_counters_are_asked_for()
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, WithStore(folder), RandomMemory.ShapeOf("llama"));
        await RunAsync(model, RandomMemory.Prompt(1, Length));

        await Poll.UntilAsync(async () => (await model.GetStatisticsAsync(CancellationToken.None)).StateFileBytes > 0, "a state is counted");

        Assert.HasCount(1, Directory.GetFiles(folder["states"], "*.state"));
    }

    [TestMethod]
    [DataRow("llama")]
    [DataRow("lfm2")]
    public async Task What_was_computed_is_written_down_before_the_worker_ends(string architecture)
    {
        using var folder = new TemporaryFolder();
        await using (var model = await LoadAsync(folder, WithStore(folder), RandomMemory.ShapeOf(architecture)))
            await RunAsync(model, RandomMemory.Prompt(1, Length));

        await using var next = await LoadAsync(folder, WithStore(folder), RandomMemory.ShapeOf(architecture));

        Assert.IsGreaterThan(Length - 20, (await RunAsync(next, RandomMemory.Prompt(1, Length))).Start.CachedTokens);
    }

    [TestMethod]
    public async Task A_server_that_never_rests_writes_what_leaves_the_cells()
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(
            folder, spec => WithStore(folder)(spec) with { Parallel = 2 }, RandomMemory.ShapeOf("llama"));
        using var end = new CancellationTokenSource();
        var stream = RunAllAsync();
        for (var i = 1; i <= 3; i++)
            await RunAsync(model, RandomMemory.Prompt(i, Length));

        await Poll.UntilAsync(async () =>
        {
            await Task.Yield();
            return Directory.Exists(folder["states"]) && Directory.GetFiles(folder["states"], "*.state").Length > 0;
        }, "a state is written");

        Assert.IsFalse(stream.IsCompleted, "requests ran all the time");
        await end.CancelAsync();
        await stream;

        async Task RunAllAsync()
        {
            for (var i = 0; !end.IsCancellationRequested; i++)
                await Task.WhenAll(RunAsync(model, RandomMemory.Prompt(10 + i, 150)), RunAsync(model, RandomMemory.Prompt(1000 + i, 150)));
        }
    }

    [TestMethod]
    public async Task A_store_on_disk_without_memory_for_states_is_said_to_have_no_effect()
    {
        using var folder = new TemporaryFolder();
        using var log = new CapturedLog();
        await using var model = await LoadAsync(folder, spec => WithStore(folder)(spec) with { PrefixMemoryBytes = 0 }, log: log);

        await log.WaitForAsync("--prefix-store has no effect: ");
    }

    [TestMethod]
    public async Task A_prompt_whose_state_is_too_large_to_be_kept_is_reported_once()
    {
        using var folder = new TemporaryFolder();
        using var log = new CapturedLog();
        await using var model = await LoadAsync(
            folder, spec => spec with { Parallel = 1, PrefixMemoryBytes = 10_000 }, RandomMemory.ShapeOf("llama"), log);
        for (var i = 1; i <= 4; i++)
            await RunAsync(model, RandomMemory.Prompt(i, Length));

        await log.WaitForAsync("is not kept when it leaves the KV cache");
        Assert.HasCount(1, log.Lines.Where(line => line.Contains("is not kept when", StringComparison.Ordinal)).ToArray());
    }

    [TestMethod]
    public void All_parts_of_a_model_count()
    {
        CollectionAssert.AreEqual(new[] { "/m/a-00001-of-00003.gguf", "/m/a-00002-of-00003.gguf", "/m/a-00003-of-00003.gguf" },
            StateIdentity.PartsOf("/m/a-00001-of-00003.gguf").ToArray());
        CollectionAssert.AreEqual(new[] { "/m/a.gguf" }, StateIdentity.PartsOf("/m/a.gguf").ToArray());
    }

    private static bool IsWhole(string file, byte[] damaged)
    {
        try
        {
            return !File.ReadAllBytes(file).SequenceEqual(damaged);
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static async Task<Answer> ComputeAsync(TemporaryFolder folder, string architecture)
    {
        await using var model = await LoadAsync(folder, WithStore(folder), RandomMemory.ShapeOf(architecture));
        var answer = await RunAsync(model, RandomMemory.Prompt(1, Length));
        Assert.AreEqual(0, answer.Start.CachedTokens);
        // A whole state, or two checkpoints beside it.
        var files = architecture is "lfm2" or "gemma3" or "mamba2" ? 3 : 1;
        await Poll.UntilAsync(async () =>
        {
            await Task.Yield();
            return Directory.Exists(folder["states"]) && Directory.GetFiles(folder["states"], "*.state").Length == files;
        }, "the states are written");
        return answer;
    }

    // Each load writes the same model; a file of another time is another model.
    private static Func<ModelSpec, ModelSpec> WithStore(TemporaryFolder folder, int day = 1) => spec =>
    {
        File.SetLastWriteTimeUtc(spec.Path, new DateTime(2026, 1, day, 0, 0, 0, DateTimeKind.Utc));
        return spec with { PrefixStore = folder["states"] };
    };
}
