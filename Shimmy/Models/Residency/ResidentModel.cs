using Shimmy.Engine;

namespace Shimmy.Models.Residency;

/// <summary>A model that is in memory, on its way there, or on its way out: for status.</summary>
internal sealed record ResidentModel
{
    /// <summary>The model.</summary>
    public required ModelEntry Entry { get; init; }

    /// <summary>Its state.</summary>
    public required ResidencyState State { get; init; }

    /// <summary>Share of the load that is done, 0 to 1.</summary>
    public float Progress { get; init; }

    /// <summary>Requests that use it now or wait for it.</summary>
    public int Requests { get; init; }

    /// <summary>Bytes of host memory: the estimate before the load, then the measured size of the worker.</summary>
    public long MemoryBytes { get; init; }

    /// <summary>When the last request began or ended; null before the first.</summary>
    public DateTimeOffset? LastUsed { get; init; }

    /// <summary>When it will be unloaded if no request comes; null where it is busy or stays for ever.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>Whether it is never unloaded by itself.</summary>
    public bool Pinned { get; init; }

    /// <summary>The loaded model, for its facts and statistics; null while it is not ready.</summary>
    public ILoadedModel? Model { get; init; }
}

/// <summary>States of a model between disk and memory.</summary>
internal enum ResidencyState
{
    /// <summary>Requests wait until there is memory for it.</summary>
    Waiting,

    /// <summary>Its worker loads it.</summary>
    Loading,

    /// <summary>It answers requests.</summary>
    Ready,

    /// <summary>It finishes its running requests, takes no new ones, and is then unloaded.</summary>
    Draining,

    /// <summary>Its worker is exiting.</summary>
    Unloading,
}
