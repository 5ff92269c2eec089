using System.Diagnostics;

namespace Shimmy.Tests.Fixtures;

/// <summary>Waits for what nothing signals, by looking again and again; fails after half a minute.</summary>
internal static class Poll
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    /// <summary>Waits until a condition holds; <paramref name="what"/> says in the failure what was waited for.</summary>
    public static async Task UntilAsync(Func<Task<bool>> condition, string what)
    {
        for (var begun = Stopwatch.GetTimestamp(); !await condition(); await Task.Delay(5))
        {
            if (Stopwatch.GetElapsedTime(begun) > Limit)
                throw new TimeoutException($"waited {Limit.TotalSeconds} s until {what}");
        }
    }

    /// <summary>Waits until a server has so many requests in flight.</summary>
    public static Task UntilInFlightAsync(HttpClient server, int requests) => UntilAsync(
        async () => (await server.GetStringAsync("metrics")).Contains($"\nshimmy_requests_in_flight {requests}\n", StringComparison.Ordinal),
        $"{requests} requests are in flight");

    /// <inheritdoc cref="UntilAsync(Func{Task{bool}}, string)"/>
    public static Task UntilAsync(Func<bool> condition, string what) => UntilAsync(() => Task.FromResult(condition()), what);
}
