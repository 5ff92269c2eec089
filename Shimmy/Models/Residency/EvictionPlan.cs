namespace Shimmy.Models.Residency;

/// <summary>Which models fit together, which waiting one to load next, and which to evict for it. Read-only.</summary>
/// <param name="options">Limits on number and memory, and how long a request waits for a busy model.</param>
/// <param name="slots">All slots; a live view is fine, nothing is cached between calls.</param>
internal sealed class EvictionPlan(ResidencyOptions options, IReadOnlyCollection<ModelSlot> slots)
{
    /// <summary>
    /// The waiting models. Those with the most waiting requests come first, which saves loads; but a model whose oldest request has waited
    /// for <see cref="ResidencyOptions.DrainAfter"/> comes before all others.
    /// </summary>
    public IEnumerable<ModelSlot> MostUrgentFirst(DateTimeOffset now) => slots.Where(slot => slot.State == ResidencyState.Waiting)
        .OrderByDescending(slot => slot.Waiters[0].Since + options.DrainAfter <= now ? int.MaxValue : slot.Waiters.Count)
        .ThenBy(slot => slot.Waiters[0].Number);

    /// <summary>
    /// Whether the model fits beside all models that use memory now, as far as estimates and earlier loads tell. After a GPU load failed
    /// for lack of memory, its retry and any other GPU load run one at a time: the other load would take the memory that was freed for the
    /// retry.
    /// </summary>
    public bool Fits(ModelSlot slot) => FitsBeside(slot, slots.Where(other => other.UsesMemory)) && !slots.Any(other =>
        other is { State: ResidencyState.Loading, IsOnGpus: true } && slot.MayUseGpus && (slot.GpuRetry ?? other.GpuRetry) is not null);

    /// <summary>
    /// Error text, with the numbers, for a model that does not fit even if all but the pinned models are evicted, or whose load would fail
    /// in any case; null where it may fit.
    /// </summary>
    public string? WhyNever(ModelSlot slot)
    {
        if (slot.Need.WhyUnfit is { } unfit)
            return unfit;
        var pinned = slots.Where(other => other is { UsesMemory: true, Pinned: true }).ToList();
        if (FitsBeside(slot, pinned))
            return null;

        if (FitsLimits(slot, pinned))
            return slot.GpuRetry!.Refusal;

        if (options.MaxLoaded > 0 && pinned.Count >= options.MaxLoaded)
        {
            return $"model '{slot.Entry.Name}' cannot be loaded: at most {options.MaxLoaded} models may be in memory "
                + "and as many are pinned";
        }

        return slot.Need.WhyTooLarge(slot.Entry.Name, options.MemoryBudget ?? 0, pinned.Sum(other => other.Bytes));
    }

    /// <summary>
    /// The models to evict so that <paramref name="slot"/> fits: idle models, least recently used first. Once its oldest request has waited
    /// for <see cref="ResidencyOptions.DrainAfter"/>, also busy models that have been ready for as long, longest ready first. Empty where
    /// models that are already being unloaded free enough, or where evicting does not help yet.
    /// </summary>
    /// <param name="slot">The waiting model; has at least one waiting request.</param>
    /// <param name="now">The time.</param>
    /// <param name="retryAt">When the passing of time alone changes the result; null where it does not.</param>
    public IReadOnlyList<ModelSlot> ModelsToEvictFor(ModelSlot slot, DateTimeOffset now, out DateTimeOffset? retryAt)
    {
        retryAt = null;
        var leaving = slots.Where(other =>
            other.State is ResidencyState.Unloading or ResidencyState.Draining || other.IsLoadCancelled).ToHashSet();
        var evictable = slots.Where(other => other is { Pinned: false, State: ResidencyState.Ready or ResidencyState.Loading }
            && !leaving.Contains(other)).ToList();
        var idle = evictable.Where(other => other.IsIdle).OrderBy(other => other.LastUsed ?? other.ReadyAt);
        if (Choose(slot, leaving, idle) is { } chosenIdle)
            return chosenIdle;

        var mayDrainAt = slot.Waiters[0].Since + options.DrainAfter;
        if (mayDrainAt > now)
        {
            retryAt = mayDrainAt;
            return [];
        }

        var drainable = evictable.Where(other =>
            other.IsIdle || (other.State == ResidencyState.Ready && other.ReadyAt + options.DrainAfter <= now))
            .OrderByDescending(other => other.IsIdle).ThenBy(other => other.ReadyAt);
        if (Choose(slot, leaving, drainable) is { } chosenBusy)
            return chosenBusy;

        retryAt = evictable.Where(other => other.State == ResidencyState.Ready && other.ReadyAt + options.DrainAfter > now)
            .Min(other => (DateTimeOffset?)(other.ReadyAt + options.DrainAfter));
        return [];
    }

    // The first candidates that together free enough; null where even all of them do not.
    private List<ModelSlot>? Choose(ModelSlot slot, HashSet<ModelSlot> leaving, IEnumerable<ModelSlot> candidates)
    {
        var chosen = new List<ModelSlot>();
        foreach (var candidate in candidates)
        {
            // Where GPU memory alone is short, evicting a model without layers on those GPUs frees none.
            if (!FitsLimits(slot, Remaining()) || (!FitsGpus(slot, Remaining()) && slot.GpuRetry!.SharesDevicesWith(candidate)))
                chosen.Add(candidate);
        }

        return FitsBeside(slot, Remaining()) ? chosen : null;

        IEnumerable<ModelSlot> Remaining() => slots.Where(other => other.UsesMemory && !leaving.Contains(other) && !chosen.Contains(other));
    }

    private bool FitsBeside(ModelSlot slot, IEnumerable<ModelSlot> others) => FitsLimits(slot, others) && FitsGpus(slot, others);

    private bool FitsLimits(ModelSlot slot, IEnumerable<ModelSlot> others)
    {
        (var count, var bytes) = others.Aggregate((Count: 0, Bytes: 0L), (sum, other) =>
            (sum.Count + 1, sum.Bytes + other.Bytes));
        return (options.MaxLoaded <= 0 || count < options.MaxLoaded)
            && (options.MemoryBudget is not { } budget || bytes + slot.Bytes <= budget);
    }

    private static bool FitsGpus(ModelSlot slot, IEnumerable<ModelSlot> others) => slot.GpuRetry?.FitsBeside(others) ?? true;
}
