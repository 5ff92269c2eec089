using Shimmy.Engine;
using Shimmy.Engine.Memory;

namespace Shimmy.Models.Residency;

/// <summary>
/// How long models stay in memory and how many fit. By default any number, each for five minutes after its last request, as Ollama does.
/// </summary>
internal sealed record ResidencyOptions
{
    /// <summary>
    /// How long a model stays after its last request, unless the request or the model's settings override it; zero unloads at once,
    /// negative: for ever.
    /// </summary>
    public TimeSpan KeepAlive { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Most models in memory at once; 0: no limit.</summary>
    public int MaxLoaded { get; init; }

    /// <summary>Bytes of the machine's memory that all models together may need; null: no limit.</summary>
    public long? MemoryBudget { get; init; }

    /// <summary>Estimates the bytes of the machine's memory that a load will need, before it starts.</summary>
    public Func<ModelEntry, ModelSpec, CancellationToken, ValueTask<long>> Estimate { get; init; } = static (entry, spec, _) =>
        ValueTask.FromResult(MemoryEstimate.Of(spec, entry.SizeBytes).Total);

    /// <summary>
    /// How long a request waits for a busy model to become idle before that model is drained: it gets no new requests and is evicted when
    /// the running ones have ended. Shorter is fairer, longer loads models less often.
    /// </summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(5);
}
