using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Shimmy.Engine;
using Shimmy.Engine.Workers;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Benchmarks;

/// <summary>
/// Tokens per second of one model on the CPU and on every GPU backend that has a device here, all loaded and measured in turn in one run:
/// prompts, generation alone and generation of several at once. Without a model, on one of 1.1 billion random weights, in the shape of
/// Llama 3.2 1B.
/// </summary>
internal static class GpuBenchmark
{
    private const int Rounds = 5;
    private const int PromptTokens = 512;
    private const int GeneratedTokens = 64;
    private const int Parallel = 4;

    public static async Task RunAsync(string? modelPath, TextWriter output)
    {
        var path = modelPath is null ? BenchmarkModel.PathOf("billion", RandomModelShape.Billion) : Path.GetFullPath(modelPath);
        var report =
            await new WorkerEngine(NullLoggerFactory.Instance, BenchmarkModel.Executable).ReportBackendsAsync(CancellationToken.None);
        foreach (var device in report.Devices)
            await output.WriteLineAsync($"{device.Name}: {device.Description}, {device.MemoryTotalBytes >> 20} MB");
        var sides = new List<Side>();
        try
        {
            foreach (var backend in report.Backends.Where(backend => backend.Loaded && backend.Devices.Count > 0))
                sides.Add(await Side.LoadAsync(path, Enum.Parse<GpuBackend>(backend.Name, ignoreCase: true)));
            await output.WriteLineAsync($"{Path.GetFileName(path)}, {new FileInfo(path).Length / 1e6:F0} MB, {PromptTokens} prompt tokens, "
                + $"{GeneratedTokens} generated, {Rounds} rounds; medians");
            for (var round = -1; round < Rounds; round++)
            {
                foreach (var side in sides)
                    await side.MeasureAsync(counts: round >= 0, round);
            }
            foreach (var side in sides)
                await output.WriteLineAsync(side.Describe(sides[0]));
        }
        finally
        {
            foreach (var side in sides)
                await side.Model.DisposeAsync();
        }
    }

    /// <summary>The model on one backend, and what was measured of it.</summary>
    private sealed class Side(ILoadedModel model)
    {
        private readonly List<double> _prompt = [];
        private readonly List<double> _alone = [];
        private readonly List<double> _together = [];

        public ILoadedModel Model => model;

        public static async Task<Side> LoadAsync(string path, GpuBackend backend) => new(await BenchmarkModel.Engine().LoadAsync(
            new ModelSpec
            {
                Name = "benchmark",
                Path = path,
                Parallel = Parallel,
                ContextLength = 1024,
                Tuning = new LoadTuning { Backend = backend }
            },
            null, CancellationToken.None));

        public async Task MeasureAsync(bool counts, int round)
        {
            var alone = await GenerateAsync(round * 16);
            var together = await Task.WhenAll(Enumerable.Range(0, Parallel).Select(i => GenerateAsync(round * 16 + 1 + i)));
            if (!counts)
                return; // the first of each warms caches and compiles kernels
            _prompt.Add(PromptTokens / alone.PrefillMilliseconds * 1000);
            _alone.Add((GeneratedTokens - 1) / alone.DecodeMilliseconds * 1000);
            _together.Add(together.Sum(one => (GeneratedTokens - 1) / one.DecodeMilliseconds * 1000));
        }

        public string Describe(Side first) => string.Create(CultureInfo.InvariantCulture, $"{model.Facts.Backend,-7} "
            + $"prompt {Rate(_prompt, first._prompt)}, generation {Rate(_alone, first._alone)}, of {Parallel} at once {Rate(_together, first._together)} tokens/s "
            + $"({model.Facts.GpuLayers} of {model.Facts.Layers} layers on GPUs; {string.Join("; ", model.Facts.Memory.Select(memory => memory.Describe()))}; "
            + $"{model.Facts.Threads} threads, loaded in {model.Facts.LoadMilliseconds:F0} ms)");

        private static string Rate(List<double> values, List<double> first) => string.Create(CultureInfo.InvariantCulture,
            $"{BenchmarkModel.Median(values):F1} ({BenchmarkModel.Median(values) / BenchmarkModel.Median(first):F2} x)");

        // A prompt that no other shares, so that all of it is computed.
        private async Task<GenerationTimings> GenerateAsync(int number)
        {
            var request = new GenerationRequest
            {
                Prompt = Prompt.FromTokens([.. Enumerable.Range(0, PromptTokens).Select(i => 300 + (i * 31 + number + 16) % 311)]),
                Options = new GenerationOptions { Temperature = 0, MaxTokens = GeneratedTokens, IgnoreEos = true, CachePrompt = false },
            };
            GenerationEnd? end = null;
            await foreach (var engineEvent in model.GenerateAsync(request, CancellationToken.None))
                end = engineEvent.End ?? end;
            return end!.Timings;
        }
    }
}
