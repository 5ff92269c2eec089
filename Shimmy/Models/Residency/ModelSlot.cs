using Shimmy.Engine;
using Shimmy.Engine.Memory;

namespace Shimmy.Models.Residency;

/// <summary>
/// One load of one model, from the first request that waits for it until its worker has ended; the next load gets a new slot. The states
/// and their transitions are drawn at <see cref="ModelResidency"/>, whose lock guards all members.
/// </summary>
internal sealed class ModelSlot(ModelEntry entry, ModelSpec spec, LoadNeed need)
{
    // Seconds, for Retry-After.
    private const int UsualRetryAfter = 5;
    private const int LongestRetryAfter = 60;

    // GPU memory that a driver takes for each process, beside the buffers: a CUDA context takes some hundred megabytes.
    private const long DriverBytes = 512L << 20;

    private LoadNeed? _given; // with memory for states
    private long _measured;

    public ModelEntry Entry { get; } = entry;

    /// <summary>How the model was asked for.</summary>
    public ModelSpec Spec { get; } = spec;

    /// <summary><see cref="Need"/> before anything was given to it.</summary>
    public LoadNeed Asked { get; } = WithoutOpenPrefixes(spec, need);

    /// <summary>The memory that the load needs, and the spec to load with.</summary>
    public LoadNeed Need => _given ?? Asked;

    public ResidencyState State { get; set; } = ResidencyState.Waiting;

    /// <summary>Requests that have no lease yet, oldest first.</summary>
    public List<ModelWaiter> Waiters { get; } = [];

    /// <summary>Leases given out and not yet back.</summary>
    public int Leases { get; private set; }

    public ModelLoad? Load { get; private set; }

    public ILoadedModel? Model => Load?.Model;

    public ProgressBroadcast Progress { get; } = new();

    public CancellationTokenSource LoadCancellation { get; } = new();

    /// <summary>
    /// Bytes counted against the memory budget: the estimate, or the worker's resident bytes after the load where those are more.
    /// </summary>
    public long Bytes => Math.Max(Need.Bytes, _measured);

    /// <summary>When the load began.</summary>
    public DateTimeOffset LoadingSince { get; set; }

    /// <summary>When the load was done.</summary>
    public DateTimeOffset ReadyAt { get; private set; }

    /// <summary>When a lease was last given or released; null before the first.</summary>
    public DateTimeOffset? LastUsed { get; private set; }

    /// <summary>How long the model stays when idle, as its latest request asked; negative: for ever.</summary>
    public TimeSpan KeepAlive { get; private set; }

    public bool Pinned { get; set; }

    /// <summary>
    /// Unload as soon as no lease is out: the user asked for it, or requests wait that need the model loaded with another spec.
    /// </summary>
    public bool UnloadRequested { get; set; }

    /// <summary>The load was cancelled; its memory is free once the worker has ended.</summary>
    public bool IsLoadCancelled { get; set; }

    /// <summary>During the load: the models that had, or may have had, layers on GPUs at any time since it began.</summary>
    public List<ModelSlot> GpuCompetitors { get; } = [];

    /// <summary>The last load's failure for lack of GPU memory; null where there was none.</summary>
    public GpuRetry? GpuRetry { get; set; }

    /// <summary>Whether the spec allows layers on GPUs.</summary>
    public bool MayUseGpus => Spec.Tuning is not { Backend: GpuBackend.Cpu } and not { GpuLayers.Number: 0 };

    /// <summary>Whether the model has layers on GPUs; during the load, whether it may get some.</summary>
    public bool IsOnGpus => UsesMemory && (Model is { } model ? model.Facts.GpuLayers > 0 : MayUseGpus);

    /// <summary>
    /// Bytes that the worker holds on these devices: buffers as llama.cpp counts them, plus a guess for the driver. Null before the load is
    /// done.
    /// </summary>
    public long? BytesOn(IReadOnlyList<string> devices)
    {
        if (Model is not { } model)
            return null;
        var counted = model.Facts.Memory.Where(memory => memory.Device.Split('+').Any(devices.Contains))
            .Sum(memory => memory.BufferBytes + memory.CacheBytes + memory.ComputeBytes);
        return counted == 0 ? 0 : counted + DriverBytes;
    }

