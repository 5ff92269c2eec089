using System.Collections.Concurrent;
using Shimmy.Engine;

namespace Shimmy.Models.Residency;

/// <summary>Load tunings that the user set by hand, laid over those of the configuration. Thread-safe.</summary>
/// <param name="specOf">The spec of a model by the configuration.</param>
internal sealed class TuningOverrides(Func<ModelEntry, ModelSpec> specOf)
{
    private readonly ConcurrentDictionary<string, LoadTuning> _asked = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>The spec to load the model with: the configuration's, with the override where there is one.</summary>
    public ModelSpec SpecOf(ModelEntry entry)
    {
        var spec = specOf(entry);
        return _asked.TryGetValue(entry.Name, out var tuning) ? spec with { Tuning = tuning.Over(spec.Tuning) } : spec;
    }

    /// <summary>Sets a model's override, null for none, and returns the one before.</summary>
    public LoadTuning? Replace(string name, LoadTuning? tuning)
    {
        _asked.TryRemove(name, out var before);
        if (tuning is not null)
            _asked[name] = tuning;
        return before;
    }
}
