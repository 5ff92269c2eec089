using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.Sockets;
using Shimmy.Tests.Soak.Fuzz;

namespace Shimmy.Tests.Soak;

/// <summary>
/// Damaged requests in each dialect: no fault of the server's, no answer that never comes, no memory that stays taken, and the worker never
/// dies of one.
/// </summary>
internal static class FuzzRun
{
    private const int FullRun = 100_000;

    // A text mutant may ask for all that the model can say, on a machine that is busy with other things.
    private static readonly TimeSpan Hang = TimeSpan.FromSeconds(90);

    /// <summary>Runs it.</summary>
    public static async Task RunAsync(SoakOptions options, Verdict verdict)
    {
        await using var server = await SoakServer.StartAsync(options, "--threads", "1");
        var atStart = server.State;
        var worker = server.Workers;
        var dialects = FuzzSeed.PerDialect.Where(pair => options.Dialect is null || pair.Key == options.Dialect).ToArray();
        if (dialects.Length == 0)
            throw new FormatException($"--dialect: there are {string.Join(", ", FuzzSeed.PerDialect.Keys)}");
        var total = options.Requests ?? FullRun;
        verdict.Say(
            $"fuzz: {total} requests in each of {dialects.Length} dialects, {options.Clients} at a time, seed {options.Seed}; at the start {atStart}");
        var complaints = new Complaints();
        var (sent, most) = (0, 0L);
        ProcessState? before = null;
        // A part of each first: what a dialect allocates once counts as the state before.
        var warmup = Math.Max(Math.Min(1000, total / 2), total / 10);
        foreach (var (from, to) in new[] { (0, warmup), (warmup, total) })
        {
            foreach (var (dialect, seeds) in dialects)
            {
                var share = options.Duration is { } duration ? duration / dialects.Length * (to - from) / total : Timeout.InfiniteTimeSpan;
                var statuses = await TryAsync(server, options, dialect, seeds, from, to, share, complaints);
                sent += statuses.Sum(pair => pair.Value);
                most = Math.Max(most, server.State.ResidentBytes);
                verdict.Say(
                    $"{dialect}: {string.Join(", ", statuses.OrderBy(pair => pair.Key).Select(pair => $"{pair.Value} × {(pair.Key == 0 ? "no answer" : pair.Key)}"))}; {server.State}");
            }
            before ??= await server.RestAsync();
        }
        var after = await server.RestAsync();

        verdict.Say(
            $"{sent} requests; after the first {warmup} of each {before}; at the end {after}; never above {most / 1e6:F1} MB between dialects");
        verdict.Require(options.Duration is not null || sent == total * dialects.Length, $"all requests were made ({sent})");
        verdict.Require(complaints.Count == 0, $"no 500, no hang, no error but the dialect's ({complaints.Count})"
            + string.Concat(complaints.Texts.Select(text => "\n    " + text)));
        var growth = (double)after.ResidentBytes / before!.ResidentBytes - 1;
        verdict.Require(growth <= 0.10, $"the server's memory has not grown ({growth * 100:+0.0;-0.0} %)");
        verdict.Require(worker.SequenceEqual(server.Workers),
            $"the worker is the one of the start ({worker[0]}; now {string.Join(", ", server.Workers)})");
        await server.JudgeTheEndAsync(verdict, atStart);
    }

    private static async Task<IReadOnlyDictionary<int, int>> TryAsync(SoakServer server,
        SoakOptions options, string dialect, IReadOnlyList<FuzzSeed> seeds,
        int from, int to, TimeSpan share, Complaints complaints)
    {
        var statuses = new ConcurrentDictionary<int, int>();
        var number = from;
        using var end = new CancellationTokenSource(share);
        // Where time ends the run, what is still being answered then is left a moment later.
        using var over = new CancellationTokenSource(share == Timeout.InfiniteTimeSpan ? share : share + TimeSpan.FromSeconds(1));
        await Task.WhenAll(Enumerable.Range(0, options.Clients).Select(_ => Task.Run(async () =>
        {
            using var http = new FuzzClient(server.Address);
            using var socket = new SocketFuzzClient(server.Address);
            while (!end.IsCancellationRequested && Interlocked.Increment(ref number) is var mine && mine <= to)
            {
                var random = new Random(unchecked(options.Seed * 1_000_003 + mine));
                var fuzz = dialect == "websocket" ? null : RequestDamage.Next(seeds, random);
                using var limit = CancellationTokenSource.CreateLinkedTokenSource(over.Token);
                limit.CancelAfter(Hang);
                var begun = Stopwatch.GetTimestamp();
                try
                {
                    var (status, complaint) = fuzz is null
                        ? await socket.TryAsync(seeds, random, limit.Token)
                        : await http.TryAsync(fuzz, random, limit.Token);
                    statuses.AddOrUpdate(status, 1, (_, count) => count + 1);
                    if (complaint is not null)
                        complaints.Add($"{dialect} {mine}: {complaint}");
                }
                catch (Exception e) when (e is OperationCanceledException or InvalidDataException or SocketException)
                {
                    if (!over.IsCancellationRequested)
                    {
                        complaints.Add(
                            $"{dialect} {mine}: {e.GetType().Name} {e.Message} after {Stopwatch.GetElapsedTime(begun).TotalSeconds:F1} s with {fuzz}");
                    }

                    http.Dispose();
                    socket.Dispose();
                }
            }
        }, CancellationToken.None)));
        return statuses;
    }
}
