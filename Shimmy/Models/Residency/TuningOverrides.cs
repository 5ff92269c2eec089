using System.Collections.Concurrent;
using Shimmy.Engine;

namespace Shimmy.Models.Residency;

/// <summary>The specs of models: their configuration, and over it the tunings set by hand. From any thread.</summary>
/// <param name="specOf">What the configuration says.</param>
internal sealed class TuningOverrides(Func<ModelEntry, ModelSpec> specOf)
{
    private readonly ConcurrentDictionary<string, LoadTuning> _asked = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>The spec to load the model with.</summary>
    public ModelSpec SpecOf(ModelEntry entry)
    {
        var spec = specOf(entry);
        return _asked.TryGetValue(entry.Name, out var tuning) ? spec with { Tuning = tuning.Over(spec.Tuning) } : spec;
    }

    /// <summary>Sets the tuning of a model, null for none; returns the one before.</summary>
    public LoadTuning? Replace(string name, LoadTuning? tuning)
    {
        _asked.TryRemove(name, out var before);
        if (tuning is not null)
            _asked[name] = tuning;
        return before;
    }
}
