using System.Diagnostics;
using System.Net.Sockets;
using Shimmy.Tests.Soak.Traffic;

namespace Shimmy.Tests.Soak;

/// <summary>
/// The worker is killed again and again under the load of <see cref="SoakRun"/>: the server answers <c>/health</c> throughout, and every
/// request that was hit ends with its dialect's error, neither normally nor never.
/// </summary>
internal static class KillRun
{
    // What a machine that is busy with other things may take for an answer that takes none.
    private static readonly TimeSpan LongestHealth = TimeSpan.FromSeconds(3);

    /// <summary>Runs it.</summary>
    public static async Task RunAsync(SoakOptions options, Verdict verdict)
    {
        // One thread: no time is spent on finding out how many are best, which every new worker would do.
        await using var server = await SoakServer.StartAsync(options, "--threads", "1");
        var atStart = server.State;
        verdict.Say(
            $"kill: {options.Kills} workers under {options.Clients} requests at a time, seed {options.Seed}; at the start {atStart}");
        var complaints = new Complaints();
        var load = new Load(server.Address, options, complaints);
        using var end = new CancellationTokenSource(options.Duration ?? Timeout.InfiniteTimeSpan);
        using var over = new CancellationTokenSource();

        var loading = load.RunAsync(int.MaxValue, errorsAllowed: true, over.Token);
        var watching = WatchHealthAsync(server, complaints, over.Token);
        var kills = await KillAsync(server, options, verdict, end.Token);
        var errors = load.Errors;
        await over.CancelAsync();
        await loading;
        var health = await watching;

        verdict.Say(
            $"{load.Requests} requests ({load.PerRoute}), {load.Left} left by their clients, {load.Errors} ended with an error; afterwards {server.State}");
        verdict.Require(kills > 0 && (kills == options.Kills || options.Duration is not null), $"workers were killed ({kills})");
        verdict.Require(errors > kills / 2, $"the kills hit requests ({errors})");
        verdict.Require(complaints.Count == 0, $"each request ended whole or with its dialect's error ({complaints.Count} did not)"
            + string.Concat(complaints.Texts.Select(text => "\n    " + text)));
        health.Sort();
        verdict.Require(health.Count > kills && health[^1] < LongestHealth.TotalMilliseconds,
            $"/health was answered throughout: {health.Count} times, "
            + $"half within {health[health.Count / 2]:F1} ms, 99 of 100 within {health[health.Count * 99 / 100]:F0} ms, all within {health[^1]:F0} ms");
        await server.JudgeTheEndAsync(verdict, atStart);
    }

    private static async Task<int> KillAsync(SoakServer server, SoakOptions options, Verdict verdict, CancellationToken end)
    {
        var random = new Random(options.Seed);
        var killed = new HashSet<int>();
        while (killed.Count < options.Kills)
        {
            try
            {
                // Sometimes before it is loaded, mostly in the middle of its work.
                await Task.Delay(random.Next(700), end);
            }
            catch (OperationCanceledException)
            {
                break;
            }
            // One that was killed is there until its parent has noticed.
            if (server.Workers.FirstOrDefault(id => !killed.Contains(id)) is not (> 0 and var next))
                continue;
            using (var worker = Process.GetProcessById(next))
                worker.Kill();
            killed.Add(next);
            if (killed.Count % 50 == 0)
                verdict.Say($"{killed.Count} killed");
        }
        return killed.Count;
    }

    private static async Task<List<double>> WatchHealthAsync(SoakServer server, Complaints complaints, CancellationToken over)
    {
        var health = new Exchange(Route.Health, "GET", "/health", null, Stream: false, Tokens: null);
        var times = new List<double>();
        using var client = new Client(server.Address);
        while (!over.IsCancellationRequested)
        {
            using var limit = new CancellationTokenSource(LongestHealth);
            var asked = Stopwatch.GetTimestamp();
            try
            {
                if ((await client.AskAsync(health, limit.Token)).Complaint is { } complaint)
                    complaints.Add(complaint);
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException)
            {
                complaints.Add($"/health: {e.Message}");
            }
            times.Add(Stopwatch.GetElapsedTime(asked).TotalMilliseconds);
            await Task.Delay(20, CancellationToken.None);
        }
        return times;
    }
}
