namespace Shimmy.Tests.Jinja;

/// <summary>A clock that stands at a local time.</summary>
internal sealed class FixedClock(DateTime now) : TimeProvider
{
    /// <inheritdoc/>
    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() => new(DateTime.SpecifyKind(now, DateTimeKind.Utc));
}
