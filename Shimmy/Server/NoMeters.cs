using System.Diagnostics.Metrics;

namespace Shimmy.Server;

/// <summary>Meters that nobody reads: .NET's own metrics are switched off (see the project file), Kestrel asks for a factory all the same.</summary>
internal sealed class NoMeters : IMeterFactory
{
    /// <inheritdoc/>
    public Meter Create(MeterOptions options) => new(options);

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
