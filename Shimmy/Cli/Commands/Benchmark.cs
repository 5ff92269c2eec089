using Shimmy.Engine;

namespace Shimmy.Cli.Commands;

/// <summary>
/// Measures a loaded model: one run to warm up, then <see cref="Runs"/> that count. In each, all generations start together, compute
/// their prompts afresh (nothing is taken over from earlier runs) and generate the same number of tokens.
/// </summary>
internal sealed class Benchmark(ILoadedModel model, int promptTokens, int maxTokens, int parallel)
{
    /// <summary>Runs that count.</summary>
    public const int Runs = 5;

    // Any text will do: how fast a model is does not depend on what it reads.
    private const string Filler =
        "The quick brown fox jumps over the lazy dog near the river bank, where old boats wait for the next tide. ";

    /// <summary>Runs and summarises; <paramref name="progress"/> gets the number of the run, 0 while warming up.</summary>
    public async Task<BenchReport> RunAsync(Action<int> progress, CancellationToken cancellation)
    {
        var prompts = await CreatePromptsAsync(cancellation);
        var runs = new List<Run>();
        for (var number = 0; number <= Runs; number++)
        {
            progress(number);
            var run = await MeasureAsync(prompts, cancellation);
            if (number > 0)
                runs.Add(run);
        }
        return new BenchReport
        {
            Model = model.Spec.Name,
            SizeBytes = model.Facts.SizeBytes,
            Devices = [.. model.Facts.Devices.Select(device => device.Name)],
            Threads = model.Facts.Threads,
            BatchThreads = model.Facts.BatchThreads,
            LoadMilliseconds = Math.Round(model.Facts.LoadMilliseconds, 1),
            PromptTokens = promptTokens,
            GeneratedTokens = maxTokens,
            Parallel = parallel,
            Runs = Runs,
            PromptTokensPerSecond = Spread.Of([.. runs.Select(run => run.PromptRate)]),
            GenerationTokensPerSecond = Spread.Of([.. runs.Select(run => run.GenerationRate)]),
            TimeToFirstTokenMilliseconds = Spread.Of([.. runs.Select(run => run.FirstTokenMilliseconds)]),
        };
    }

    private async Task<IReadOnlyList<Prompt>> CreatePromptsAsync(CancellationToken cancellation)
    {
        var tokens = await model.TokenizeAsync(new Prompt { Parts = [new PromptPart(Filler, ParseSpecial: false)], AddBos = false },
            cancellation);
        // Each generation begins elsewhere in the text, so that none shares a prefix with another.
        return [.. Enumerable.Range(0, parallel).Select(first =>
            Prompt.FromTokens([.. Enumerable.Range(first, promptTokens).Select(at => tokens[at % tokens.Count])]))];
    }

    private async Task<Run> MeasureAsync(IReadOnlyList<Prompt> prompts, CancellationToken cancellation)
    {
        var all = await Task.WhenAll(prompts.Select(prompt => GenerateAsync(prompt, cancellation)));
        // Until the first token of the last generation prompts were computed, from then on all generate.
        var (prefilled, begun, ended, tokens) = (0.0, double.MaxValue, 0.0, 0);
        foreach (var end in all)
        {
            var first = end.Timings.QueueMilliseconds + end.Timings.PrefillMilliseconds;
            (prefilled, begun) = (Math.Max(prefilled, first), Math.Min(begun, first));
            ended = Math.Max(ended, first + end.Timings.DecodeMilliseconds);
            tokens += end.GeneratedTokens - 1;
        }
        return new Run(
            promptRate: prompts.Count * (double)promptTokens / prefilled * 1000,
            generationRate: tokens > 0 ? tokens / (ended - begun) * 1000 : 0,
            firstTokenMilliseconds: prefilled);
    }

    // The worker's own times: tokens that were made one after the other arrive in one piece where there are few.
    private async Task<GenerationEnd> GenerateAsync(Prompt prompt, CancellationToken cancellation)
    {
        var request = new GenerationRequest
        {
            Prompt = prompt,
            Options = new GenerationOptions
            {
                MaxTokens = maxTokens,
                Temperature = 0,
                RepeatPenalty = 1,
                IgnoreEos = true,
                CachePrompt = false,
            },
        };
        GenerationEnd? end = null;
        await foreach (var engineEvent in model.GenerateAsync(request, cancellation))
            end = engineEvent.End ?? end;
        return end!;
    }

    // No struct: lists and queries of one would be compiled for it alone, which is 8 KB of the executable.
    private sealed class Run(double promptRate, double generationRate, double firstTokenMilliseconds)
    {
        public double PromptRate => promptRate;

        public double GenerationRate => generationRate;

        public double FirstTokenMilliseconds => firstTokenMilliseconds;
    }
}
