using Shimmy.Engine;

namespace Shimmy.Models.Residency;

/// <summary>
/// State of one model from the first request that waits for it to the exit of its worker; a later load is another slot. Guarded by the lock
/// of <see cref="ModelResidency"/>.
/// </summary>
internal sealed class ModelSlot(ModelEntry entry, ModelSpec spec, long bytes)
{
    private const int UsualRetryAfter = 5;
    private const int LongestRetryAfter = 60;

    // GPU memory that a driver takes for each process beside its buffers: CUDA some hundred megabytes.
    private const long DriverBytes = 512L << 20;

    public ModelEntry Entry { get; } = entry;

    public ModelSpec Spec { get; } = spec;

    public ResidencyState State { get; set; } = ResidencyState.Waiting;

    /// <summary>Requests that wait for a lease, oldest first.</summary>
    public List<ModelWaiter> Waiters { get; } = [];

    /// <summary>Leases given out and not yet back.</summary>
    public int Leases { get; set; }

    public ILoadedModel? Model { get; set; }

    public ProgressBroadcast Progress { get; } = new();

    public CancellationTokenSource LoadCancellation { get; } = new();

    /// <summary>Its host memory in bytes: the estimate, or the measured size where that is more.</summary>
    public long Bytes { get; set; } = bytes;

    /// <summary>When its load began.</summary>
    public DateTimeOffset LoadingSince { get; set; }

    /// <summary>When it became ready.</summary>
    public DateTimeOffset ReadyAt { get; set; }

    /// <summary>When its last lease was given or came back.</summary>
    public DateTimeOffset? LastUsed { get; set; }

    /// <summary>How long it stays when idle; negative for ever.</summary>
    public TimeSpan KeepAlive { get; set; }

    public bool Pinned { get; set; }

    /// <summary>
    /// Whether it is to be unloaded when its requests have ended: by hand, or because it is loaded with another spec than is asked for now.
    /// </summary>
    public bool EndAsked { get; set; }

    /// <summary>Whether its load was cancelled; it ends soon.</summary>
    public bool IsCalledOff { get; set; }

    /// <summary>During its load: the other models that had, or may have had, layers on GPUs since the load began.</summary>
    public List<ModelSlot> BesideOnGpus { get; } = [];

    /// <summary>Set where its last load failed for want of GPU memory; else null.</summary>
    public GpuRetry? Crowd { get; set; }

    /// <summary>Whether it may have layers on GPUs once it is loaded.</summary>
    public bool MayUseGpus => Spec.Tuning is not { Backend: GpuBackend.Cpu } and not { GpuLayers.Number: 0 };

    /// <summary>Whether it has layers on GPUs; during its load, whether it may get some.</summary>
    public bool IsOnGpus => TakesRoom && (Model is { } model ? model.Facts.GpuLayers > 0 : MayUseGpus);

    /// <summary>Bytes of its worker on these devices: counted buffers, and a guess for the driver; null before the first load.</summary>
    public long? BytesOn(IReadOnlyList<string> devices)
    {
        if (Model is not { } model)
            return null;
        var counted = model.Facts.Memory.Where(memory => memory.Device.Split('+').Any(devices.Contains))
            .Sum(memory => memory.BufferBytes + memory.CacheBytes + memory.ComputeBytes);
        return counted == 0 ? 0 : counted + DriverBytes;
    }

    /// <summary>Ends when its worker has ended.</summary>
    public TaskCompletionSource Gone { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Whether it takes up memory and counts against the limits.</summary>
    public bool TakesRoom => State != ResidencyState.Waiting;

    /// <summary>Whether it has no lease and no waiter.</summary>
    public bool IsIdle => Leases == 0 && Waiters.Count == 0;

    /// <summary>When its keep-alive ends; null while it is busy, pinned or kept for ever.</summary>
    public DateTimeOffset? ExpiresAt =>
        State == ResidencyState.Ready
            && IsIdle
            && !Pinned
            && KeepAlive >= TimeSpan.Zero
            ? Later(LastUsed ?? ReadyAt, KeepAlive)
            : null;

    /// <summary>
    /// The refusal of a further request that would wait for the load; null where it may wait. All waiting requests reach the model at once,
    /// and it refuses those beyond its slots and its queue.
    /// </summary>
    public EngineException? WhyFull(ModelSpec spec, DateTimeOffset now) =>
        Waiters.Count < (long)spec.Parallel + spec.Queue
            ? null
            : new EngineException(EngineFailure.QueueFull,
                $"{Waiters.Count} requests wait already until this model is loaded; try again in {SecondsLeft(now)} s (--queue sets how many may wait)")
            {
                RetryAfterSeconds = SecondsLeft(now),
            };

    public ResidentModel ToStatus() => new()
    {
        Entry = Entry,
        State = State,
        Progress = State is ResidencyState.Waiting or ResidencyState.Loading ? Progress.Value : 1,
        Requests = Leases + Waiters.Count,
        MemoryBytes = Model?.Facts.ResidentBytes is > 0 and var resident ? resident : Bytes,
        LastUsed = LastUsed,
        ExpiresAt = ExpiresAt,
        Pinned = Pinned,
        Model = State is ResidencyState.Ready or ResidencyState.Draining ? Model : null,
    };

    // The remaining time of the load, at its rate so far.
    private int SecondsLeft(DateTimeOffset now)
    {
        var spent = (now - LoadingSince).TotalSeconds;
        return State == ResidencyState.Loading && Progress.Value > 0
            ? (int)Math.Clamp(Math.Ceiling(spent * (1 - Progress.Value) / Progress.Value), 1, LongestRetryAfter)
            : UsualRetryAfter;
    }

    // Clamped: a keep-alive of years would overflow DateTimeOffset.
    private static DateTimeOffset Later(DateTimeOffset from, TimeSpan by) =>
        by > DateTimeOffset.MaxValue - from ? DateTimeOffset.MaxValue : from + by;
}

/// <summary>A request that waits for a model.</summary>
internal sealed class ModelWaiter(ModelEntry entry, ModelSpec spec, long number)
{
    public ModelEntry Entry { get; } = entry;

    public ModelSpec Spec { get; } = spec;

    /// <summary>Its number among all requests since the start.</summary>
    public long Number { get; } = number;

    /// <summary>The estimated host memory of the load in bytes; 0 where none was made.</summary>
    public long Bytes { get; init; }

    public DateTimeOffset Since { get; init; }

    public TimeSpan KeepAlive { get; init; }

    public IProgress<float>? Progress { get; init; }

    public TaskCompletionSource<ModelLease> Lease { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}
