using System.Diagnostics;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Benchmarks;

/// <summary>
/// What routing by an endpoint picker is worth on 3 to 1,000 servers. The time that a server takes for a token of a prompt and of an answer
/// is measured; the servers are simulated with it.
/// </summary>
internal static class RoutingBenchmark
{
    private static readonly int[] Sizes = [3, 10, 100, 1000];

    public static async Task RunAsync(string? modelPath, TextWriter output)
    {
        var (prompt, answer) = await MeasureAsync(BenchmarkModel.PathOf(modelPath));
        await output.WriteLineAsync($"one server: {1e3 * prompt:F2} ms for a token of a prompt, {1e3 * answer:F2} ms for one of an answer");
        await output.WriteLineAsync(
            $"{SimulatedFleet.BeginningsOfServer} beginnings of {SimulatedFleet.BeginningTokens} tokens for each server, of which one "
            + $"holds {SimulatedFleet.HeldBeginnings}; time to the first token, median and 95th of 100");
        await output.WriteLineAsync(
            $"{"servers",-8} {"in turn",18} {"by the picker",18} {"ratio",7} {"hits in turn",13} {"hits picked",12} {"ms a pick",10}");
        foreach (var size in Sizes)
        {
            var turn = new SimulatedFleet(size, prompt, answer).Run(picks: false);
            var picked = new SimulatedFleet(size, prompt, answer).Run(picks: true);
            await output.WriteLineAsync(
                $"{size,-8} {turn.Median,8:F2} {turn.High,7:F2} s {picked.Median,8:F2} {picked.High,7:F2} s {turn.Median / picked.Median,6:F1}x {turn.Hits,13:P0} {picked.Hits,12:P0} {picked.Pick,10:F3}");
        }
    }

    // Seconds for a token of a prompt, and of an answer among as many as a server has slots.
    private static async Task<(double Prompt, double Answer)> MeasureAsync(string path)
    {
        await using var model = await BenchmarkModel.Engine().LoadAsync(
            new ModelSpec { Name = "measured", Path = path, Parallel = SimulatedFleet.Slots, ContextLength = 1024, PrefixMemoryBytes = 0 },
            null, CancellationToken.None);
        var prompts = new List<double>();
        for (var round = 0; round < 3; round++)
        {
            var begun = Stopwatch.GetTimestamp();
            await BenchmarkModel.GenerateAsync(model, RandomMemory.Words(round, 512), 1);
            prompts.Add(Stopwatch.GetElapsedTime(begun).TotalSeconds / 512);
        }
        var start = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, SimulatedFleet.Slots)
            .Select(i => BenchmarkModel.GenerateAsync(model, RandomMemory.Words(i, 8), 64)));
        prompts.Sort();
        return (prompts[1], Stopwatch.GetElapsedTime(start).TotalSeconds / 64);
    }
}
