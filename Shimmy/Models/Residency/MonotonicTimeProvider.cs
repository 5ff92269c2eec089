namespace Shimmy.Models.Residency;

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
