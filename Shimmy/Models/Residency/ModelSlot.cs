using Shimmy.Engine;

namespace Shimmy.Models.Residency;

/// <summary>
/// One life of one model, from the first request that waits for it to the end of its worker. What comes back after that is
/// another slot. Guarded by the lock of <see cref="ModelResidency"/>.
/// </summary>
internal sealed class ModelSlot(ModelEntry entry, ModelSpec spec, long bytes)
{
    private const int UsualRetryAfter = 5;
    private const int LongestRetryAfter = 60;

    // What a driver takes of a GPU for each process beside its buffers: CUDA some hundred megabytes.
    private const long DriverBytes = 512L << 20;

    public ModelEntry Entry { get; } = entry;

    public ModelSpec Spec { get; } = spec;

    public ResidencyState State { get; set; } = ResidencyState.Waiting;

    /// <summary>Requests that have no lease yet, oldest first.</summary>
    public List<ModelWaiter> Waiters { get; } = [];

    /// <summary>Leases given out and not yet back.</summary>
    public int Leases { get; set; }

    public ModelLoad? Load { get; set; }

    public ILoadedModel? Model => Load?.Model;

    public ProgressBroadcast Progress { get; } = new();

    public CancellationTokenSource LoadCancellation { get; } = new();

    /// <summary>What it needs in memory: the estimate, or what it really took where that is more.</summary>
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
    /// Someone asked that it goes, or it is loaded in another way than is wanted now; it goes when its requests have ended.
    /// </summary>
    public bool EndAsked { get; set; }

    /// <summary>Its load was cancelled and will end soon.</summary>
    public bool IsCalledOff { get; set; }

    /// <summary>While it is loaded: the models that had layers on GPUs since its load began, or may have had.</summary>
    public List<ModelSlot> BesideOnGpus { get; } = [];

    /// <summary>Beside whom it found no room on GPUs when it was last tried; null where it was not tried, or not refused for that.</summary>
    public GpuRetry? Crowd { get; set; }

    /// <summary>Whether it may have layers on GPUs once it is loaded.</summary>
    public bool MayUseGpus => Spec.Tuning is not { Backend: GpuBackend.Cpu } and not { GpuLayers.Number: 0 };

    /// <summary>Whether it has layers on GPUs; while it is loaded, whether it may have some in the end.</summary>
    public bool IsOnGpus => TakesRoom && (Model is { } model ? model.Facts.GpuLayers > 0 : MayUseGpus);

    /// <summary>Bytes that its worker has on these devices, as far as they are counted and a guess for the rest; null where it was never loaded.</summary>
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

    /// <summary>Whether nobody would miss it now.</summary>
    public bool IsIdle => Leases == 0 && Waiters.Count == 0;

    /// <summary>When it is to go for being idle; null while it is busy, pinned or kept for ever.</summary>
    public DateTimeOffset? ExpiresAt =>
        State == ResidencyState.Ready
            && IsIdle
            && !Pinned
            && KeepAlive >= TimeSpan.Zero
            ? Later(LastUsed ?? ReadyAt, KeepAlive)
            : null;

    /// <summary>
    /// Why a request may not wait for the model any more; null where it may. Those that wait come to the model all at once, and more than it answers
    /// and lets wait it would refuse then.
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

    // What the load has left at the pace that it had so far.
    private int SecondsLeft(DateTimeOffset now)
    {
        var spent = (now - LoadingSince).TotalSeconds;
        return State == ResidencyState.Loading && Progress.Value > 0
            ? (int)Math.Clamp(Math.Ceiling(spent * (1 - Progress.Value) / Progress.Value), 1, LongestRetryAfter)
            : UsualRetryAfter;
    }

    // A keep-alive of years must not run off the calendar.
    private static DateTimeOffset Later(DateTimeOffset from, TimeSpan by) =>
        by > DateTimeOffset.MaxValue - from ? DateTimeOffset.MaxValue : from + by;
}

/// <summary>A request that waits for a model.</summary>
internal sealed class ModelWaiter(ModelEntry entry, ModelSpec spec, long number)
{
    public ModelEntry Entry { get; } = entry;

    public ModelSpec Spec { get; } = spec;

    /// <summary>Its place among all requests ever.</summary>
    public long Number { get; } = number;

    /// <summary>The estimate of what the load will need; 0 where none was made.</summary>
    public long Bytes { get; init; }

    public DateTimeOffset Since { get; init; }

    public TimeSpan KeepAlive { get; init; }

    public IProgress<float>? Progress { get; init; }

    public TaskCompletionSource<ModelLease> Lease { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}
