using Shimmy.Engine;
using Shimmy.Engine.Memory;
using Shimmy.SafeTensors;

namespace Shimmy.Models.Residency;

/// <summary>
/// Loads models on request, leases them, and evicts them; each has a slot. Every event (a request arrives, is cancelled or ends; a load or
/// a worker ends; a timer fires) changes slots under one lock, then calls <see cref="Schedule"/>, which takes the numbered steps:
/// <code>
///                        AcquireAsync
///                             │
///                             ▼  can never fit (4), or all waiting requests cancelled
///                          Waiting ──────────────────────────────────────────────────► removed
///                             │ fits (5)
///                             ▼  load failed, or cancelled (3, 6)
///                          Loading ──────────────────────────────────────────────────► removed *
///                             │ loaded
///                             ▼  idle for its keep-alive (3), evicted while idle (6), worker died (1)
///               ┌────────► Ready ───────────────────────────────────┐
/// its memory is │             │ unload requested (3),               │
/// not needed    │             │ evicted while busy (6)              ▼  worker ended
/// any more (1)  │             ▼                                Unloading ────────────► removed *
///               └───────── Draining ────────────────────────────────┘
///                                last lease released (3), worker died
///           * a new slot takes over the requests that still wait
///
/// 1. reopen   a draining model whose memory nothing waits for any more is ready again; a ready one whose worker died is unloaded
/// 2. admit    a ready model leases itself to all requests that wait for it
/// 3. unload   models that are idle for their keep-alive, or drained; cancel loads that nothing waits for and that are to be unloaded
/// 4. refuse   for each waiting model, the most urgent first: fail its requests if it can never fit, else
/// 5. load     start the load if it fits now, else
/// 6. evict    idle models, least recently used first; after <see cref="ResidencyOptions.DrainAfter"/> drain busy ones, longest ready first
/// </code>
/// A model is loaded once, however many requests wait for it. Cancelling a waiting request does not cancel the load, since a client that
/// gave up usually asks again; only (6) does, when another model needs the memory. No request starves: one that has waited for that time
/// comes before all younger ones, new requests for a drained model queue behind it, and every loaded model serves at least that long while
/// it has requests. Estimates decide whether a model fits; for GPUs, the load itself does (<see cref="GpuRetry"/>).
/// </summary>
internal sealed class ModelResidency : IAsyncDisposable
{
    private static readonly StringComparer NameComparer = StringComparer.OrdinalIgnoreCase;
    private readonly IReadOnlyList<IInferenceEngine> _engines;
    private readonly TimeProvider _time;
    private ResidencyOptions _options;
    private readonly DeadlineTimer _deadlineTimer;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, ModelSlot> _slots = new(NameComparer);

    // What the last load of each model needed.
    private readonly Dictionary<string, LoadNeed> _needs = new(NameComparer);
    private readonly BackgroundTasks _work = new();
    private long _requests;
    private bool _disposed;

    /// <param name="engines">Engines; the first that can load a file loads it.</param>
    /// <param name="specOf">
    /// The spec of a model by the configuration. Where it differs from that of the loaded model (<see cref="ModelSpec.LoadsLike"/>), the
    /// model is loaded again: a changed configuration takes effect with the next request.
    /// </param>
    /// <param name="time">Clock and source of timers.</param>
    /// <param name="options">Limits and keep-alive; null for the defaults.</param>
    public ModelResidency(
        IReadOnlyList<IInferenceEngine> engines, Func<ModelEntry, ModelSpec> specOf, TimeProvider time, ResidencyOptions? options = null)
    {
        _engines = engines;
        Tunings = new TuningOverrides(specOf);
        _time = time;
        _options = options ?? new ResidencyOptions();
        _deadlineTimer = new DeadlineTimer(time, () => Change(static () => { }));
    }

    /// <summary>The status of all slots, waiting and unloading ones included, in the order of the models' names.</summary>
    public IReadOnlyList<ResidentModel> Resident
    {
        get
        {
            lock (_lock)
                return [.. _slots.Values.OrderBy(slot => slot.Entry.Name, NameComparer).Select(slot => slot.ToStatus())];
        }
    }