    /// <summary>Completes when the slot is removed and its worker, if there was one, has ended.</summary>
    public TaskCompletionSource Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Whether the slot counts against the limits on number and memory.</summary>
    public bool UsesMemory => State != ResidencyState.Waiting;

    /// <summary>No lease and no waiter.</summary>
    public bool IsIdle => Leases == 0 && Waiters.Count == 0;

    /// <summary>When the model is unloaded for being idle; null while it is busy, pinned or kept for ever.</summary>
    public DateTimeOffset? ExpiresAt =>
        State == ResidencyState.Ready
            && IsIdle
            && !Pinned
            && KeepAlive >= TimeSpan.Zero
            ? Later(LastUsed ?? ReadyAt, KeepAlive)
            : null;

    /// <summary>
    /// The error for a request that may not wait for the load because the queue is full; null where it may. All waiting requests reach the
    /// model's scheduler at once when the load is done, and it refuses more than its slots and its queue hold.
    /// </summary>
    public EngineException? WhyFull(ModelSpec spec, DateTimeOffset now) =>
        Waiters.Count < (long)spec.Parallel + spec.Queue
            ? null
            : new EngineException(EngineFailure.QueueFull,
                $"queue full: {Waiters.Count} requests already wait until this model is loaded; "
                + $"try again in {SecondsLeft(now)} s (--queue sets how many may wait)")
            {
                RetryAfterSeconds = SecondsLeft(now),
            };

    /// <summary>
    /// Gives the load memory for states of prompts where nobody has said how much: at most half of what of the budget is left beside it.
    /// From then on it counts, but nothing is evicted for it: the largest of the models that were asked for before and are not in memory
    /// counts as there, or two that fit beside each other would take turns.
    /// </summary>
    /// <param name="budget">The memory budget.</param>
    /// <param name="slots">All slots.</param>
    /// <param name="known">What the last load of each model needed.</param>
    public void TakePrefixes(long budget, IReadOnlyCollection<ModelSlot> slots, IReadOnlyDictionary<string, LoadNeed> known)
    {
        if (Spec.PrefixMemoryBytes is not null || Need.Spec.PrefixMemoryBytes is not { } most)
            return;
        var loaded = slots.Where(other => other.UsesMemory && other != this).ToArray();
        var next = known.Where(one => one.Key != Entry.Name && !loaded.Any(other => other.Entry.Name == one.Key))
            .Select(one => one.Value.Bytes).DefaultIfEmpty().Max();
        var left = budget - loaded.Sum(other => other.Bytes);
        // One that does not fit beside this anyway takes its place.
        left -= left - Bytes >= next ? next : 0;
        var share = Math.Clamp((left - Bytes) / 2, 0, most);
        _given = Need with { Spec = Need.Spec with { PrefixMemoryBytes = share }, Memory = Need.Memory with { Prefixes = share } };
    }

    private static LoadNeed WithoutOpenPrefixes(ModelSpec spec, LoadNeed need) =>
        spec.PrefixMemoryBytes is null ? need with { Memory = need.Memory with { Prefixes = 0 } } : need;

    /// <summary>Adds a request that waits for a lease.</summary>
    public void Add(ModelWaiter waiter)
    {
        Waiters.Add(waiter);
        Progress.Add(waiter.Progress);
    }

    /// <summary>Removes a request that waits; false where it waits no longer.</summary>
    public bool Remove(ModelWaiter waiter)
    {
        if (!Waiters.Remove(waiter))
            return false;
        Progress.Remove(waiter.Progress);
        return true;
    }

    /// <summary>Counts the lease of a request that waited.</summary>
    public void Admit(ModelWaiter waiter, DateTimeOffset now)
    {
        Remove(waiter);
        Leases++;
        LastUsed = now;
        KeepAlive = waiter.KeepAlive;
    }

    /// <summary>Counts the end of a lease.</summary>
    public void Release(DateTimeOffset now)
    {
        Leases--;
        LastUsed = now;
    }

    /// <summary>The load is done.</summary>
    /// <param name="load">The load.</param>
    /// <param name="now">The time.</param>
    /// <param name="keepAlive">How long the model stays where no request waits for it.</param>
    public void Loaded(ModelLoad load, DateTimeOffset now, TimeSpan keepAlive)
    {
        Load = load;
        State = ResidencyState.Ready;
        IsLoadCancelled = false; // the cancel came too late
        GpuCompetitors.Clear();
        GpuRetry = null;
        ReadyAt = now;
        _measured = load.Model.Facts.ResidentBytes + Need.Memory.Prefixes;
        KeepAlive = Waiters.Count > 0 ? Waiters[^1].KeepAlive : keepAlive;
    }

