using System.Diagnostics;
using System.Globalization;
using Shimmy.Engine;
using Shimmy.Gguf;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Benchmarks;

/// <summary>
/// What a prompt of 1,600 tokens takes that is computed already in part, by the kind of a model's memory: time to the first token, median of
/// three. Plain attention, a hybrid of attention and short convolutions, sliding windows, recurrent state.
/// </summary>
internal static class PrefixBenchmark
{
    internal const int Rounds = 3;
    internal const int Prompt = 1600;
    internal const int Shared = 1500;
    internal const int Others = 12;
    internal const int AtOnce = 8;
    internal const int SharedAtOnce = 1200;

    private static readonly (string Name, RandomModelShape Shape)[] Kinds =
    [
        ("hybrid", RandomMemory.Lfm2 with
        {
            Layers = 16, Embedding = 768, Heads = 12, KeyValueHeads = 4, FeedForward = 2048, Vocabulary = 32_000, Context = 8192,
            Type = GgmlType.Q8_0,
        }),
        ("window", RandomMemory.Gemma3 with
        {
            Layers = 18, Embedding = 640, Heads = 4, KeyValueHeads = 1, FeedForward = 2048, Vocabulary = 32_000, Context = 8192,
            Type = GgmlType.Q8_0, Window = 512,
        }),
        ("recurrent", RandomMemory.Mamba2 with
        {
            Layers = 24, Embedding = 768, Heads = 12, Vocabulary = 32_000, Context = 8192, Type = GgmlType.Q8_0,
        }),
        ("plain", new RandomModelShape
        {
            Name = "random-135m", Layers = 30, Embedding = 576, Heads = 9, KeyValueHeads = 3, FeedForward = 1536, Vocabulary = 49_152,
            Context = 8192, Type = GgmlType.Q8_0,
        }),
    ];

    public static async Task RunAsync(string? modelPath, TextWriter output)
    {
        await output.WriteLineAsync($"milliseconds to the first token of {Prompt} tokens, median of {Rounds}; in brackets the tokens that were not computed");
        await output.WriteLineAsync($"{"",-10} {"first",16} {"the same again",16} {$"another end",16} {$"after {Others} others",16} {$"{AtOnce} at once",16} {"after a restart",16}");
        foreach (var (name, path) in Models(modelPath))
            await output.WriteLineAsync(await LineAsync(name, path));
    }

    /// <summary>The model of that path; where none is given, one of each kind of memory, written once.</summary>
    public static IReadOnlyList<(string Name, string Path)> Models(string? path) => path is not null
        ? [(Path.GetFileNameWithoutExtension(path), Path.GetFullPath(path))]
        : [.. Kinds.Select(kind => (kind.Name, BenchmarkModel.PathOf(kind.Shape.Name + "-prefixes", kind.Shape)))];

    private static async Task<string> LineAsync(string name, string path)
    {
        var rows = Enumerable.Range(0, 6).Select(_ => new List<(double Time, int Cached)>()).ToArray();
        using var folder = new TemporaryFolder();
        for (var round = 0; round < Rounds; round++)
        {
            await using (var first = await LoadAsync(name, path, folder["states"]))
            {
                await AskAsync(first, RandomMemory.Words(900 + round, Prompt));
                // It is written once the worker has rested.
                var size = 0L;
                for (var waited = 0; waited < 60; waited++)
                {
                    var now = (await first.GetStatisticsAsync(CancellationToken.None)).StateFileBytes;
                    if (now > 0 && now == size)
                        break;
                    size = now;
                    await Task.Delay(TimeSpan.FromSeconds(1));
                }
            }
            await using var second = await LoadAsync(name, path, folder["states"]);
            await AskAsync(second, RandomMemory.Words(999, 600));
            rows[5].Add(await AskAsync(second, RandomMemory.Words(900 + round, Prompt)));
        }
        await using var model = await LoadAsync(name, path, null);
        await AskAsync(model, RandomMemory.Words(999, 600));
        for (var round = 0; round < Rounds; round++)
        {
            var prompt = RandomMemory.Words(100 * (round + 1), Prompt);
            rows[0].Add(await AskAsync(model, prompt));
            rows[1].Add(await AskAsync(model, prompt));
            rows[2].Add(await AskAsync(model, [.. prompt[..Shared], .. RandomMemory.Words(7, Prompt - Shared)]));
            for (var other = 1; other <= Others; other++)
                await AskAsync(model, RandomMemory.Words((100 * (round + 1)) + other, Prompt));
            rows[3].Add(await AskAsync(model, prompt));
            var shared = RandomMemory.Words((100 * (round + 1)) + 50, SharedAtOnce);
            var begun = Stopwatch.GetTimestamp();
            var answers = await Task.WhenAll(Enumerable.Range(0, AtOnce)
                .Select(i => AskAsync(model, [.. shared, .. RandomMemory.Words(i, Prompt - SharedAtOnce)])));
            rows[4].Add((Stopwatch.GetElapsedTime(begun).TotalMilliseconds, answers.Sum(answer => answer.Cached)));
        }
        return $"{name,-10} " + string.Join(' ', rows.Select(row => string.Create(CultureInfo.InvariantCulture,
            $"{BenchmarkModel.Median(row.Select(one => one.Time)),8:F0} ({row[^1].Cached,5})")));
    }

    private static Task<ILoadedModel> LoadAsync(string name, string path, string? store) => BenchmarkModel.Engine().LoadAsync(
        new ModelSpec
        {
            Name = name,
            Path = path,
            Parallel = AtOnce,
            ContextLength = 4096,
            PrefixMemoryBytes = 1L << 30,
            PrefixStore = store,
        }, null, CancellationToken.None);

    private static async Task<(double Milliseconds, int Cached)> AskAsync(ILoadedModel model, int[] prompt)
    {
        var begun = Stopwatch.GetTimestamp();
        var request = RandomMemory.Ask(prompt);
        var cached = 0;
        await foreach (var one in model.GenerateAsync(
            request with { Options = request.Options with { MaxTokens = 1 } }, CancellationToken.None))
        {
            cached = one.Start?.CachedTokens ?? cached;
        }
        return (Stopwatch.GetElapsedTime(begun).TotalMilliseconds, cached);
    }
}
