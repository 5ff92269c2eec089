using Shimmy.Engine;

namespace Shimmy.Models.Residency;

/// <summary>
/// The models in memory: loads and unloads them for the requests that wait. Every event (a request, the end of one, of a load, of a worker, a timer) changes the
/// state under one lock and then calls <see cref="Schedule"/>, which decides, in this order:
/// <code>
/// 1. admit    a ready model takes all requests that wait for it
/// 2. end      a model that is idle for too long, or was asked to go, is unloaded when its last request has ended
/// 3. load     waiting models, the most wanted first: start the load where there is room, else
///             make room: unload idle models, least recently used first; where even that is not enough and the wait is longer
///             than <see cref="ResidencyOptions.Patience"/>, close the model that was ready longest to new requests (it drains);
///             whether there is room on GPUs the engine says at the load, and is asked again when one has left (<see cref="GpuRetry"/>)
/// </code>
/// A model is loaded once however many wait for it. A waiting request that is cancelled leaves alone; the load goes on without
/// it, since a client that gave up usually asks again, unless its room is needed for another. Nobody starves: a request that
/// has waited for <see cref="ResidencyOptions.Patience"/> comes before all younger ones, a drained model's new requests queue
/// behind it, and every model that was loaded serves at least that long where it has requests.
/// </summary>
internal sealed class ModelResidency : IAsyncDisposable
{
    private readonly IReadOnlyList<IInferenceEngine> _engines;
    private readonly TuningOverrides _tunings;
    private readonly TimeProvider _time;
    private ResidencyOptions _options;
    private readonly DeadlineTimer _deadlineTimer;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, ModelSlot> _slots = new(StringComparer.OrdinalIgnoreCase);
    private readonly BackgroundTasks _work = new();
    private long _requests;
    private bool _disposed;

    /// <param name="engines">Engines, the first that can load a file wins.</param>
    /// <param name="specOf">
    /// How a model is to be loaded. Where two results for one name differ (<see cref="ModelSpec.LoadsLike"/>), the model is loaded again: a
    /// changed configuration takes effect with the next request.
    /// </param>
    /// <param name="time">Clock and timers.</param>
    /// <param name="options">Limits; null for the defaults.</param>
    public ModelResidency(
        IReadOnlyList<IInferenceEngine> engines, Func<ModelEntry, ModelSpec> specOf, TimeProvider time,
        ResidencyOptions? options = null)
    {
        _engines = engines;
        _tunings = new TuningOverrides(specOf);
        _time = time;
        _options = options ?? new ResidencyOptions();
        _deadlineTimer = new DeadlineTimer(time, OnTimer);
    }

    /// <summary>The models in memory, or on their way in or out, by name.</summary>
    public IReadOnlyList<ResidentModel> Resident
    {
        get
        {
            lock (_lock)
            {
                var models = _slots.Values.Select(slot => slot.ToStatus());
                return [.. models.OrderBy(model => model.Entry.Name, StringComparer.OrdinalIgnoreCase)];
            }
        }
    }

    /// <summary>Counters of loads and unloads.</summary>
    public ResidencyTotals Totals { get; } = new();

    /// <summary>Sets <see cref="ResidencyOptions.MemoryBudget"/> from now on. What is in memory stays until its room is wanted.</summary>
    public void SetMemoryBudget(long? bytes)
    {
        lock (_lock)
        {
            _options = _options with { MemoryBudget = bytes };
            Schedule();
        }
    }

    /// <summary>
    /// Sets a tuning over a model's configuration, until the model is unloaded by hand. If the model is loaded with another tuning, the
    /// next request reloads it.
    /// </summary>
    /// <param name="name">The model.</param>
    /// <param name="tuning">What to load it with; null goes back to its configuration.</param>
    /// <returns>What held until now; null where nothing was asked for.</returns>
    public LoadTuning? Retune(string name, LoadTuning? tuning) => _tunings.Replace(name, tuning);

    /// <inheritdoc cref="AcquireAsync(ModelEntry, IProgress{float}, TimeSpan?, CancellationToken)"/>
    public Task<ModelLease> AcquireAsync(ModelEntry entry, IProgress<float>? progress = null,
        CancellationToken cancellation = default) =>
        AcquireAsync(entry, progress, keepAlive: null, cancellation);

