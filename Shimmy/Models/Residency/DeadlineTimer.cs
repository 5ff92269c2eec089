namespace Shimmy.Models.Residency;

/// <summary>A timer that is set to an absolute time, however far away.</summary>
/// <param name="time">Clock and source of timers.</param>
/// <param name="onDue">Callback, on a pool thread. May come early, so it has to check the time itself.</param>
internal sealed class DeadlineTimer(TimeProvider time, Action onDue) : IAsyncDisposable
{
    // ITimer refuses waits above 2^32 - 2 ms (49 days).
    private static readonly TimeSpan Longest = TimeSpan.FromDays(1);

    private readonly ITimer _timer = time.CreateTimer(_ => onDue(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);

    /// <summary>Fires at <paramref name="next"/>, or in a day where that is further away; null stops the timer.</summary>
    public void Set(DateTimeOffset? next, DateTimeOffset now)
    {
        var wait = next is not { } at ? Timeout.InfiniteTimeSpan
            : at <= now ? TimeSpan.Zero
            : at - now < Longest ? at - now + TimeSpan.FromMilliseconds(1) : Longest;
        _timer.Change(wait, Timeout.InfiniteTimeSpan);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _timer.DisposeAsync();
}

/// <summary>
/// A clock that never jumps: the wall-clock time at the start of the process plus the monotonic time since. If the machine's clock is set,
/// no model is unloaded early or kept for hours.
/// </summary>
internal sealed class MonotonicTimeProvider : TimeProvider
{
    private readonly DateTimeOffset _began = DateTimeOffset.UtcNow;
    private readonly long _beganAt = System.GetTimestamp();

    private MonotonicTimeProvider()
    {
    }

    /// <summary>The only instance, so that all its times compare.</summary>
    public static MonotonicTimeProvider Instance { get; } = new();

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() => _began + System.GetElapsedTime(_beganAt);
}
