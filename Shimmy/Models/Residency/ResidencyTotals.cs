using System.Collections.Concurrent;

namespace Shimmy.Models.Residency;

/// <summary>Counts of loads, evictions and crashes since the server started, by model, for metrics. Thread-safe.</summary>
internal sealed class ResidencyTotals
{
    private readonly ConcurrentDictionary<string, ModelTotals> _models = new(StringComparer.OrdinalIgnoreCase);

    private long _changes;

    /// <summary>How often any of them has changed; read before <see cref="Models"/>, it is never ahead of what these say.</summary>
    public long Changes => Interlocked.Read(ref _changes);

    /// <summary>The totals of each model that was ever loaded or failed to load, in the order of their names.</summary>
    public IReadOnlyList<(string Model, ModelTotals Totals)> Models =>
        [.. _models.OrderBy(entry => entry.Key, StringComparer.OrdinalIgnoreCase).Select(entry => (entry.Key, entry.Value))];

    /// <summary>Counts a load and its duration.</summary>
    public void Loaded(string model, TimeSpan took) => Change(model, totals => totals with
    {
        Loads = totals.Loads + 1,
        LoadTime = totals.LoadTime + took,
        Restarts = totals.Restarts + (totals.Crashed ? 1 : 0),
        Crashed = false,
    });

    /// <summary>Counts a failed load.</summary>
    public void LoadFailed(string model) => Change(model, totals => totals with { FailedLoads = totals.FailedLoads + 1 });

    /// <summary>Counts an unload.</summary>
    public void Unloaded(string model, UnloadReason reason) => Change(model, totals => reason switch
    {
        UnloadReason.Idle => totals with { UnloadedIdle = totals.UnloadedIdle + 1 },
        UnloadReason.Evicted => totals with { Evicted = totals.Evicted + 1 },
        UnloadReason.Asked => totals with { UnloadedAsked = totals.UnloadedAsked + 1 },
        _ => totals with { Crashes = totals.Crashes + 1, Crashed = true },
    });

    private void Change(string model, Func<ModelTotals, ModelTotals> change)
    {
        _models.AddOrUpdate(model, static (_, change) => change(new ModelTotals()), static (_, totals, change) => change(totals), change);
        // Behind the change: what was written of them before is then written again.
        Interlocked.Increment(ref _changes);
    }
}

/// <summary>Why a model left memory.</summary>
internal enum UnloadReason
{
    /// <summary>Idle for its keep-alive.</summary>
    Idle,

    /// <summary>Evicted: another model needed its memory.</summary>
    Evicted,

    /// <summary>Requested by the user or by shutdown, or the spec changed.</summary>
    Asked,

    /// <summary>The worker process ended unexpectedly.</summary>
    Crash,
}

/// <summary>Totals of one model since the server started.</summary>
internal sealed record ModelTotals
{
    /// <summary>Successful loads.</summary>
    public long Loads { get; init; }

    /// <summary>Duration of all successful loads together.</summary>
    public TimeSpan LoadTime { get; init; }

    /// <summary>Failed loads.</summary>
    public long FailedLoads { get; init; }

    /// <summary>Unloads for being idle.</summary>
    public long UnloadedIdle { get; init; }

    /// <summary>Evictions: another model needed the memory.</summary>
    public long Evicted { get; init; }

    /// <summary>Unloads on request, at shutdown, or for a changed spec.</summary>
    public long UnloadedAsked { get; init; }

    /// <summary>Times the worker process ended unexpectedly.</summary>
    public long Crashes { get; init; }

    /// <summary>Loads whose preceding worker crashed.</summary>
    public long Restarts { get; init; }

    /// <summary>Whether the last worker crashed and no load has succeeded since.</summary>
    public bool Crashed { get; init; }
}