    /// <summary>The status of one of them, whatever the case of the name; null for a model that has no slot.</summary>
    public ResidentModel? Find(string name)
    {
        lock (_lock)
            return _slots.GetValueOrDefault(name)?.ToStatus();
    }

    /// <summary>Counts of loads, evictions and crashes, for metrics.</summary>
    public ResidencyTotals Totals { get; } = new();

    /// <summary>How models are to be loaded until <see cref="UnloadAsync"/>; one that is loaded otherwise is loaded again.</summary>
    public TuningOverrides Tunings { get; }

    /// <summary>Called with each model that is about to be unloaded, whose worker still answers; it waits for the task.</summary>
    public Func<ILoadedModel, Task>? Unloading { get; set; }

    /// <summary><inheritdoc cref="ResidencyOptions.MemoryBudget"/> Loaded models stay until a load needs their memory.</summary>
    public long? MemoryBudget
    {
        get => _options.MemoryBudget;
        set => Change(() => _options = _options with { MemoryBudget = value });
    }

    /// <summary>Whether the memory budget leaves memory for a model that is loaded so, when every other that may go is gone.</summary>
    public async ValueTask<bool> FitsAsync(ModelEntry entry, LoadOverride asked, CancellationToken cancellation)
    {
        long? budget;
        lock (_lock)
            budget = BudgetBeside(entry);
        var need = await _options.Need(entry, asked.Over(Tunings.SpecOf(entry)), budget, cancellation).ConfigureAwait(false);
        return budget is null || need.Bytes <= budget;
    }

    /// <summary>How far the conversion of a model's folder is; null for a model that is a file.</summary>
    public ConversionState? ConversionOf(ModelEntry entry) =>
        _engines.Select(engine => engine.ConversionOf(entry.Path)).FirstOrDefault(state => state is not null);

    /// <summary>Keeps a model in memory whatever is configured, or no longer, until <see cref="UnloadAsync"/>.</summary>
    public void Pin(ModelEntry entry, bool pinned)
    {
        lock (_lock)
        {
            Tunings.Pin(entry.Name, pinned);
            if (_slots.TryGetValue(entry.Name, out var slot))
                slot.Pinned = pinned;
            Schedule();
        }
    }

    /// <summary>The memory that a load of the model would need now, by the estimate that decides whether it fits.</summary>
    public ValueTask<LoadNeed> NeedOfAsync(ModelEntry entry, CancellationToken cancellation) =>
        NeedOfAsync(entry, Tunings.SpecOf(entry), cancellation);

    /// <inheritdoc cref="AcquireAsync(ModelEntry, IProgress{float}, TimeSpan?, CancellationToken)"/>
    public Task<ModelLease> AcquireAsync(ModelEntry entry, IProgress<float>? progress = null, CancellationToken cancellation = default) =>
        AcquireAsync(entry, progress, keepAlive: null, cancellation);

    /// <summary>
    /// Waits until the model is in memory; it stays there until the lease is disposed. Throws <see cref="EngineException"/> with
    /// <see cref="EngineFailure.LoadFailed"/> where the model cannot be loaded or can never fit (the next call tries again), and with
    /// <see cref="EngineFailure.QueueFull"/> where more requests wait for the load than the model has slots and places in its queue.
    /// </summary>
    /// <param name="entry">The model.</param>
    /// <param name="progress">Receives the progress of the load, 0 to 1; may be null.</param>
    /// <param name="keepAlive">How long the model stays after this request; null: the default; negative: for ever. Zero unloads it.</param>
    /// <param name="cancellation">Cancels the wait, not the load.</param>
    public async Task<ModelLease> AcquireAsync(
        ModelEntry entry, IProgress<float>? progress, TimeSpan? keepAlive, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        entry.CheckLoadable();
        var spec = Tunings.SpecOf(entry);
        var need = await NeedOfAsync(entry, spec, cancellation).ConfigureAwait(false);
        ModelWaiter waiter;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (!_slots.TryGetValue(entry.Name, out var slot))
                _slots.Add(entry.Name, slot = new ModelSlot(entry, spec, need));
            else if (slot.WhyFull(spec, _time.GetUtcNow()) is { } full)
                throw full;
            waiter = new ModelWaiter(entry, spec, ++_requests)
            {
                Need = need,
                Since = _time.GetUtcNow(),
                KeepAlive = keepAlive ?? KeepAliveOf(entry),
                Progress = progress,
            };
            slot.Add(waiter);
            Schedule();
        }

