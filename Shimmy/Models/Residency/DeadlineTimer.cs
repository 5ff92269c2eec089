namespace Shimmy.Models.Residency;

/// <summary>A timer that is set to a point in time, however far away.</summary>
/// <param name="time">Clock and timers.</param>
/// <param name="ring">The callback.</param>
internal sealed class DeadlineTimer(TimeProvider time, Action ring) : IAsyncDisposable
{
    // The longest wait that is given to a timer: timers take no wait of years.
    private static readonly TimeSpan Longest = TimeSpan.FromDays(1);

    private readonly ITimer _timer = time.CreateTimer(_ => ring(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);

    /// <summary>Rings at this time, or before it where that is long; never where it is null.</summary>
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
