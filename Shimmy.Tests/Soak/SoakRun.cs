using Shimmy.Tests.Soak.Traffic;

namespace Shimmy.Tests.Soak;

/// <summary>
/// Requests of all dialects, many at a time, a third of whose clients leave at random moments: afterwards everything is as it was after
/// the first thousand.
/// </summary>
internal static class SoakRun
{
    private const int Warmup = 1000;

    /// <summary>Runs it.</summary>
    public static async Task RunAsync(SoakOptions options, Verdict verdict)
    {
        await using var server = await SoakServer.StartAsync(options);
        var atStart = server.State;
        verdict.Say($"soak: {options.Clients} at a time, seed {options.Seed}; at the start {atStart}");
        var complaints = new Complaints();
        var load = new Load(server.Address, options, complaints);
        using var end = new CancellationTokenSource(options.Duration ?? Timeout.InfiniteTimeSpan);

        await load.RunAsync(Warmup, errorsAllowed: false, CancellationToken.None);
        var before = await RestAsync(server);
        verdict.Say($"after the first {load.Requests} requests {before}");
        var total = options.Requests ?? (options.Duration is null ? 10_000 : int.MaxValue);
        for (var next = Warmup; load.Requests < total && !end.IsCancellationRequested;)
        {
            next = Math.Min(total, next + 500);
            await load.RunAsync(next, errorsAllowed: false, end.Token);
            verdict.Say($"after {load.Requests} requests {server.State}");
        }
        var after = await RestAsync(server);

        verdict.Say($"{load.Requests} requests ({load.PerRoute}), {load.Left} left by their clients; at the end {after}");
        verdict.Require(load.Requests > Warmup, $"more than {Warmup} requests were made ({load.Requests})");
        verdict.Require(complaints.Count == 0, $"no error that the client did not cause ({complaints.Count})"
            + string.Concat(complaints.Texts.Select(text => "\n    " + text)));
        var growth = (double)after.ResidentBytes / before.ResidentBytes - 1;
        verdict.Require(growth <= 0.05, $"the server's memory is within 5 % of that after the first {Warmup} ({growth * 100:+0.0;-0.0} %)");
        await server.JudgeTheEndAsync(verdict, atStart);
    }

    private static async Task<ProcessState> RestAsync(SoakServer server)
    {
        await server.IsQuietAsync(TimeSpan.FromSeconds(15));
        await Task.Delay(500);
        return server.State;
    }
}
