using Shimmy.Engine;

namespace Shimmy.Models.Residency;

/// <summary>Status of a model that waits for memory, is being loaded, is in memory, or is being unloaded. A snapshot.</summary>
internal sealed record ResidentModel
{
    /// <summary>The model's entry.</summary>
    public required ModelEntry Entry { get; init; }

    /// <summary>State of its slot.</summary>
    public required ResidencyState State { get; init; }

    /// <summary>Progress of the load, 0 to 1.</summary>
    public float Progress { get; init; }

    /// <summary>Requests that have a lease or wait for one.</summary>
    public int Requests { get; init; }

    /// <summary>Bytes of memory: the worker's resident bytes once the model is loaded, the estimate before.</summary>
    public long MemoryBytes { get; init; }

    /// <summary>When the last request began or ended; null before the first.</summary>
    public DateTimeOffset? LastUsed { get; init; }

    /// <summary>When the model is unloaded unless a request comes; null where it is busy, pinned or stays for ever.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>How long the model stays when idle, as its latest request asked; negative: for ever.</summary>
    public TimeSpan KeepAlive { get; init; }

    /// <summary>Never evicted, and never unloaded for being idle.</summary>
    public bool Pinned { get; init; }

    /// <summary>The load; null while it is not ready.</summary>
    public ModelLoad? Load { get; init; }

    /// <summary>The loaded model, for its facts and statistics; null while it is not ready.</summary>
    public ILoadedModel? Model => Load?.Model;
}

/// <summary>What loads have found out, beside what entries say.</summary>
internal static class LoadedEntries
{
    /// <summary>The entry; where it is loaded, it sees and hears as the model really does.</summary>
    public static ModelEntry AsLoaded(this ModelResidency residency, ModelEntry entry) =>
        residency.Find(entry.Name)?.Model?.Facts is { } facts ? entry with { Sees = facts.CanSee, Hears = facts.CanHear } : entry;
}

/// <summary>States of a slot; the transitions are drawn at <see cref="ModelResidency"/>.</summary>
internal enum ResidencyState
{
    /// <summary>Requests wait until there is memory for the model.</summary>
    Waiting,

    /// <summary>The worker loads the model.</summary>
    Loading,

    /// <summary>The model takes requests.</summary>
    Ready,

    /// <summary>The model finishes the requests that have a lease, takes no new ones, and is then unloaded.</summary>
    Draining,

    /// <summary>The worker is being shut down.</summary>
    Unloading,
}
