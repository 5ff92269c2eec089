using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Benchmarks;

/// <summary>
/// The time between the tokens of a stream, alone and while the same worker is asked about one new picture or sound after the other: while
/// that is read and encoded, and then while its tokens are computed, in chunks as those of any prompt. Rounds take turns, so that what else
/// the machine does falls on all. The demo model with its projector; one of more than 100 MB with a projector that takes seconds for a
/// picture; and, where SHIMMY_MEDIA_CASES names their folder, the larger ones there.
/// </summary>
internal static class MediaBenchmark
{
    private const int Rounds = 4;
    private const int Context = 2048;
    private const int Tokens = 200;
    private const int Streams = 2;
    private const double SecondsEach = 2;

    private static readonly string[] Phases = ["alone", "encoding", "prompt"];

    public static async Task RunAsync(string? modelPath, string? projectorPath, TextWriter output)
    {
        foreach (var (name, model, projector, kind, size) in Cases(modelPath, projectorPath))
        {
            foreach (var threads in ((int[])[1, Environment.ProcessorCount]).Distinct())
                await MeasureAsync(name, model, projector, kind, size, threads, output);
        }
    }

    private static IEnumerable<(string Name, string Model, string Projector, MediumKind Kind, int Size)> Cases(
        string? model, string? projector)
    {
        if (model is not null && projector is not null)
        {
            yield return ("given", Path.GetFullPath(model), Path.GetFullPath(projector), MediumKind.Picture, 1024);
            yield break;
        }
        var demo = Path.Combine(AppContext.BaseDirectory, "models", "shimmy-demo");
        yield return ("demo", demo + ".gguf", demo + ".mmproj.gguf", MediumKind.Picture, 512);
        var large = Path.Combine(Path.GetTempPath(), "shimmy-benchmark-projector-v1.gguf");
        if (!File.Exists(large))
        {
            RandomProjector.Write(large + ".part", RandomModelShape.Large.Embedding, heads: 8, side: 336, width: 512, blocks: 12);
            File.Move(large + ".part", large);
        }
        yield return ("large", BenchmarkModel.PathOf(null), large, MediumKind.Picture, 1024);
        if (Environment.GetEnvironmentVariable("SHIMMY_MEDIA_CASES") is not { Length: > 0 } cases)
            yield break;
        var models = Path.Combine(cases, "models");
        yield return ("qwen2vl", Path.Combine(models, "demo-mrope.gguf"), Path.Combine(models, "qwen2vl.gguf"), MediumKind.Picture, 1024);
        yield return ("ultravox", Path.Combine(models, "demo.gguf"), Path.Combine(models, "ultravox.gguf"), MediumKind.Sound, 16_000 * 60);
    }

