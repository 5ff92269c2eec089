using System.Diagnostics;
using System.Globalization;
using System.Text;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Benchmarks;

/// <summary>
/// What an answer costs that is there already: the same requests computed, from the response cache, and from a recording, in one HTTP
/// connection, each as the client sees it, which is more than it takes on the server's side.
/// </summary>
internal static class CacheBenchmark
{
    private const int Questions = 20;
    private const int Rounds = 50;

    public static async Task RunAsync(string? modelPath, TextWriter output)
    {
        using var folder = new TemporaryFolder();
        var file = folder["recording.jsonl"];
        string[] model = modelPath is null ? [] : ["--model-path", Path.GetFullPath(modelPath)];
        var name = modelPath is null ? "shimmy-demo" : Path.GetFileNameWithoutExtension(modelPath);
        List<double> computed, replayed, hits;
        using (var server = await ServerProcess.StartAsync(folder, [.. model, "--record", file]))
        {
            await AskAsync(server, name, -1); // loads the model
            computed = await AskAllAsync(server, name, 1);
        }
        using (var server = await ServerProcess.StartAsync(folder, "--replay", file))
        {
            await AskAllAsync(server, name, 1);
            replayed = await AskAllAsync(server, name, Rounds);
        }
        // Without the recorder, which has its own price.
        using (var server = await ServerProcess.StartAsync(folder, model))
        {
            await AskAllAsync(server, name, 1);
            hits = await AskAllAsync(server, name, Rounds);
        }
        await output.WriteLineAsync(
            $"{name}: {Questions} chats of up to 48 tokens, streamed and whole, temperature 0, seen by the client over one connection");
        await TellAsync(output, "computed", computed, computed);
        await TellAsync(output, "cache hit", hits, computed);
        await TellAsync(output, "replayed", replayed, computed);
    }

    private static Task TellAsync(TextWriter output, string what, List<double> times, List<double> computed)
    {
        var sorted = times.Order().ToArray();
        return output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture,
            $"{what,-10} {BenchmarkModel.Median(times),9:F3} ms (median of {times.Count}; 99 of 100 below {sorted[(int)((sorted.Length - 1) * 0.99)]:F3}), {BenchmarkModel.Median(computed) / BenchmarkModel.Median(times):F0} times faster than computed"));
    }

    private static async Task<List<double>> AskAllAsync(ServerProcess server, string model, int rounds)
    {
        var times = new List<double>();
        for (var round = 0; round < rounds; round++)
        {
            for (var question = 0; question < Questions; question++)
                times.Add(await AskAsync(server, model, question));
        }
        return times;
    }

    private static async Task<double> AskAsync(ServerProcess server, string model, int question)
    {
        var stream = question % 2 == 0 ? "true" : "false";
        var body = $$"""{"model":"{{model}}","temperature":0,"max_tokens":48,"stream":{{stream}},"messages":[{"role":"user","content":"Tell me story {{question}}."}]}""";
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        var begun = Stopwatch.GetTimestamp();
        using var answer = await server.Client.PostAsync("v1/chat/completions", content);
        await answer.Content.ReadAsByteArrayAsync();
        var elapsed = Stopwatch.GetElapsedTime(begun).TotalMilliseconds;
        answer.EnsureSuccessStatusCode();
        return elapsed;
    }
}
