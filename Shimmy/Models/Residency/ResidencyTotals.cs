using System.Collections.Concurrent;

namespace Shimmy.Models.Residency;

/// <summary>Counters of loads and unloads since the server started, for metrics. From any thread.</summary>
internal sealed class ResidencyTotals
{
    private readonly ConcurrentDictionary<string, ModelTotals> _models = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>The totals of each model that was ever requested, by name.</summary>
    public IReadOnlyList<(string Model, ModelTotals Totals)> Models =>
        [.. _models.OrderBy(entry => entry.Key, StringComparer.OrdinalIgnoreCase).Select(entry => (entry.Key, entry.Value))];

    /// <summary>A model was loaded in this time.</summary>
    public void Loaded(string model, TimeSpan took) => Change(model, totals => totals with
    {
        Loads = totals.Loads + 1,
        LoadTime = totals.LoadTime + took,
        Restarts = totals.Restarts + (totals.Crashed ? 1 : 0),
        Crashed = false,
    });

    /// <summary>A load failed.</summary>
    public void LoadFailed(string model) => Change(model, totals => totals with { FailedLoads = totals.FailedLoads + 1 });

    /// <summary>A model was unloaded, for this reason.</summary>
    public void Unloaded(string model, UnloadReason reason) => Change(model, totals => reason switch
    {
        UnloadReason.Idle => totals with { UnloadedIdle = totals.UnloadedIdle + 1 },
        UnloadReason.Room => totals with { UnloadedForRoom = totals.UnloadedForRoom + 1 },
        UnloadReason.Asked => totals with { UnloadedAsked = totals.UnloadedAsked + 1 },
        _ => totals with { Crashes = totals.Crashes + 1, Crashed = true },
    });

    private void Change(string model, Func<ModelTotals, ModelTotals> change) =>
        _models.AddOrUpdate(model, static (_, change) => change(new ModelTotals()), static (_, totals, change) => change(totals), change);
}

/// <summary>Why a model left memory.</summary>
internal enum UnloadReason
{
    /// <summary>Idle for its keep-alive.</summary>
    Idle,

    /// <summary>Evicted for another model.</summary>
    Room,

    /// <summary>By hand, or because its settings changed.</summary>
    Asked,

    /// <summary>Its worker crashed.</summary>
    Crash,
}

/// <summary>Totals of one model.</summary>
internal sealed record ModelTotals
{
    /// <summary>Times it was loaded.</summary>
    public long Loads { get; init; }

    /// <summary>Time that these loads took together.</summary>
    public TimeSpan LoadTime { get; init; }

    /// <summary>Loads that failed.</summary>
    public long FailedLoads { get; init; }

    /// <summary>Unloads after the keep-alive.</summary>
    public long UnloadedIdle { get; init; }

    /// <summary>Evictions for another model.</summary>
    public long UnloadedForRoom { get; init; }

    /// <summary>Unloads by hand or for changed settings.</summary>
    public long UnloadedAsked { get; init; }

    /// <summary>Crashes of its worker.</summary>
    public long Crashes { get; init; }

    /// <summary>Loads after a crash.</summary>
    public long Restarts { get; init; }

    /// <summary>Whether its last unload was a crash.</summary>
    public bool Crashed { get; init; }
}