        using var registration = cancellation.UnsafeRegister((_, token) => CancelWait(waiter, token), null);
        return await waiter.Lease.Task.ConfigureAwait(false);
    }

    /// <summary>
    /// Drains and unloads a model, and removes its overrides (<see cref="Tunings"/>, <see cref="Pin"/>); completes when its worker has
    /// ended. Later requests load it again. False where the model was neither loaded nor being loaded.
    /// </summary>
    public async Task<bool> UnloadAsync(string name, CancellationToken cancellation = default)
    {
        Task ended;
        lock (_lock)
        {
            Tunings.Replace(name, null);
            Tunings.Pin(name, null);
            if (!_slots.TryGetValue(name, out var slot) || !slot.UsesMemory)
                return false;
            slot.UnloadRequested = true;
            ended = slot.Ended.Task;
            Schedule();
        }

        await ended.WaitAsync(cancellation).ConfigureAwait(false);
        return true;
    }

    /// <summary>Shuts down: fails waiting requests, cancels loads, unloads all models. Completes when all workers have ended.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_lock)
        {
            if (!_disposed)
            {
                _disposed = true;
                foreach (var slot in _slots.Values.ToList())
                {
                    slot.Fail(new ObjectDisposedException(nameof(ModelResidency)));
                    if (slot.State is ResidencyState.Ready or ResidencyState.Draining)
                        Unload(slot, UnloadReason.Asked);
                    else if (slot.State == ResidencyState.Loading)
                        _work.Add(slot.LoadCancellation.CancelAsync());
                }
            }
        }

        await _deadlineTimer.DisposeAsync().ConfigureAwait(false);
        await _work.EndAsync().ConfigureAwait(false);
    }

    /// <summary>
    /// Tokens that one request may use of a model: of a load, the last one where there was one; else as it would be asked for.
    /// </summary>
    public int ContextOf(ModelEntry entry)
    {
        var spec = Tunings.SpecOf(entry);
        lock (_lock)
        {
            if (_slots.TryGetValue(entry.Name, out var slot) && slot.Model is { } model)
                return model.Facts.ContextLength;
            if (_needs.TryGetValue(entry.Name, out var last) && last.Spec.IsFitOf(spec))
                spec = last.Spec;
        }

        return spec.ContextLength > 0 ? spec.ContextLength : entry.ContextLength;
    }

    // Of a model that is loaded like that: what it needed.
    private async ValueTask<LoadNeed> NeedOfAsync(ModelEntry entry, ModelSpec spec, CancellationToken cancellation)
    {
        long? budget;
        lock (_lock)
        {
            if (_slots.TryGetValue(entry.Name, out var slot) && slot.Spec.LoadsLike(spec))
                return slot.Asked;
            budget = BudgetBeside(entry);
        }

        var need = await _options.Need(entry, spec, budget, cancellation).ConfigureAwait(false);
        lock (_lock)
            _needs[entry.Name] = need;
        return need;
    }

    // What pinned models leave of the budget, the model itself not counted.
    private long? BudgetBeside(ModelEntry entry) => _options.MemoryBudget - _slots.Values
        .Where(other => other is { UsesMemory: true, Pinned: true } && !NameComparer.Equals(other.Entry.Name, entry.Name))
        .Sum(other => other.Bytes);

    private TimeSpan KeepAliveOf(ModelEntry entry) => entry.Settings.KeepAlive ?? _options.KeepAlive;

    private void Schedule()
    {
        if (_disposed)
            return;
        var now = _time.GetUtcNow();
        var slots = _slots.Values.ToList();
        foreach (var slot in slots) // steps 1 to 3
        {
            Reopen(slot);
            Admit(slot, now);
            UnloadIfDue(slot, now);
        }

        var next = slots.Min(slot => slot.ExpiresAt);
        var plan = new EvictionPlan(_options, _slots.Values);
        foreach (var slot in plan.MostUrgentFirst(now)) // steps 4 to 6
        {
            if (plan.WhyNever(slot) is { } reason)
            {
                Refuse(slot, reason);
            }
            else if (plan.Fits(slot))
            {
                Load(slot);
            }
            else
            {
                var victims = plan.ModelsToEvictFor(slot, now, out var retryAt);
                foreach (var victim in victims)
                    Evict(victim);
                next = Earlier(next, retryAt);
                // Less urgent models wait even where they fit: small ones would keep taking the memory that this one needs.
                break;
            }
        }

        _deadlineTimer.Set(next, now);
    }

    // Step 1: reopen
    private void Reopen(ModelSlot slot)
    {
        var isNeeded = _slots.Values.Any(other => other.State == ResidencyState.Waiting);
        if (slot is { State: ResidencyState.Draining, UnloadRequested: false } && !isNeeded)
            slot.State = ResidencyState.Ready;

        // The worker can be dead before OnDied gets the lock.
        if (slot.State == ResidencyState.Ready && slot.Model!.Completion.IsCompleted)
            Unload(slot, UnloadReason.Crash);
    }

    // Step 2: admit
    private void Admit(ModelSlot slot, DateTimeOffset now)
    {
        if (slot is not { State: ResidencyState.Ready, Model: not null })
            return;
        foreach (var waiter in slot.Waiters.Where(waiter => waiter.Spec.LoadsLike(slot.Spec)).ToList())
        {
            slot.Admit(waiter, now);
            slot.Pinned = Tunings.IsPinned(waiter.Entry); // may have changed in the configuration file since the load
            waiter.Lease.SetResult(new ModelLease(waiter.Entry, slot.Load!, () => Change(() => slot.Release(_time.GetUtcNow()))));
        }

        slot.UnloadRequested |= slot.Waiters.Count > 0; // these need the model loaded with another spec
    }

    // Step 3: unload
    private void UnloadIfDue(ModelSlot slot, DateTimeOffset now)
    {
        if (slot.State == ResidencyState.Ready && slot.UnloadRequested)
            slot.State = ResidencyState.Draining;
        if (slot.Leases == 0 && (slot.State == ResidencyState.Draining || slot.ExpiresAt <= now))
        {
            Unload(slot, slot.UnloadRequested ? UnloadReason.Asked
                : slot.State == ResidencyState.Draining ? UnloadReason.Evicted : UnloadReason.Idle);
        }
        else if (slot is { State: ResidencyState.Loading, UnloadRequested: true, Waiters.Count: 0, IsLoadCancelled: false })
        {
            CancelLoad(slot);
        }
    }

    // Step 4: refuse
    private void Refuse(ModelSlot slot, string reason)
    {
        if (slot.GpuRetry is not null)
            Totals.LoadFailed(slot.Entry.Name); // not counted when it failed: there was still hope
        slot.Fail(new EngineException(EngineFailure.LoadFailed, reason) { IsLasting = true });
        _slots.Remove(slot.Entry.Name);
    }

    // Step 5: load
    private void Load(ModelSlot slot)
    {
        if (_options.MemoryBudget is { } budget)
            slot.TakePrefixes(budget, _slots.Values, _needs);
        slot.State = ResidencyState.Loading;
        slot.LoadingSince = _time.GetUtcNow();
        slot.Pinned = Tunings.IsPinned(slot.Entry);
        GpuRetry.RecordCompetitors(slot, _slots.Values);
        var spec = GpuRetry.SpecOf(slot);
        _work.Add(Task.Run(() => LoadAsync(slot, spec)));
    }

    // Step 6: evict
    private void Evict(ModelSlot victim)
    {
        if (victim.State == ResidencyState.Loading)
            CancelLoad(victim);
        else if (victim.Leases == 0)
            Unload(victim, UnloadReason.Evicted);
        else
            victim.State = ResidencyState.Draining;
    }

    private void CancelLoad(ModelSlot slot)
    {
        slot.IsLoadCancelled = true;
        _work.Add(slot.LoadCancellation.CancelAsync());
    }

    private void CancelWait(ModelWaiter waiter, CancellationToken token)
    {
        lock (_lock)
        {
            if (!_slots.TryGetValue(waiter.Entry.Name, out var slot) || !slot.Remove(waiter))
                return;
            if (slot is { State: ResidencyState.Waiting, Waiters.Count: 0 })
                _slots.Remove(slot.Entry.Name);
            waiter.Lease.SetCanceled(token);
            Schedule();
        }
    }

    private void Change(Action change)
    {
        lock (_lock)
        {
            change();
            Schedule();
        }
    }

    private async Task LoadAsync(ModelSlot slot, ModelSpec spec)
    {
        try
        {
            var engine = _engines.FirstOrDefault(engine => engine.CanLoad(spec))
                ?? throw new EngineException(EngineFailure.LoadFailed, $"no engine can load '{Path.GetFileName(spec.Path)}'");
            var identity = ModelIdentity.Read(slot.Need.Spec);
            var model = await engine.LoadAsync(spec, slot.Progress, slot.LoadCancellation.Token).ConfigureAwait(false);
            OnLoaded(slot, new ModelLoad(model, ModelIdentity.Of(model.Spec, identity)));
        }
        catch (Exception e)
        {
            OnLoadFailed(slot, spec, e);
        }
    }

    private void OnLoaded(ModelSlot slot, ModelLoad load)
    {
        var model = load.Model;
        lock (_lock)
        {
            slot.Loaded(load, _time.GetUtcNow(), KeepAliveOf(slot.Entry));
            Totals.Loaded(slot.Entry.Name, TimeSpan.FromMilliseconds(model.Facts.LoadMilliseconds));
            if (_disposed)
                Unload(slot, UnloadReason.Asked);
            Schedule();
        }

        _ = model.Completion.ContinueWith(_ =>
            OnDied(slot), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
    }

    private void OnLoadFailed(ModelSlot slot, ModelSpec tried, Exception e)
    {
        lock (_lock)
        {
            var retry = GpuRetry.Of(slot, tried, e);
            // Requests that came after the load was cancelled do not fail: the model is loaded again for them.
            if (!slot.IsLoadCancelled && retry is null)
            {
                Totals.LoadFailed(slot.Entry.Name);
                slot.Fail(e as EngineException ?? new EngineException(EngineFailure.LoadFailed, e.Message, e));
            }
            Remove(slot, retry);
        }
    }

    // The worker has ended, by itself or by Unload. Releasing leases that are still out then changes only this slot.
    private void OnDied(ModelSlot slot)
    {
        lock (_lock)
        {
            if (slot.State is ResidencyState.Ready or ResidencyState.Draining)
                Unload(slot, UnloadReason.Crash);
        }
    }

    private void Unload(ModelSlot slot, UnloadReason reason)
    {
        if (reason is UnloadReason.Idle or UnloadReason.Evicted)
            Tunings.EndLoad(slot.Entry.Name);
        slot.State = ResidencyState.Unloading;
        Totals.Unloaded(slot.Entry.Name, reason);
        _work.Add(Task.Run(async () =>
        {
            try
            {
                if (reason != UnloadReason.Crash && Unloading is { } unloading)
                    await unloading(slot.Model!).ConfigureAwait(false);
            }
            finally
            {
                await slot.Model!.DisposeAsync().ConfigureAwait(false);
                lock (_lock)
                    Remove(slot);
            }
        }));
    }

    private void Remove(ModelSlot slot, GpuRetry? retry = null)
    {
        _slots.Remove(slot.Entry.Name);
        slot.GpuCompetitors.Clear();
        slot.Ended.TrySetResult();
        if (slot.Waiters.Count > 0)
            _slots.Add(slot.Waiters[0].Entry.Name, slot.Successor(retry));
        Schedule();
    }

    private static DateTimeOffset? Earlier(DateTimeOffset? a, DateTimeOffset? b) => a is null || b < a ? b : a;
}
