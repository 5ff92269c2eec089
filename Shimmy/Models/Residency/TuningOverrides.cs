using System.Collections.Concurrent;
using Shimmy.Engine;

namespace Shimmy.Models.Residency;

/// <summary>How a model is to be loaded, in place of what the configuration says. Null and what is left open stay as configured.</summary>
/// <param name="Tuning">Devices, layers and the like.</param>
internal sealed record LoadOverride(LoadTuning Tuning)
{
    /// <summary>Nothing asked for.</summary>
    public static LoadOverride None { get; } = new(LoadTuning.None);

    /// <inheritdoc cref="ModelSpec.ContextLength"/>
    public int? ContextLength { get; init; }

    /// <inheritdoc cref="ModelSpec.Threads"/>
    public int? Threads { get; init; }

    /// <inheritdoc cref="ModelSpec.BatchSize"/>
    public int? BatchSize { get; init; }

    /// <summary>
    /// Whether it ends with the load that it is for, because every request says it anew; else it holds until the model is unloaded by hand.
    /// </summary>
    public bool EndsWithLoad { get; init; }

    /// <summary>The spec with what is asked for.</summary>
    public ModelSpec Over(ModelSpec spec) => spec with
    {
        Tuning = Tuning.Over(spec.Tuning),
        ContextLength = ContextLength ?? spec.ContextLength,
        Threads = Threads ?? spec.Threads,
        BatchSize = BatchSize ?? spec.BatchSize,
    };
}

/// <summary>Settings that the user made by hand, laid over the configuration: load tunings, and which models stay. Thread-safe.</summary>
/// <param name="specOf">The spec of a model by the configuration.</param>
internal sealed class TuningOverrides(Func<ModelEntry, ModelSpec> specOf)
{
    private readonly ConcurrentDictionary<string, LoadOverride> _asked = new(StringComparer.OrdinalIgnoreCase);

    private readonly ConcurrentDictionary<string, bool> _pins = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>Whether a model is never evicted nor unloaded for being idle.</summary>
    public bool IsPinned(ModelEntry entry) => _pins.TryGetValue(entry.Name, out var pinned) ? pinned : entry.Settings.Pinned;

    /// <summary>Sets whether a model is pinned; null leaves it to the configuration.</summary>
    public void Pin(string name, bool? pinned)
    {
        if (pinned is { } asked)
            _pins[name] = asked;
        else
            _pins.TryRemove(name, out _);
    }

    /// <summary>The spec to load the model with: the configuration's, with the override where there is one.</summary>
    public ModelSpec SpecOf(ModelEntry entry)
    {
        var spec = specOf(entry);
        return Of(entry.Name)?.Over(spec) ?? spec;
    }

    /// <summary>A model's override; null where it has none.</summary>
    public LoadOverride? Of(string name) => _asked.GetValueOrDefault(name);

    /// <summary>A model left the memory by itself.</summary>
    public void EndLoad(string name)
    {
        if (Of(name) is { EndsWithLoad: true })
            Replace(name, null);
    }

    /// <summary>Sets a model's override, null for none, and returns the one before.</summary>
    public LoadOverride? Replace(string name, LoadOverride? asked)
    {
        _asked.TryRemove(name, out var before);
        if (asked is not null)
            _asked[name] = asked;
        return before;
    }
}
