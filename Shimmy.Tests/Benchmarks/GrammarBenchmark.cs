using System.Diagnostics;
using System.Text.Json;
using Shimmy.Chat.Grammars.Schemas;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Benchmarks;

/// <summary>
/// What a grammar costs: milliseconds a token with one and without, in turn, on a vocabulary of 150,000 tokens. Random weights never mean
/// to write JSON, so that most tokens that they choose are refused at first: harder than any trained model makes it.
/// </summary>
internal static class GrammarBenchmark
{
    private const int Rounds = 30;
    private const int Tokens = 64;

    // Too many items for an answer to end by itself: what follows a prompt at once costs more, and would count for the grammar alone.
    private const string Schema = """
        {
          "type": "array", "minItems": 1000,
          "items": {
            "type": "object", "required": ["name", "count", "tags"],
            "properties": {
              "name": { "type": "string", "maxLength": 20 },
              "count": { "type": "integer" },
              "tags": { "type": "array", "items": { "enum": ["small", "large", "red", "round"] } },
              "note": {}
            }
          }
        }
        """;

    private static readonly RandomModelShape Shape = RandomModelShape.Large with { Name = "random-wordy", Vocabulary = 150_000 };

    public static async Task RunAsync(string? modelPath, TextWriter output)
    {
        var path = modelPath ?? Path.Combine(Path.GetTempPath(), "shimmy-benchmark-wordy-v1.gguf");
        if (!File.Exists(path))
        {
            RandomModel.Write(path + ".part", Shape);
            File.Move(path + ".part", path);
        }
        await using var model = await BenchmarkModel.Engine()
            .LoadAsync(new ModelSpec { Name = "benchmark", Path = path, Parallel = 1 }, null, CancellationToken.None);
        using var schema = JsonDocument.Parse(Schema);
        var grammar = AnswerGrammar.OfSchema(schema.RootElement).Text;
        await output.WriteLineAsync(
            $"{Path.GetFileName(path)}, {new FileInfo(path).Length / 1e6:F0} MB, {model.Facts.VocabularySize} tokens, {Rounds} rounds of {Tokens} tokens");
        foreach (var (name, options) in new (string, GenerationOptions)[] { ("greedy", new() { Temperature = 0 }), ("sampled", new()) })
        {
            var (free, bound) = (new List<double>(), new List<double>());
            for (var round = -1; round < Rounds; round++)
            {
                // The two change places, so that a machine that grows slower is no one's disadvantage.
                var first = await TimesAsync(model, options, round % 2 == 1 ? grammar : null, round);
                var second = await TimesAsync(model, options, round % 2 == 1 ? null : grammar, round);
                if (round < 0)
                {
                    await output.WriteLineAsync($"{name,-8} first use of the grammar: {second.Average():F2} ms a token, free {first.Average():F2}");
                    continue;
                }
                (round % 2 == 1 ? bound : free).AddRange(first);
                (round % 2 == 1 ? free : bound).AddRange(second);
            }
            await output.WriteLineAsync(
                $"{name,-8} free {BenchmarkModel.Median(free),7:F2} ms a token, under a grammar {BenchmarkModel.Median(bound),7:F2} ms; "
                + $"bound/free of medians {BenchmarkModel.Median(bound) / BenchmarkModel.Median(free):F3}, of sums {bound.Sum() / free.Sum():F3}");
        }
    }

    // Milliseconds from each token to the next.
    private static async Task<List<double>> TimesAsync(ILoadedModel model, GenerationOptions options, string? grammar, int round)
    {
        var times = new List<double>();
        var last = 0L;
        var request = new GenerationRequest
        {
            Prompt = Prompt.FromTokens([300 + round + 1, 301]),
            Options = options with { MaxTokens = Tokens, Seed = (uint)(round + 1), IgnoreEos = true },
            Grammar = grammar,
        };
        await foreach (var engineEvent in model.GenerateAsync(request, CancellationToken.None))
        {
            if (!engineEvent.IsToken)
                continue;
            var now = Stopwatch.GetTimestamp();
            if (last != 0)
                times.Add(Stopwatch.GetElapsedTime(last, now).TotalMilliseconds);
            last = now;
        }
        return times.Count == Tokens - 1
            ? times
            : throw new InvalidOperationException($"the answer ended after {times.Count + 1} of {Tokens} tokens");
    }
}
