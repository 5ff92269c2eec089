using Shimmy.Tests.Soak.Traffic;

namespace Shimmy.Tests.Soak;

/// <summary>
/// Requests of all dialects, many at a time, a third of whose clients leave at random moments: afterwards everything is as it was after
/// the first thousand.
/// </summary>
internal static class SoakRun
{
    // Fewer where the time is up sooner.
    private const int Warmup = 1000;

    /// <summary>Runs it.</summary>
    public static async Task RunAsync(SoakOptions options, Verdict verdict)
    {
        await using var server = await SoakServer.StartAsync(options);
        var atStart = server.State;
        verdict.Say($"soak: {options.Clients} at a time, seed {options.Seed}; at the start {atStart}");
        var complaints = new Complaints();
        var load = new Load(server.Address, options, complaints);
        using var half = new CancellationTokenSource(options.Duration / 2 ?? Timeout.InfiniteTimeSpan);
        await load.RunAsync(Warmup, errorsAllowed: false, half.Token);
        var first = load.Requests;
        var before = await server.RestAsync();
        verdict.Say($"after the first {load.Requests} requests {before}");
        using var end = new CancellationTokenSource(options.Duration / 2 ?? Timeout.InfiniteTimeSpan);
        var total = options.Requests ?? (options.Duration is null ? 10_000 : int.MaxValue);
        for (var next = first; load.Requests < total && !end.IsCancellationRequested;)
        {
            next = Math.Min(total, next + 500);
            await load.RunAsync(next, errorsAllowed: false, end.Token);
            verdict.Say($"after {load.Requests} requests {server.State}");
        }
        var after = await server.RestAsync();

        verdict.Say($"{load.Requests} requests ({load.PerRoute}), {load.Left} left by their clients; at the end {after}");
        verdict.Require(load.Requests > first
            && first > 0, $"{first} requests were made, and more than them after ({load.Requests - first})");
        verdict.Require(complaints.Count == 0, $"no error that the client did not cause ({complaints.Count})"
            + string.Concat(complaints.Texts.Select(text => "\n    " + text)));
        var growth = (double)after.ResidentBytes / before.ResidentBytes - 1;
        verdict.Require(growth <= 0.05, $"the server's memory is within 5 % of that after the first {first} ({growth * 100:+0.0;-0.0} %)");
        await server.JudgeTheEndAsync(verdict, atStart);
    }
}