    /// <summary>
    /// Waits until the model is in memory and keeps it there until the lease is disposed. Throws <see cref="EngineException"/>
    /// with
    /// <see cref="EngineFailure.LoadFailed"/> where it cannot be loaded or can never fit; the next call tries again; and with
    /// <see cref="EngineFailure.QueueFull"/> where as many wait for its load as it will take.
    /// </summary>
    /// <param name="entry">The model.</param>
    /// <param name="progress">Hears the share of the load that is done, 0 to 1; null where nobody listens.</param>
    /// <param name="keepAlive">How long the model stays after this request; null for its own; negative for ever; zero not at
    /// all.</param>
    /// <param name="cancellation">Ends the wait.</param>
    public async Task<ModelLease> AcquireAsync(
        ModelEntry entry, IProgress<float>? progress, TimeSpan? keepAlive, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        if (entry.WhyUnloadable is { } reason)
        {
            throw new EngineException(EngineFailure.LoadFailed, $"model '{entry.Name}' cannot be loaded: {reason}");
        }

        var spec = _tunings.SpecOf(entry);
        var bytes = NeedsEstimate(entry, spec) ? await _options.Estimate(entry, spec, cancellation).ConfigureAwait(false) : 0;
        ModelWaiter waiter;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (!_slots.TryGetValue(entry.Name, out var slot))
            {
                _slots.Add(entry.Name, slot = new ModelSlot(entry, spec, bytes));
            }
            else if (slot.WhyFull(spec, _time.GetUtcNow()) is { } full)
            {
                throw full;
            }

            waiter = new ModelWaiter(entry, spec, ++_requests)
            {
                Bytes = bytes,
                Since = _time.GetUtcNow(),
                KeepAlive = keepAlive ?? KeepAliveOf(entry),
                Progress = progress,
            };
            slot.Waiters.Add(waiter);
            slot.Progress.Add(progress);
            Schedule();
        }

        using (cancellation.UnsafeRegister(static (state, token) =>
        {
            var (residency, waiter) = ((ModelResidency, ModelWaiter))state!;
            residency.Abandon(waiter, token);
        }, (this, waiter)))
        {
            return await waiter.Lease.Task.ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Unloads a model once the requests it has begun are over; what asks for it later loads it anew. False where it was not in
    /// memory.
    /// </summary>
    public async Task<bool> UnloadAsync(string name, CancellationToken cancellation = default)
    {
        Task gone;
        lock (_lock)
        {
            _tunings.Replace(name, null);
            if (!_slots.TryGetValue(name, out var slot) || !slot.TakesRoom)
            {
                return false;
            }

            slot.EndAsked = true;
            gone = slot.Gone.Task;
            Schedule();
        }

        await gone.WaitAsync(cancellation).ConfigureAwait(false);
        return true;
    }

    /// <summary>Ends everything: what waits fails, loads are cancelled, busy models end what runs on them.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_lock)
        {
            if (!_disposed)
            {
                _disposed = true;
                foreach (var slot in _slots.Values.ToList())
                {
                    Fail(slot, new ObjectDisposedException(nameof(ModelResidency)));
                    if (slot.State is ResidencyState.Ready or ResidencyState.Draining)
                    {
                        Unload(slot, UnloadReason.Asked);
                    }
                    else if (slot.State == ResidencyState.Loading)
                    {
                        _work.Add(slot.LoadCancellation.CancelAsync());
                    }
                }
            }
        }

        await _deadlineTimer.DisposeAsync().ConfigureAwait(false);
        await _work.EndAsync().ConfigureAwait(false);
    }

    private bool NeedsEstimate(ModelEntry entry, ModelSpec spec)
    {
        lock (_lock)
        {
            return !_slots.TryGetValue(entry.Name, out var slot) || !slot.Spec.LoadsLike(spec);
        }
    }

    private TimeSpan KeepAliveOf(ModelEntry entry) => entry.Settings.KeepAlive ?? _options.KeepAlive;

    private void Schedule()
    {
        if (_disposed)
        {
            return;
        }

        var now = _time.GetUtcNow();
        var slots = _slots.Values.ToList();
        foreach (var slot in slots)
        {
            Admit(slot, now);
            EndIfDue(slot, now);
        }

        var next = slots.Min(slot => slot.ExpiresAt);
        var waiting = slots.Where(slot => slot.State == ResidencyState.Waiting)
            .OrderByDescending(slot => Claim(slot, now)).ThenBy(slot => slot.Waiters[0].Number);
        foreach (var slot in waiting)
        {
            if (new EvictionPlan(_options, _slots.Values).WhyNever(slot) is { } reason)
            {
                if (slot.Crowd is not null)
                {
                    Totals.LoadFailed(slot.Entry.Name); // it was tried
                }

                Fail(slot, new EngineException(EngineFailure.LoadFailed, reason));
                _slots.Remove(slot.Entry.Name);
            }
            else if (new EvictionPlan(_options, _slots.Values).Fits(slot))
            {
                Load(slot);
            }
            else
            {
                // Later models wait behind this one, even where they fit, so that the memory freed for it is not taken.
                next = Earlier(next, MakeRoom(slot, now));
                break;
            }
        }

        _deadlineTimer.Set(next, now);
    }

