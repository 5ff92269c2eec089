using Shimmy.Engine;
using Shimmy.Engine.Memory;

namespace Shimmy.Models.Residency;

/// <summary>
/// Limits of residency: keep-alive, number of models, memory. The defaults keep everything for five minutes after its last use.
/// </summary>
internal sealed record ResidencyOptions
{
    /// <summary>
    /// How long a model stays after its last request, unless the request or the model says otherwise; negative means for ever.
    /// </summary>
    public TimeSpan KeepAlive { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Most models in memory at once; 0 sets no limit.</summary>
    public int MaxLoaded { get; init; }

    /// <summary>Bytes that all models together may need of the machine's memory; null sets no limit.</summary>
    public long? MemoryBudget { get; init; }

    /// <summary>Estimates the host memory of a load in bytes, before it starts.</summary>
    public Func<ModelEntry, ModelSpec, CancellationToken, ValueTask<long>> Estimate { get; init; } = static (entry, spec, _) =>
        ValueTask.FromResult(MemoryEstimate.Of(spec, entry.SizeBytes).Total);

    /// <summary>
    /// How long a request waits for a busy model to fall idle by itself before that model gets no more requests until the
    /// waiting one had its turn. Shorter is fairer, longer loads less often.
    /// </summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(5);
}
