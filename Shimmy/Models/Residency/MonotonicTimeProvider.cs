namespace Shimmy.Models.Residency;

/// <summary>
/// Monotonic time provider: starts at the time of day and then advances with the monotonic clock. Where the system clock jumps, no model is
/// unloaded early or kept for hours.
/// </summary>
internal sealed class MonotonicTimeProvider : TimeProvider
{
    private readonly DateTimeOffset _began = DateTimeOffset.UtcNow;
    private readonly long _beganAt = System.GetTimestamp();

    private MonotonicTimeProvider()
    {
    }

    /// <summary>The clock.</summary>
    public static MonotonicTimeProvider Instance { get; } = new();

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() => _began + System.GetElapsedTime(_beganAt);
}