    // The model that most requests wait for comes first, which saves loads; a model whose request has waited for Patience comes
    // before all.
    private int Claim(ModelSlot slot, DateTimeOffset now) =>
        slot.Waiters[0].Since + _options.Patience <= now ? int.MaxValue : slot.Waiters.Count;

    private void Admit(ModelSlot slot, DateTimeOffset now)
    {
        if (slot.State == ResidencyState.Draining
            && !slot.EndAsked
            && !_slots.Values.Any(other => other.State == ResidencyState.Waiting))
        {
            slot.State = ResidencyState.Ready; // the model that it was drained for was cancelled
        }

        if (slot.State != ResidencyState.Ready)
        {
            return;
        }

        if (slot.Model!.Completion.IsCompleted)
        {
            Unload(slot, UnloadReason.Crash); // its worker died a moment ago
            return;
        }

        foreach (var waiter in slot.Waiters.Where(waiter => waiter.Spec.LoadsLike(slot.Spec)).ToList())
        {
            slot.Waiters.Remove(waiter);
            slot.Progress.Remove(waiter.Progress);
            slot.Leases++;
            slot.LastUsed = now;
            slot.KeepAlive = waiter.KeepAlive;
            slot.Pinned = waiter.Entry.Settings.Pinned; // the config file may have changed meanwhile
            waiter.Lease.SetResult(new ModelLease(waiter.Entry, slot.Model, () => Release(slot)));
        }

        slot.EndAsked |= slot.Waiters.Count > 0; // they ask for another spec
    }

    private void EndIfDue(ModelSlot slot, DateTimeOffset now)
    {
        if (slot.State == ResidencyState.Ready && slot.EndAsked)
        {
            slot.State = ResidencyState.Draining;
        }

        if (slot.Leases == 0 && (slot.State == ResidencyState.Draining || slot.ExpiresAt <= now))
        {
            Unload(slot, slot.EndAsked ? UnloadReason.Asked : slot.State == ResidencyState.Draining ? UnloadReason.Room : UnloadReason.Idle);
        }
        else if (slot.State == ResidencyState.Loading && slot.EndAsked && slot.Waiters.Count == 0 && !slot.IsCalledOff)
        {
            slot.IsCalledOff = true;
            _work.Add(slot.LoadCancellation.CancelAsync());
        }
    }

    private void Release(ModelSlot slot)
    {
        lock (_lock)
        {
            slot.Leases--;
            slot.LastUsed = _time.GetUtcNow();
            Schedule();
        }
    }

    private void Abandon(ModelWaiter waiter, CancellationToken token)
    {
        lock (_lock)
        {
            if (_slots.TryGetValue(waiter.Entry.Name, out var slot) && slot.Waiters.Remove(waiter))
            {
                slot.Progress.Remove(waiter.Progress);
                if (slot is { State: ResidencyState.Waiting, Waiters.Count: 0 })
                {
                    _slots.Remove(slot.Entry.Name);
                }

                waiter.Lease.SetCanceled(token);
                Schedule();
            }
        }
    }

    private void OnTimer()
    {
        lock (_lock)
        {
            Schedule();
        }
    }

    // Room

    // Returns when it is worth trying again if nothing else happens before.
    private DateTimeOffset? MakeRoom(ModelSlot slot, DateTimeOffset now)
    {
        var plan = new EvictionPlan(_options, _slots.Values);
        var victims = plan.WhoMakesRoomFor(slot, now, out var again);
        foreach (var victim in victims)
        {
            End(victim);
        }

        return again;
    }

    private void End(ModelSlot victim)
    {
        if (victim.State == ResidencyState.Loading)
        {
            victim.IsCalledOff = true;
            _work.Add(victim.LoadCancellation.CancelAsync());
        }
        else if (victim.Leases == 0)
        {
            Unload(victim, UnloadReason.Room);
        }
        else
        {
            victim.State = ResidencyState.Draining;
        }
    }

    // Loading and unloading

