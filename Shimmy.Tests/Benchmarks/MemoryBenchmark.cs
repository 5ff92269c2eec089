using System.Diagnostics;
using Shimmy.Engine;
using Shimmy.Engine.Memory;
using Shimmy.Gguf;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Benchmarks;

/// <summary>
/// The estimate of a model's memory beside what its worker has taken after a prompt of more than a whole batch: three shapes of random
/// models, two contexts each.
/// </summary>
internal static class MemoryBenchmark
{
    private const int PromptTokens = 600;

    private static readonly (string Name, RandomModelShape Shape)[] Shapes =
    [
        ("small, F16",
            new() { Layers = 8, Embedding = 512, Heads = 8, KeyValueHeads = 8, FeedForward = 1408,
                Vocabulary = 32_000, Context = 8192, Type = GgmlType.F16 }),
        ("deep, Q8_0",
            new() { Layers = 16, Embedding = 1024, Heads = 16, KeyValueHeads = 4, FeedForward = 2816,
                Vocabulary = 64_000, Context = 32_768, Type = GgmlType.Q8_0 }),
        ("wordy, F32",
            new() { Layers = 4, Embedding = 512, Heads = 8, KeyValueHeads = 8, FeedForward = 1024,
                Vocabulary = 150_000, Context = 8192, Type = GgmlType.F32 }),
    ];

    public static async Task RunAsync(TextWriter output)
    {
        using var folder = new TemporaryFolder();
        foreach (var (name, shape) in Shapes)
        {
            var path = RandomModel.Write(folder["model.gguf"], shape);
            var size = new FileInfo(path).Length;
            foreach (var (context, parallel) in new[] { (2048, 1), (8192, 1), (2048, 4) })
            {
                var spec = new ModelSpec { Name = name, Path = path, ContextLength = context, Parallel = parallel, Threads = 2 };
                var estimate = MemoryEstimate.Of(spec, size).Total / 1048576.0;
                await using var model = await BenchmarkModel.Engine().LoadAsync(spec, null, CancellationToken.None);
                await BenchmarkModel.GenerateAsync(model, [.. Enumerable.Range(0, PromptTokens).Select(i => 300 + (i % 64))], 4);
                using var worker = Process.GetProcessById(model.Facts.ProcessId);
                var taken = worker.WorkingSet64 / 1048576.0;
                await output.WriteLineAsync(
                    $"{name}, {size >> 20} MB, context {context} × {parallel}: estimated {estimate,6:F1} MB, taken {taken,6:F1} MB, "
                    + $"off by {(estimate / taken - 1) * 100:+0.0;-0.0} %");
            }
            File.Delete(path);
        }
    }
}