    /// <summary>Fails all waiting requests.</summary>
    public void Fail(Exception e)
    {
        Waiters.ForEach(waiter => waiter.Lease.SetException(e));
        Waiters.Clear();
    }

    /// <summary>A new slot for the requests that still wait when this one has ended; there must be at least one.</summary>
    /// <param name="retry">Set where the load of this slot failed for lack of GPU memory; kept if the new slot loads the same way.</param>
    public ModelSlot Successor(GpuRetry? retry)
    {
        var first = Waiters[0];
        var next = new ModelSlot(first.Entry, first.Spec, first.Need)
        {
            GpuRetry = first.Spec.LoadsLike(Spec) ? retry : null,
        };
        next.Waiters.AddRange(Waiters);
        next.Waiters.ForEach(waiter => next.Progress.Add(waiter.Progress));
        return next;
    }

    /// <summary>Snapshot for status reports.</summary>
    public ResidentModel ToStatus() => new()
    {
        Entry = Entry,
        State = State,
        Progress = State is ResidencyState.Waiting or ResidencyState.Loading ? Progress.Value : 1,
        Requests = Leases + Waiters.Count,
        MemoryBytes = Model?.Facts.ResidentBytes is > 0 and var resident ? resident : Bytes,
        LastUsed = LastUsed,
        ExpiresAt = ExpiresAt,
        KeepAlive = KeepAlive,
        Pinned = Pinned,
        Load = State is ResidencyState.Ready or ResidencyState.Draining ? Load : null,
    };

    // Time left of the load, extrapolated from its progress.
    private int SecondsLeft(DateTimeOffset now)
    {
        var spent = (now - LoadingSince).TotalSeconds;
        return State == ResidencyState.Loading && Progress.Value > 0
            ? (int)Math.Clamp(Math.Ceiling(spent * (1 - Progress.Value) / Progress.Value), 1, LongestRetryAfter)
            : UsualRetryAfter;
    }

    // Clamped: would overflow DateTimeOffset.
    private static DateTimeOffset Later(DateTimeOffset from, TimeSpan by) =>
        by > DateTimeOffset.MaxValue - from ? DateTimeOffset.MaxValue : from + by;
}

/// <summary>A request that waits for a lease.</summary>
internal sealed class ModelWaiter(ModelEntry entry, ModelSpec spec, long number)
{
    public ModelEntry Entry { get; } = entry;

    public ModelSpec Spec { get; } = spec;

    /// <summary>Sequence number over all requests since the start; breaks ties.</summary>
    public long Number { get; } = number;

    /// <summary>The memory that a load with this spec takes: of the machine, and of each GPU.</summary>
    public required LoadNeed Need { get; init; }

    public DateTimeOffset Since { get; init; }

    public TimeSpan KeepAlive { get; init; }

    public IProgress<float>? Progress { get; init; }

    public TaskCompletionSource<ModelLease> Lease { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}

/// <summary>Reports the progress of one load to all requests that wait for it. Thread-safe.</summary>
internal sealed class ProgressBroadcast : IProgress<float>
{
    private readonly Lock _lock = new();
    private readonly List<IProgress<float>> _listeners = [];

    /// <summary>Progress of the load, 0 to 1.</summary>
    public float Value { get; private set; }

    /// <summary>Adds a listener; it gets the current progress at once, unless that is 0. Null is ignored.</summary>
    public void Add(IProgress<float>? listener)
    {
        if (listener is null)
            return;

        lock (_lock)
        {
            _listeners.Add(listener);
        }

        if (Value > 0)
            listener.Report(Value);
    }

    /// <summary>Removes a listener. Null is ignored.</summary>
    public void Remove(IProgress<float>? listener)
    {
        lock (_lock)
        {
            if (listener is not null)
                _listeners.Remove(listener);
        }
    }

    /// <inheritdoc/>
    public void Report(float value)
    {
        IProgress<float>[] listeners;
        lock (_lock)
        {
            Value = value;
            listeners = [.. _listeners];
        }

        foreach (var listener in listeners)
            listener.Report(value);
    }
}
