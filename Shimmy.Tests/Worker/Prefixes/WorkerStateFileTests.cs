using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using static Shimmy.Tests.Fixtures.WorkerFixture;

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
        var change = WithStore(folder);
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

    private static Func<ModelSpec, ModelSpec> WithStore(TemporaryFolder folder) => spec => spec with { PrefixStore = folder["states"] };
}
