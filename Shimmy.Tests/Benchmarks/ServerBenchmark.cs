using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;
using static Shimmy.Tests.Benchmarks.PrefixBenchmark;

namespace Shimmy.Tests.Benchmarks;

/// <summary>
/// <c>shimmy llama-server</c> beside llama.cpp's own (LLAMA_SERVER names its command), with the same command line and the same requests to
/// <c>/completion</c>: those of <see cref="PrefixBenchmark"/>, and streams. The two take turns at each request, so that what else the
/// machine does falls on both.
/// </summary>
internal static class ServerBenchmark
{
    private const int OwnAtOnce = 30;
    private const int Short = 48;
    private const int Answer = 128;

    private static readonly string[] Cells =
        ["first", "the same again", "another end", $"after {Others} others", $"{AtOnce} sharing {SharedAtOnce}", "one stream", $"{AtOnce} streams"];

    public static async Task RunAsync(string? modelPath, TextWriter output)
    {
        var theirs = Environment.GetEnvironmentVariable("LLAMA_SERVER") is { Length: > 0 } command
            ? command.Split(' ')
            : throw new InvalidOperationException("LLAMA_SERVER names no llama-server");
        await output.WriteLineAsync($"milliseconds to the first token of {Prompt}, and tokens per second of {Answer} behind {Short}: median of {Rounds} of shimmy, of llama-server, and the ratio");
        foreach (var (name, path) in PrefixBenchmark.Models(modelPath))
        {
            await using var ours = await Server.StartAsync([BenchmarkModel.Executable, "llama-server"], path);
            await using var other = await Server.StartAsync(theirs, path);
            var times = await MeasureAsync([ours, other]);
            await output.WriteLineAsync(name);
            for (var cell = 0; cell < Cells.Length; cell++)
            {
                var (a, b) = (BenchmarkModel.Median(times[0][cell]), BenchmarkModel.Median(times[1][cell]));
                await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture,
                    $"  {Cells[cell],-16} {a,9:F1} {b,9:F1} {a / b,6:F2}"));
            }
        }
    }

    private static async Task<List<double>[][]> MeasureAsync(Server[] servers)
    {
        var times = Array.ConvertAll(servers, _ => Array.ConvertAll(Cells, _ => new List<double>()));
        for (var round = -1; round < Rounds; round++)
        {
            var seed = 100 * (round + 2);
            var prompt = RandomMemory.Words(seed, Prompt);
            await EachAsync(0, server => server.AskAsync(prompt));
            if (round < 0)
                continue;
            await EachAsync(1, server => server.AskAsync(prompt));
            await EachAsync(2, server => server.AskAsync([.. prompt[..Shared], .. RandomMemory.Words(7, Prompt - Shared)]));
            for (var other = 1; other <= Others; other++)
            {
                foreach (var server in servers)
                    await server.AskAsync(RandomMemory.Words(seed + other, Prompt));
            }
            await EachAsync(3, server => server.AskAsync(prompt));
            var shared = RandomMemory.Words(seed + 50, SharedAtOnce);
            await EachAsync(4, async server =>
            {
                var begun = Stopwatch.GetTimestamp();
                await Task.WhenAll(Enumerable.Range(0, AtOnce)
                    .Select(i => server.AskAsync([.. shared, .. RandomMemory.Words(i, OwnAtOnce)])));
                return Stopwatch.GetElapsedTime(begun).TotalMilliseconds;
            });
            await EachAsync(5, server => RateAsync(server, 1, seed));
            await EachAsync(6, server => RateAsync(server, AtOnce, seed));

            async Task EachAsync(int cell, Func<Server, Task<double>> ask)
            {
                for (var i = 0; i < servers.Length; i++)
                {
                    var value = await ask(servers[i]);
                    if (round >= 0)
                        times[i][cell].Add(value);
                }
            }
        }
        return times;
    }

    private static async Task<double> RateAsync(Server server, int streams, int seed)
    {
        var begun = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, streams).Select(i => server.AskAsync(RandomMemory.Words(seed + 60 + i, Short), Answer)));
        return streams * Answer / Stopwatch.GetElapsedTime(begun).TotalSeconds;
    }

    private sealed class Server(Process process, HttpClient client) : IAsyncDisposable
    {
        public static async Task<Server> StartAsync(string[] command, string model)
        {
            var port = ServerProcess.FreePort();
            var start = new ProcessStartInfo(command[0])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            foreach (var argument in (string[])[.. command[1..], "-m", model, "--host", "127.0.0.1", "--port", $"{port}",
                "-np", $"{AtOnce}", "-c", $"{AtOnce * 4096}", "-t", $"{Environment.ProcessorCount}"])
            {
                start.ArgumentList.Add(argument);
            }
            var process = Process.Start(start)!;
            process.OutputDataReceived += (_, _) => { };
            process.ErrorDataReceived += (_, _) => { };
            process.BeginOutputReadLine();
            process.BeginErrorReadLine();
            var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}"), Timeout = TimeSpan.FromMinutes(10) };
            for (var waited = 0; ; waited++)
            {
                try
                {
                    using var answer = await client.GetAsync("health");
                    if (answer.IsSuccessStatusCode)
                        return new Server(process, client);
                }
                catch (HttpRequestException) when (waited < 600 && !process.HasExited)
                {
                    // It does not listen yet.
                }
                await Task.Delay(100);
            }
        }

        // Milliseconds of the whole answer.
        public async Task<double> AskAsync(int[] prompt, int answer = 1)
        {
            using var body = new StringContent($$"""
                {"prompt":[{{string.Join(',', prompt)}}],"n_predict":{{answer}},"temperature":0,"ignore_eos":true,"cache_prompt":true}
                """, null, "application/json");
            var begun = Stopwatch.GetTimestamp();
            using var response = await client.PostAsync("completion", body);
            var text = await response.Content.ReadAsStringAsync();
            var elapsed = Stopwatch.GetElapsedTime(begun);
            var tokens = JsonElement.Parse(text).GetProperty("tokens_predicted").GetInt32();
            return tokens == answer ? elapsed.TotalMilliseconds : throw new InvalidOperationException($"{tokens} tokens: {text}");
        }

        public async ValueTask DisposeAsync()
        {
            process.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
            client.Dispose();
        }
    }
}
