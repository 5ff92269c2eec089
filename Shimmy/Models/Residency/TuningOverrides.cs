using System.Collections.Concurrent;
using Shimmy.Engine;

namespace Shimmy.Models.Residency;

/// <summary>How models are to be loaded: as their configuration says, and over that as was asked by hand. From any thread.</summary>
/// <param name="specOf">What the configuration says.</param>
internal sealed class TuningOverrides(Func<ModelEntry, ModelSpec> specOf)
{
    private readonly ConcurrentDictionary<string, LoadTuning> _asked = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>How the model is to be loaded now.</summary>
    public ModelSpec SpecOf(ModelEntry entry)
    {
        var spec = specOf(entry);
        return _asked.TryGetValue(entry.Name, out var tuning) ? spec with { Tuning = tuning.Over(spec.Tuning) } : spec;
    }

    /// <summary>Takes what is asked for a model, null for nothing; gives what was asked until now.</summary>
    public LoadTuning? Replace(string name, LoadTuning? tuning)
    {
        _asked.TryRemove(name, out var before);
        if (tuning is not null)
            _asked[name] = tuning;
        return before;
    }
}