    private static async Task MeasureAsync(
        string name, string path, string projector, MediumKind kind, int size, int threads, TextWriter output)
    {
        await using var model = await BenchmarkModel.Engine().LoadAsync(new ModelSpec
        {
            Name = "benchmark",
            Path = path,
            Projector = projector,
            Parallel = Streams,
            ContextLength = Context,
            Threads = threads,
            Speculate = false,
        }, null, CancellationToken.None);
        // Alone, while a medium is read and encoded, and while its tokens are computed as any prompt's are.
        var gaps = (List<double>[])[[], [], []];
        var times = new List<double>();
        for (var round = -1; round < Rounds; round++)
        {
            var found = await StreamAsync(model, round, round % 2 == 0 ? null : () => NewMedium(kind, size), round < 0 ? [] : times);
            for (var i = 0; i < gaps.Length && round >= 0; i++)
                gaps[i].AddRange(found[i]);
        }
        await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture,
            $"{name}, {threads} threads, {times.Count} media, each encoded in {BenchmarkModel.Median(times):F0} ms (median)"));
        foreach (var (what, found) in Phases.Zip(gaps))
        {
            if (found.Count > 0)
                await output.WriteLineAsync("  " + Told(what, found, gaps[0]));
        }
    }

    private static string Told(string what, List<double> gaps, List<double> alone)
    {
        return string.Create(CultureInfo.InvariantCulture,
            $"{what,-8} {gaps.Count,5} gaps: median {Beside(0.5)}, p90 {Beside(0.9)}, p99 {Beside(0.99)}, longest {gaps.Max():F1} ms");

        string Beside(double part) => string.Create(CultureInfo.InvariantCulture,
            $"{Quantile(gaps, part),6:F2} ms ({Quantile(gaps, part) / Quantile(alone, part):F2})");
    }

    // The gaps in milliseconds of a stream: alone, or while a medium is encoded, and between that and its first token.
    private static async Task<List<double>[]> StreamAsync(ILoadedModel model, int round, Func<Medium>? medium, List<double> encoded)
    {
        using var end = new CancellationTokenSource(TimeSpan.FromSeconds(medium is null ? SecondsEach : 3 * SecondsEach));
        var times = new List<long>();
        var begun = new TaskCompletionSource();
        var streaming = Task.Run(async () =>
        {
            for (var turn = 0; !end.IsCancellationRequested; turn++)
            {
                times.Add(-1);
                await BenchmarkModel.GenerateAsync(model, [300 + round + 1, 301, 302 + (turn % 50)], Tokens, () =>
                {
                    times.Add(Stopwatch.GetTimestamp());
                    begun.TrySetResult();
                });
            }
        });
        await await Task.WhenAny(begun.Task, streaming);
        var asked = new List<(long From, long Encoded, long To)>();
        while (medium is not null && !end.IsCancellationRequested)
            asked.Add(await AskAsync(model, medium()));
        await streaming;
        encoded.AddRange(asked.Select(span => Stopwatch.GetElapsedTime(span.From, span.Encoded).TotalMilliseconds));
        var gaps = (List<double>[])[[], [], []];
        for (var i = 1; i < times.Count; i++)
        {
            var (from, to) = (times[i - 1], times[i]);
            if (from < 0 || to < 0)
                continue;
            var span = asked.Find(span => from >= span.From && from < span.To);
            if (medium is null || span.To > 0)
                gaps[medium is null ? 0 : to < span.Encoded ? 1 : 2].Add(Stopwatch.GetElapsedTime(from, to).TotalMilliseconds);
        }
        return gaps;
    }

    // When it was sent, when the first of its tokens were computed, and when it was answered.
    private static async Task<(long From, long Encoded, long To)> AskAsync(ILoadedModel model, Medium medium)
    {
        var request = new GenerationRequest
        {
            Prompt = new Prompt
            {
                Parts = [new PromptPart("", ParseSpecial: true, 0), new PromptPart(" is what?", ParseSpecial: true)],
                Media = [medium],
            },
            Options = new GenerationOptions { Temperature = 0, MaxTokens = 1, IgnoreEos = true, ReportProgress = true },
        };
        var (from, encoded) = (Stopwatch.GetTimestamp(), 0L);
        await foreach (var generated in model.GenerateAsync(request, CancellationToken.None))
        {
            // More than the token that begins every prompt. Tokens of the turn in which that happened have come with it.
            if (encoded == 0 && (generated.IsToken || generated is { IsProgress: true, Token: > 1 }))
                encoded = Stopwatch.GetTimestamp() - (Stopwatch.Frequency / 1000);
            if (generated.IsToken)
                break;
        }
        return (from, encoded, Stopwatch.GetTimestamp());
    }

    // One that was never seen, so that it is encoded.
    private static Medium NewMedium(MediumKind kind, int size)
    {
        var medium = new Medium(kind, size, kind == MediumKind.Picture ? size : 1, "");
        var data = new byte[medium.DataLength];
        var random = new Random();
        if (kind == MediumKind.Picture)
            random.NextBytes(data);
        else
            Sounds.Sine(size, 16_000, 200 + random.Next(1000)).CopyTo(MemoryMarshal.Cast<byte, float>(data.AsSpan()));
        return medium with { Data = data, Hash = Convert.ToHexStringLower(SHA256.HashData(data)) };
    }

    private static double Quantile(List<double> values, double part)
    {
        var sorted = values.Order().ToArray();
        return sorted[(int)Math.Min(sorted.Length - 1, part * sorted.Length)];
    }
}
