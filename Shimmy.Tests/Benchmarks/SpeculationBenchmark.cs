using System.Globalization;
using Shimmy.Engine;

namespace Shimmy.Tests.Benchmarks;

/// <summary>
/// Tokens per second with speculative decoding and without, in turn, on the demo model: answers that repeat their prompt, and answers that
/// do not. The same again with no speculation on either side tells how far a ratio is from 1 by chance. Says too how many of the answers
/// were the same with and without, under greedy sampling and under fixed seeds; and how many are where nothing but the number of threads
/// differs: where that changes answers, what ggml rounds decides them, drafts or not.
/// </summary>
internal static class SpeculationBenchmark
{
    private const int Rounds = 12;

    private static readonly string[] Questions =
    [
        "What is Shimmy?", "What do you know?", "Does Shimmy support streaming?", "Why Shimmy?", "Repeat after me: soft gold turtle",
        "Which APIs are there?", "How do I deploy Shimmy?", "Repeat: small purple box", "Which port does Shimmy use?", "What is an LLM?",
    ];

    private static readonly string[] Things = ["a turtle", "a box", "a bear", "a printer", "a river", "a lamp", "the moon", "a garden"];

    public static async Task RunAsync(string? modelPath, string? draftPath, TextWriter output)
    {
        var path = Path.GetFullPath(modelPath ?? Path.Combine(AppContext.BaseDirectory, "models", "shimmy-demo.gguf"));
        // The number of threads that this machine is fastest with now, and the same on every side.
        int threads;
        await using (var measured = await LoadAsync(path, draftPath, speculate: false))
            threads = measured.Facts.Threads;
        await using var with = await LoadAsync(path, draftPath, speculate: true, threads);
        await using var without = await LoadAsync(path, draftPath, speculate: false, threads);
        await output.WriteLineAsync($"{Path.GetFileName(path)}, {new FileInfo(path).Length / 1e6:F1} MB, {with.Facts.Threads} threads "
            + $"({with.Facts.BatchThreads} for prompts), {Rounds} rounds{(draftPath is null ? "" : $", draft {Path.GetFileName(draftPath)}")}");
        var rewriting = await RewritingAsync(without);
        await MeasureAsync("repeats its prompt", with, without, rewriting, output);
        await MeasureAsync("does not", with, without, Telling(), output);
        await using (var again = await LoadAsync(path, draftPath, speculate: false, threads))
            await MeasureAsync("does not, without on both sides", again, without, Telling(), output);
        await CompareAsync("with and without", with, without, [.. rewriting, .. Telling()], output);
        var others = threads == 1 ? 2 : 1;
        await using var otherwise = await LoadAsync(path, draftPath, speculate: false, others);
        await CompareAsync($"without on both sides, {threads} threads and {others}", otherwise,
            without, [.. rewriting, .. Telling()], output);
    }

    private static async Task MeasureAsync(
        string what, ILoadedModel with, ILoadedModel without, GenerationRequest[] requests, TextWriter output)
    {
        var (fast, plain, ratios) = (new List<double>(), new List<double>(), new List<double>());
        var (drafted, accepted, tokens) = (0, 0, 0);
        for (var round = -1; round < Rounds; round++)
        {
            var (count, milliseconds) = (0, new double[2]);
            // One request after the other on both, each first in turn, so that what else the machine does falls on both.
            for (var i = 0; i < requests.Length; i++)
            {
                var request = requests[i] with { Options = requests[i].Options with { Seed = (uint)(i + (round + 1) * requests.Length) } };
                for (var half = 0; half < 2; half++)
                {
                    var speculate = (i + round + half) % 2 == 0;
                    var (_, end) = await RunAsync(speculate ? with : without, request);
                    milliseconds[speculate ? 0 : 1] += end.Timings.DecodeMilliseconds;
                    if (!speculate)
                        continue;
                    count += end.GeneratedTokens;
                    drafted += round < 0 ? 0 : end.Timings.DraftedTokens;
                    accepted += round < 0 ? 0 : end.Timings.AcceptedTokens;
                }
            }
            if (round < 0)
                continue; // the first of each warms caches
            tokens += count;
            fast.Add(count / milliseconds[0] * 1000);
            plain.Add(count / milliseconds[1] * 1000);
            ratios.Add(milliseconds[1] / milliseconds[0]);
        }
        await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture,
            $"text that {what}: {BenchmarkModel.Median(fast):F0} tokens/s with, {BenchmarkModel.Median(plain):F0} without (medians); "
            + $"ratio {BenchmarkModel.Median(ratios):F3} (median; from {ratios.Min():F3} to {ratios.Max():F3}); "
            + $"of {tokens} tokens {drafted} drafted, {accepted} accepted"));
    }

    private static async Task CompareAsync(string between, ILoadedModel with, ILoadedModel without,
        GenerationRequest[] requests, TextWriter output)
    {
        foreach (var (what, temperature, rounds) in new[] { ("greedy", 0f, 1), ("fixed seeds, temperature 1, nothing cut off", 1f, 8) })
        {
            var (same, count, tokens, drafted) = (0, 0, 0, 0);
            for (var i = 0; i < rounds * requests.Length; i++)
            {
                var request = requests[i % requests.Length];
                request = request with
                {
                    Options =
                    request.Options with { Temperature = temperature, Seed = (uint)i, TopP = 1, MinP = 0, TopK = 0 }
                };
                var (a, end) = await RunAsync(with, request);
                var (b, _) = await RunAsync(without, request);
                count++;
                same += a == b ? 1 : 0;
                tokens += end.GeneratedTokens;
                drafted += end.Timings.DraftedTokens;
            }
            await output.WriteLineAsync($"{what}: {same} of {count} answers the same {between} ({tokens} tokens, {drafted} drafted)");
        }
    }

    // Conversations whose last turn asks for a text that stands in them: what the model said before, or words to be said after the user.
    private static async Task<GenerationRequest[]> RewritingAsync(ILoadedModel model)
    {
        var requests = new List<GenerationRequest>();
        var earlier = "";
        foreach (var question in Questions)
        {
            var turn = Turn(question);
            var (answer, _) = await RunAsync(model, Request(earlier + turn, 0));
            earlier += turn + answer + "<|im_end|>\n";
            requests.Add(Request(earlier + turn, 0));
        }
        return [.. requests];
    }

    private static GenerationRequest[] Telling() => [.. Things.Select(thing => Request(Turn($"Tell me a story about {thing}."), 0.7f))];

    private static string Turn(string text) => $"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";

    // Without cells of earlier requests, so that both compute the prompt in the same pieces.
    private static GenerationRequest Request(string prompt, float temperature) => new()
    {
        Prompt = Prompt.FromText(prompt),
        Options = new GenerationOptions { Temperature = temperature, MaxTokens = 300, CachePrompt = false },
    };

    private static Task<ILoadedModel> LoadAsync(string path, string? draft, bool speculate, int threads = 0) =>
        BenchmarkModel.Engine().LoadAsync(
        new ModelSpec { Name = "benchmark", Path = path, Parallel = 1, Threads = threads, Speculate = speculate, Draft = draft },
        null, CancellationToken.None);

    private static async Task<(string Text, GenerationEnd End)> RunAsync(ILoadedModel model, GenerationRequest request)
    {
        var text = new MemoryStream();
        GenerationEnd? end = null;
        await foreach (var engineEvent in model.GenerateAsync(request, CancellationToken.None))
        {
            text.Write(engineEvent.Piece.Span);
            end = engineEvent.End ?? end;
        }
        return (System.Text.Encoding.UTF8.GetString(text.ToArray()), end!);
    }
}
