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

    /// <summary>
    /// Estimates what a load will need of the machine's memory, before it starts; may shorten a context that was left open so that it fits
    /// into the bytes given, of which null is any number.
    /// </summary>
    public Func<ModelEntry, ModelSpec, long?, CancellationToken, ValueTask<LoadNeed>> Need { get; init; } = static (entry, spec, _, _) =>
        ValueTask.FromResult(new LoadNeed(spec, MemoryEstimate.Of(spec, entry.SizeBytes)));

    /// <summary>
    /// How long a request waits for a busy model to become idle before that model is drained: it gets no new requests and is evicted when
    /// the running ones have ended. Shorter is fairer, longer loads models less often.
    /// </summary>
    public TimeSpan DrainAfter { get; init; } = TimeSpan.FromSeconds(5);
}
