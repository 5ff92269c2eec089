namespace Shimmy.Models.Residency;

/// <summary>
/// The time of day as it was when the program began, and from there on by a clock that nobody sets: where the machine's clock jumps, no model is
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
