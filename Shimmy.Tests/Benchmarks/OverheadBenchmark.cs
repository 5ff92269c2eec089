using System.Diagnostics;
using Shimmy.Engine;
using Shimmy.Worker.Native;
using Shimmy.Worker.Sampling;

namespace Shimmy.Tests.Benchmarks;

/// <summary>
/// What Shimmy adds to llama.cpp: tokens per second of a bare llama_decode loop in this process, and of a worker behind its pipe, in
/// turn, on the same libraries, model, threads and prompt.
/// </summary>
internal static class OverheadBenchmark
{
    private const int Rounds = 9;
    private const int PromptTokens = 64;
    private const int GeneratedTokens = 96;

    public static async Task RunAsync(string? modelPath, TextWriter output)
    {
        var path = BenchmarkModel.PathOf(modelPath);
        await using var worker = await BenchmarkModel.Engine().LoadAsync(
            new ModelSpec { Name = "benchmark", Path = path, Parallel = 1 }, null, CancellationToken.None);
        var prompt = Enumerable.Range(0, PromptTokens).Select(i => 300 + i % 64).ToArray();
        using var bare = new BareLoop(path, worker.Facts.Threads, worker.Facts.BatchThreads, worker.Spec.BatchSize, worker.Facts.Cells);
        await output.WriteLineAsync($"{Path.GetFileName(path)}, {new FileInfo(path).Length / 1e6:F0} MB, {worker.Facts.Threads} threads "
            + $"({worker.Facts.BatchThreads} for prompts), {PromptTokens} prompt tokens, {GeneratedTokens} generated, {Rounds} rounds");

        var bareSpeeds = new List<double>();
        var workerSpeeds = new List<double>();
        var ratios = new List<double>();
        for (var round = -1; round < Rounds; round++)
        {
            var bareSpeed = bare.Run(prompt, GeneratedTokens);
            var workerSpeed = await RunWorkerAsync(worker, prompt);
            if (round < 0)
                continue; // the first of each warms caches
            bareSpeeds.Add(bareSpeed);
            workerSpeeds.Add(workerSpeed);
            ratios.Add(workerSpeed / bareSpeed);
        }
        await output.WriteLineAsync($"bare loop  {BenchmarkModel.Median(bareSpeeds),8:F1} tokens/s (median)");
        await output.WriteLineAsync($"worker     {BenchmarkModel.Median(workerSpeeds),8:F1} tokens/s (median)");
        await output.WriteLineAsync($"worker/bare, median of the rounds' ratios: {BenchmarkModel.Median(ratios):F3}"
            + $" (from {ratios.Min():F3} to {ratios.Max():F3})");
    }

    private static async Task<double> RunWorkerAsync(ILoadedModel model, int[] prompt)
    {
        long first = 0;
        var tokens = await BenchmarkModel.GenerateAsync(model, prompt, GeneratedTokens, () =>
        {
            if (first == 0)
                first = Stopwatch.GetTimestamp();
        });
        return (tokens - 1) / Stopwatch.GetElapsedTime(first).TotalSeconds;
    }

    /// <summary>Prefill, then decode and take the best token, with nothing around it.</summary>
    private sealed class BareLoop : IDisposable
    {
        private readonly ModelHandle _model;
        private readonly ContextHandle _context;
        private readonly DecodeBatch _batch;
        private readonly Threadpool? _pool;
        private readonly Threadpool? _batchPool;
        private readonly int _vocabulary;

        public unsafe BareLoop(string path, int threads, int batchThreads, int batchSize, int cells)
        {
            RuntimeLibraries.Load();
            _model = new ModelHandle(RuntimeLayout.Loaded.LoadModel([path], RuntimeLayout.Loaded.DefaultModelParams()));
            var parameters = ContextHandle.DefaultParams;
            parameters.ContextLength = (uint)cells;
            parameters.BatchSize = parameters.MicroBatchSize = (uint)batchSize;
            parameters.Threads = threads;
            parameters.ThreadsBatch = batchThreads;
            _context = new ContextHandle(RuntimeLayout.Loaded.CreateContext(_model, parameters), _model);
            _pool = Threadpool.Create(threads, poll: 0);
            _batchPool = threads == batchThreads ? _pool : Threadpool.Create(batchThreads, poll: 0);
            if (_pool is not null && _batchPool is not null)
                LlamaApi.llama_attach_threadpool(_context, _pool.Pointer, _batchPool.Pointer);
            _batch = new DecodeBatch(batchSize);
            _vocabulary = LlamaApi.llama_vocab_n_tokens(LlamaApi.llama_model_get_vocab(_model));
        }

        public double Run(int[] prompt, int tokens)
        {
            LlamaApi.llama_memory_clear(LlamaApi.llama_get_memory(_context), data: false);
            _batch.Clear();
            for (var i = 0; i < prompt.Length; i++)
                _batch.Add(prompt[i], i, 0, i == prompt.Length - 1);
            var next = DecodeBest(prompt.Length - 1);
            var start = Stopwatch.GetTimestamp();
            for (var i = 1; i < tokens; i++)
            {
                _batch.Clear();
                _batch.Add(next, prompt.Length + i - 1, 0, logits: true);
                next = DecodeBest(0);
            }
            return (tokens - 1) / Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        private unsafe int DecodeBest(int index)
        {
            if (_batch.Decode(_context) != 0)
                throw new InvalidOperationException("llama_decode failed");
            return TopCandidates.IndexOfMax(new ReadOnlySpan<float>(LlamaApi.llama_get_logits_ith(_context, index), _vocabulary));
        }

        public void Dispose()
        {
            _batch.Dispose();
            _context.Dispose();
            _pool?.Dispose();
            if (_batchPool != _pool)
                _batchPool?.Dispose();
            _model.Dispose();
        }
    }
}
