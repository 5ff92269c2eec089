using System.Diagnostics;
using System.Globalization;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Benchmarks;

/// <summary>
/// The time between the tokens of streams beside which others ask one new prompt after another: with a store of states, into which each of
/// these is saved for nothing, and without. The two take turns.
/// </summary>
internal static class StateGapBenchmark
{
    private const int Rounds = 6;
    private const int Streams = 3;
    private const int Tokens = 250;
    private const int Others = 600; // tokens of a prompt beside
    private const int Slots = 6;

    public static async Task RunAsync(string? modelPath, TextWriter output)
    {
        var path = BenchmarkModel.PathOf(modelPath);
        long[] sizes = [0, 2L << 30];
        var models = new List<ILoadedModel>();
        foreach (var size in sizes)
            models.Add(await LoadAsync(path, size));
        var gaps = Array.ConvertAll(sizes, _ => new List<double>());
        var asked = new int[sizes.Length];
        for (var round = -1; round < Rounds; round++)
        {
            for (var i = 0; i < models.Count; i++)
            {
                var (found, prompts) = await MeasureAsync(models[i], round);
                if (round < 0)
                    continue;
                gaps[i].AddRange(found);
                asked[i] += prompts;
            }
        }
        await output.WriteLineAsync($"milliseconds between tokens of {Streams} streams, beside new prompts of {Others} tokens, {Rounds} rounds each");
        for (var i = 0; i < models.Count; i++)
        {
            var statistics = await models[i].GetStatisticsAsync(CancellationToken.None);
            gaps[i].Sort();
            await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture,
                $"{(sizes[i] == 0 ? "without a store" : "with a store"),-16} median {At(gaps[i], 0.5),6:F1}, p99 {At(gaps[i], 0.99),6:F1}, longest {gaps[i][^1],6:F1}; {asked[i]} prompts beside, {statistics.States} states"));
            await models[i].DisposeAsync();
        }
        await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture,
            $"with / without: median {At(gaps[1], 0.5) / At(gaps[0], 0.5):F2}, p99 {At(gaps[1], 0.99) / At(gaps[0], 0.99):F2}"));
    }

    private static double At(List<double> sorted, double share) => sorted[(int)(share * (sorted.Count - 1))];

    private static async Task<(List<double> Gaps, int Prompts)> MeasureAsync(ILoadedModel model, int round)
    {
        using var end = new CancellationTokenSource();
        var beside = Task.Run(async () =>
        {
            var prompts = 0;
            for (; !end.IsCancellationRequested; prompts++)
                await BenchmarkModel.GenerateAsync(model, RandomMemory.Words((1000 * (round + 2)) + prompts, Others), 8);
            return prompts;
        });
        var gaps = await Task.WhenAll(Enumerable.Range(0, Streams).Select(async stream =>
        {
            var found = new List<double>();
            long? before = null;
            await BenchmarkModel.GenerateAsync(model, RandomMemory.Words(stream, 40), Tokens, () =>
            {
                var now = Stopwatch.GetTimestamp();
                if (before is { } last)
                    found.Add(Stopwatch.GetElapsedTime(last, now).TotalMilliseconds);
                before = now;
            });
            return found;
        }));
        await end.CancelAsync();
        return ([.. gaps.SelectMany(found => found)], await beside);
    }

    private static Task<ILoadedModel> LoadAsync(string path, long memory) => BenchmarkModel.Engine().LoadAsync(
        new ModelSpec
        {
            Name = "benchmark",
            Path = path,
            Parallel = Slots,
            ContextLength = 2048,
            PrefixMemoryBytes = memory,
            // Of the tokens that a draft has right, all but the first come at once.
            Speculate = false,
            Threads = Environment.ProcessorCount,
        }, null, CancellationToken.None);
}
