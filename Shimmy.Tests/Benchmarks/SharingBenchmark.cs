using System.Diagnostics;
using Shimmy.Engine;

namespace Shimmy.Tests.Benchmarks;

/// <summary>
/// Eight requests at once whose prompts share 500 tokens that nobody has computed yet, with prefix sharing and without, in turn. A
/// ninth request streams meanwhile: its longest pause shows whether a prompt stalls the others.
/// </summary>
internal static class SharingBenchmark
{
    private const int Rounds = 3;
    private const int Requests = 8;
    private const int PrefixTokens = 500;
    private const int OwnTokens = 8;
    private const int GeneratedTokens = 16;

    public static async Task RunAsync(string? modelPath, TextWriter output)
    {
        var path = BenchmarkModel.PathOf(modelPath);
        await output.WriteLineAsync($"{Path.GetFileName(path)}, {new FileInfo(path).Length / 1e6:F0} MB: {Requests} requests at once, "
            + $"{PrefixTokens} shared prompt tokens and {OwnTokens} of their own, {GeneratedTokens} generated, {Rounds} rounds");
        var times = new Dictionary<bool, List<double>> { [true] = [], [false] = [] };
        var pauses = new Dictionary<bool, List<double>> { [true] = [], [false] = [] };
        var prefilled = new Dictionary<bool, long>();
        await using var sharing = await LoadAsync(path, share: true);
        await using var alone = await LoadAsync(path, share: false);
        for (var round = -1; round < Rounds; round++)
        {
            foreach (var share in new[] { true, false })
            {
                var (time, computed) = await RunOnceAsync(share ? sharing : alone, round);
                await output.WriteLineAsync(
                    $"round {round + 1}, {(share ? "shared" : "alone")}: {time:F2} s{(round < 0 ? " (not counted)" : "")}");
                if (round < 0)
                    continue;
                times[share].Add(time);
                prefilled[share] = computed;
            }
        }
        for (var round = 0; round < Rounds; round++)
        {
            foreach (var share in new[] { true, false })
                pauses[share].Add(await LongestPauseAsync(share ? sharing : alone, Rounds + round));
        }
        foreach (var share in new[] { true, false })
        {
            await output.WriteLineAsync(
                $"{(share ? "shared" : "alone "),-8} all {Requests} done in {BenchmarkModel.Median(times[share]),6:F2} s (median), "
                + $"{prefilled[share]} prompt tokens computed of {Requests * (PrefixTokens + OwnTokens)}; "
                + $"longest pause of a ninth stream meanwhile {BenchmarkModel.Median(pauses[share]) * 1000:F0} ms (median)");
        }
        await output.WriteLineAsync($"shared/alone: {BenchmarkModel.Median(times[true].Zip(times[false], (a, b) => a / b)):F3}");
    }

    private static Task<ILoadedModel> LoadAsync(string path, bool share) => BenchmarkModel.Engine().LoadAsync(
        new ModelSpec { Name = "benchmark", Path = path, Parallel = Requests + 1, SharePrefixes = share }, null, CancellationToken.None);

    private static async Task<(double Seconds, long Computed)> RunOnceAsync(ILoadedModel model, int round)
    {
        var before = await model.GetStatisticsAsync(CancellationToken.None);
        var start = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, Requests)
            .Select(i => BenchmarkModel.GenerateAsync(model, PromptOf(round, i), GeneratedTokens)));
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var after = await model.GetStatisticsAsync(CancellationToken.None);
        return (seconds, after.PrefilledTokens - before.PrefilledTokens);
    }

    private static async Task<double> LongestPauseAsync(ILoadedModel model, int round)
    {
        var last = 0L;
        var longest = TimeSpan.Zero;
        var ready = new TaskCompletionSource();
        var count = 0;
        var stream = BenchmarkModel.GenerateAsync(model, [300 + round, 301], 400, () =>
        {
            var now = Stopwatch.GetTimestamp();
            if (last != 0 && Stopwatch.GetElapsedTime(last, now) > longest)
                longest = Stopwatch.GetElapsedTime(last, now);
            last = now;
            if (++count == 8)
                ready.SetResult();
        });
        await ready.Task;
        await RunOnceAsync(model, round);
        await stream;
        return longest.TotalSeconds;
    }

    // A prefix of its own for each round, so that nobody holds it yet.
    private static int[] PromptOf(int round, int request)
    {
        var random = new Random(round);
        return [.. Enumerable.Range(0, PrefixTokens).Select(_ => random.Next(300, 500)),
            .. Enumerable.Range(0, OwnTokens).Select(i => 300 + (request * 16 + i) % 200)];
    }
}
