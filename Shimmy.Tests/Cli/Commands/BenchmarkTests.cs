using Shimmy.Cli.Commands;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Cli.Commands;

/// <summary>What <c>bench</c> makes of times.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class BenchmarkTests
{
    [TestMethod]
    [DataRow(4, 1000)]
    [DataRow(1, 0)]
    public async Task Rates_are_the_workers_however_the_tokens_arrive(int tokens, int rate)
    {
        // 1 ms in the queue, 2 ms of prefill, 3 ms of decoding; all tokens come at once.
        await using var model = new FixedTokensModel([.. Enumerable.Repeat("a"u8.ToArray(), tokens)]);
        var report = await new Benchmark(model, 30, tokens, parallel: 2).RunAsync(_ => { }, CancellationToken.None);

        Assert.AreEqual(2 * 30 / 0.003, report.PromptTokensPerSecond.Median, 0.1);
        Assert.AreEqual(2 * rate, report.GenerationTokensPerSecond.Median, 0.1);
        Assert.AreEqual(3, report.TimeToFirstTokenMilliseconds.Median, 0.01);
    }
}
