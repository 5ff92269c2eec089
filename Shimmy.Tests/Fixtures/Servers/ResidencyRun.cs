using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Engine.Memory;
using Shimmy.Models.Residency;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Fixtures.Servers;

/// <summary>
/// Random requests, eight at a time, over five models of which two may be loaded: a real server with real workers. Each model says its
/// own name. What a run gave is judged by the test (short) and shown by the benchmark (two minutes).
/// </summary>
internal sealed record ResidencyRun(
    int Requests, int Wrong, int MostLoaded, int Loads, int LeastLoads, TimeSpan LongestWait,
    int WorkersLeft, long BytesBefore, long BytesAfter)
{
    private const int Models = 5;
    private const int Room = 2;
    private const int Clients = 8;

    /// <summary>Options of a residency whose loads need no memory.</summary>
    public static ResidencyOptions Unmeasured { get; } = new() { Need = static (_, spec, _, _) => ValueTask.FromResult(NeedOf(spec, 0)) };

    /// <summary>The need of a load that is so many bytes of weights.</summary>
    public static LoadNeed NeedOf(ModelSpec spec, long bytes) => new(spec, new MemoryEstimate(bytes, 0, 0, 0));

    /// <summary>Runs for this long; Linux alone tells how many workers there are.</summary>
    public static async Task<ResidencyRun> RunAsync(TimeSpan duration)
    {
        using var folder = new TemporaryFolder();
        for (var i = 0; i < Models; i++)
            RandomModel.Write(folder[$"models/m{i}.gguf"], new RandomModelShape { Says = $"m{i}", Seed = i });
        using var server = await ServerProcess.StartAsync(folder, "--threads", "1", "--max-loaded", $"{Room}");
        // Once each, so that what a process allocates once counts as its start.
        for (var i = 0; i < Models; i++)
            await AskAsync(server, i);
        await UnloadAllAsync(server);
        var before = server.ResidentBytes;
        var loadsBefore = Loaded(server);

        var asked = new List<int>();
        (var wrong, var most, TimeSpan longest) = (0, 0, default);
        using var end = new CancellationTokenSource(duration);
        var watching = WatchAsync();
        await Task.WhenAll(Enumerable.Range(0, Clients).Select(client => Task.Run(async () =>
        {
            var random = new Random(client);
            while (!end.IsCancellationRequested)
            {
                var model = random.Next(Models);
                lock (asked)
                    asked.Add(model);
                var started = Stopwatch.GetTimestamp();
                var answer = await AskAsync(server, model);
                var took = Stopwatch.GetElapsedTime(started);
                lock (asked)
                {
                    longest = took > longest ? took : longest;
                    wrong += answer == $" m{model}" ? 0 : 1;
                }
            }
        })));
        await watching;
        await UnloadAllAsync(server);
        var loads = Loaded(server) - loadsBefore;
        return new ResidencyRun(asked.Count, wrong, most, loads, LeastFor(asked, Room), longest,
            server.Workers.Count, before, server.ResidentBytes);

        async Task WatchAsync()
        {
            while (!end.IsCancellationRequested)
            {
                most = Math.Max(most, server.Workers.Count);
                await Task.Delay(50);
            }
        }
    }

    /// <summary>All numbers in a line.</summary>
    public override string ToString() =>
        $"{Requests} requests, {Wrong} answered by a wrong model; {Loads} loads where the least for their order are {LeastLoads} "
        + $"({(double)Loads / LeastLoads:F2}); at most {MostLoaded} workers at once, {WorkersLeft} left over; longest wait {LongestWait.TotalMilliseconds:F0} ms; "
        + $"server {BytesBefore / 1e6:F1} MB before, {BytesAfter / 1e6:F1} MB after";

    /// <summary>Belady: who knows all that will be asked keeps what is asked for next.</summary>
    public static int LeastFor(List<int> asked, int room)
    {
        var loaded = new HashSet<int>();
        var loads = 0;
        for (var i = 0; i < asked.Count; i++)
        {
            if (!loaded.Contains(asked[i]))
            {
                loads++;
                if (loaded.Count == room)
                {
                    loaded.Remove(loaded.MaxBy(model => asked.FindIndex(i, other => other == model) is >= 0 and var next ? next
                        : int.MaxValue));
                }

                loaded.Add(asked[i]);
            }
        }

        return loads;
    }

    private static int Loaded(ServerProcess server) => server.Log.Count(line => line.Contains("loaded m", StringComparison.Ordinal));

    private static async Task<string> AskAsync(ServerProcess server, int model)
    {
        using var content =
            new StringContent($$"""{"model":"m{{model}}","prompt":"who are you?","max_tokens":4,"temperature":0}""",
                Encoding.UTF8, "application/json");
        using var answer = await server.Client.PostAsync("v1/completions", content);
        var text = await answer.Content.ReadAsStringAsync();
        if (!answer.IsSuccessStatusCode)
            return $"{answer.StatusCode}: {text}";
        using var json = JsonDocument.Parse(text);
        return json.RootElement.GetProperty("choices")[0].GetProperty("text").GetString()!;
    }

    private static async Task UnloadAllAsync(ServerProcess server)
    {
        for (var i = 0; i < Models; i++)
        {
            using (var answer = await server.Client.PostAsync($"api/models/m{i}/unload", null))
                answer.EnsureSuccessStatusCode();
        }
    }
}
