using System.Collections.Concurrent;
using System.Net.Sockets;
using Shimmy.Tests.Soak.Fuzz;

namespace Shimmy.Tests.Soak;

/// <summary>Every value at every field of every dialect: no answer is a fault of the server's, none never comes.</summary>
internal static class FieldRun
{
    private const int FullRun = 100_000;

    private static readonly TimeSpan Hang = TimeSpan.FromSeconds(90);

    /// <summary>Runs it.</summary>
    public static async Task RunAsync(SoakOptions options, Verdict verdict)
    {
        await using var server = await SoakServer.StartAsync(options, "--threads", "1");
        FuzzSeed[] seeds =
        [
            .. FuzzSeed.PerDialect.Where(pair => pair.Key != "websocket" && (options.Dialect is null || pair.Key == options.Dialect))
                .SelectMany(pair => pair.Value).Where(seed => seed.Body.Length > 0),
        ];
        var counts = Array.ConvertAll(seeds, FieldDamage.CountOf);
        var singles = counts.Sum();
        var total = options.Requests ?? Math.Max(FullRun, singles);
        verdict.Say($"fields: {total} requests of {seeds.Length} kinds ({singles} are each value at each place), "
            + $"{options.Clients} at a time, seed {options.Seed}; at the start {server.State}");
        var complaints = new Complaints();
        var statuses = new ConcurrentDictionary<int, int>();
        var number = -1;
        using var end = new CancellationTokenSource(options.Duration ?? Timeout.InfiniteTimeSpan);
        await Task.WhenAll(Enumerable.Range(0, options.Clients).Select(_ => Task.Run(async () =>
        {
            using var http = new FuzzClient(server.Address);
            while (!end.IsCancellationRequested && Interlocked.Increment(ref number) is var mine && mine < total)
            {
                var random = new Random(unchecked(options.Seed * 1_000_003 + mine));
                // A step that has no divisor in common with their number meets all of them, the seeds in turn.
                var (seed, at) = Place(mine < singles ? (int)((mine * 7_919L) % singles) : -1, random);
                var fuzz = FieldDamage.At(seed, at, random);
                using var limit = new CancellationTokenSource(Hang);
                try
                {
                    var (status, complaint) = await http.TryAsync(fuzz, random, limit.Token);
                    statuses.AddOrUpdate(status, 1, (_, count) => count + 1);
                    if (complaint is not null)
                        complaints.Add($"{mine}: {complaint}");
                }
                catch (Exception e) when (e is OperationCanceledException or InvalidDataException or SocketException)
                {
                    complaints.Add($"{mine}: {e.GetType().Name} {e.Message} with {fuzz}");
                    http.Dispose();
                }
            }
        }, CancellationToken.None)));
        var told = statuses.OrderBy(pair => pair.Key).Select(pair => $"{pair.Value} × {pair.Key}");
        var answered = statuses.Values.Sum();
        verdict.Say($"{string.Join(", ", told)}; {await server.RestAsync()}");
        verdict.Require(options.Duration is not null || answered == total, $"all requests were answered ({answered})");
        verdict.Require(complaints.Count == 0, $"no 500, no hang, no error but the dialect's ({complaints.Count})"
            + string.Concat(complaints.Texts.Select(text => "\n    " + text)));
        verdict.Require(server.Faults.Count == 0, $"the log tells no fault ({server.Faults.Count})");

        (FuzzSeed Seed, int At) Place(int at, Random random)
        {
            if (at < 0)
                return (seeds[random.Next(seeds.Length)], int.MaxValue);
            var i = 0;
            while (at >= counts[i])
                at -= counts[i++];
            return (seeds[i], at);
        }
    }
}