    private void Load(ModelSlot slot)
    {
        slot.State = ResidencyState.Loading;
        slot.LoadingSince = _time.GetUtcNow();
        slot.Pinned = slot.Entry.Settings.Pinned;
        GpuRetry.Gather(slot, _slots.Values);
        var spec = GpuRetry.SpecOf(slot);
        _work.Add(Task.Run(() => LoadAsync(slot, spec)));
    }

    private async Task LoadAsync(ModelSlot slot, ModelSpec spec)
    {
        try
        {
            var engine = _engines.FirstOrDefault(engine => engine.CanLoad(spec))
                ?? throw new EngineException(EngineFailure.LoadFailed, $"no engine runs '{Path.GetFileName(spec.Path)}'");
            var identity = ModelIdentity.Read(slot.Spec);
            var model = await engine.LoadAsync(spec, slot.Progress, slot.LoadCancellation.Token).ConfigureAwait(false);
            ModelIdentity.Keep(model, identity);
            OnLoaded(slot, model);
        }
        catch (Exception e)
        {
            OnLoadFailed(slot, spec, e);
        }
    }

    private void OnLoaded(ModelSlot slot, ILoadedModel model)
    {
        lock (_lock)
        {
            slot.Model = model;
            slot.State = ResidencyState.Ready;
            slot.IsCalledOff = false; // too late
            slot.BesideOnGpus.Clear();
            slot.Crowd = null;
            slot.ReadyAt = _time.GetUtcNow();
            slot.Bytes = Math.Max(slot.Bytes, model.Facts.ResidentBytes);
            slot.KeepAlive = slot.Waiters.Count > 0 ? slot.Waiters[^1].KeepAlive : KeepAliveOf(slot.Entry);
            Totals.Loaded(slot.Entry.Name, TimeSpan.FromMilliseconds(model.Facts.LoadMilliseconds));
            if (_disposed)
            {
                Unload(slot, UnloadReason.Asked);
            }

            Schedule();
        }

        _ = model.Completion.ContinueWith(_ =>
            OnDied(slot), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
    }

    private void OnLoadFailed(ModelSlot slot, ModelSpec tried, Exception e)
    {
        lock (_lock)
        {
            var crowd = GpuRetry.Of(slot, tried, e);
            // A load that was cancelled is no failure: requests that came in the meantime load the model again.
            if (!slot.IsCalledOff && crowd is null)
            {
                Totals.LoadFailed(slot.Entry.Name);
                Fail(slot, e as EngineException ?? new EngineException(EngineFailure.LoadFailed, e.Message, e));
            }

            Leave(slot, crowd);
        }
    }

    // The worker has exited, by disposal or by a crash. Leases that are still out are given back to this slot and change nothing.
    private void OnDied(ModelSlot slot)
    {
        lock (_lock)
        {
            if (slot.State is ResidencyState.Ready or ResidencyState.Draining)
            {
                Unload(slot, UnloadReason.Crash);
            }
        }
    }

    private void Unload(ModelSlot slot, UnloadReason reason)
    {
        slot.State = ResidencyState.Unloading;
        Totals.Unloaded(slot.Entry.Name, reason);
        _work.Add(Task.Run(async () =>
        {
            try
            {
                await slot.Model!.DisposeAsync().ConfigureAwait(false);
            }
            finally
            {
                lock (_lock)
                {
                    Leave(slot);
                }
            }
        }));
    }

    // Requests that still wait for the model get a new slot.
    private void Leave(ModelSlot slot, GpuRetry? crowd = null)
    {
        _slots.Remove(slot.Entry.Name);
        slot.BesideOnGpus.Clear();
        slot.Gone.TrySetResult();
        if (slot.Waiters.Count > 0)
        {
            var first = slot.Waiters[0];
            var next = new ModelSlot(first.Entry, first.Spec, first.Bytes > 0 ? first.Bytes : slot.Bytes) { Crowd = first.Spec.LoadsLike(slot.Spec) ? crowd : null };
            next.Waiters.AddRange(slot.Waiters);
            next.Waiters.ForEach(waiter => next.Progress.Add(waiter.Progress));
            _slots.Add(first.Entry.Name, next);
        }

        Schedule();
    }

    private static void Fail(ModelSlot slot, Exception e)
    {
        slot.Waiters.ForEach(waiter => waiter.Lease.SetException(e));
        slot.Waiters.Clear();
    }

    private static DateTimeOffset? Earlier(DateTimeOffset? a, DateTimeOffset? b) => a is null || b < a ? b : a;
}
