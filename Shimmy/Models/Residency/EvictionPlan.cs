namespace Shimmy.Models.Residency;

/// <summary>Which models fit in memory together, and which to evict for a new one. Read-only.</summary>
/// <param name="options">The limits.</param>
/// <param name="slots">All slots.</param>
internal sealed class EvictionPlan(ResidencyOptions options, IReadOnlyCollection<ModelSlot> slots)
{
    /// <summary>
    /// Whether the model fits beside all models that take memory now, as far as is known. A model that found no room on GPUs is loaded
    /// while no other is loaded there, because the other would take the memory that was freed for it.
    /// </summary>
    public bool Fits(ModelSlot slot) => FitsBeside(slot, slots.Where(other => other.TakesRoom)) && !slots.Any(other =>
        other is { State: ResidencyState.Loading, IsOnGpus: true } && slot.MayUseGpus && (slot.Crowd ?? other.Crowd) is not null);

    /// <summary>Why the model will never fit, with the numbers; null where it may.</summary>
    public string? WhyNever(ModelSlot slot)
    {
        var pinned = slots.Where(other => other is { TakesRoom: true, Pinned: true }).ToList();
        if (FitsBeside(slot, pinned))
        {
            return null;
        }

        if (FitsLimits(slot, pinned))
        {
            return slot.Crowd!.Refusal;
        }

        if (options.MaxLoaded > 0 && pinned.Count >= options.MaxLoaded)
        {
            return $"model '{slot.Entry.Name}' cannot be loaded: at most {options.MaxLoaded} models may be in memory "
                + "and as many are pinned";
        }

        var beside = pinned.Count == 0
            ? ""
            : $", of which {Megabytes(pinned.Sum(other => other.Bytes))} MB are taken by pinned models";
        return WhyTooLarge(slot.Entry.Name, slot.Bytes, options.MemoryBudget ?? 0) + beside;
    }

    /// <summary>Error text: the model exceeds the memory budget.</summary>
    public static string WhyTooLarge(string name, long bytes, long budget) =>
        $"model '{name}' needs about {Megabytes(bytes)} MB but the memory budget is {Megabytes(budget)} MB";

    /// <summary>
    /// The models to evict so that this one fits: idle ones, least recently used first; once its oldest request has waited for
    /// <see cref="ResidencyOptions.Patience"/> also busy ones, longest ready first, of those that have served for as long. None where the
    /// models that are being unloaded suffice, or where evicting does not help yet.
    /// </summary>
    /// <param name="slot">The model that waits.</param>
    /// <param name="now">The time.</param>
    /// <param name="again">The time at which the answer may change by itself; null where it will not.</param>
    public IReadOnlyList<ModelSlot> WhoMakesRoomFor(ModelSlot slot, DateTimeOffset now, out DateTimeOffset? again)
    {
        again = null;
        var leaving = slots.Where(other =>
            other.State is ResidencyState.Unloading or ResidencyState.Draining || other.IsCalledOff).ToHashSet();
        var mayGo = slots.Where(other => other is { Pinned: false, State: ResidencyState.Ready or ResidencyState.Loading }
            && !leaving.Contains(other)).ToList();
        var idle = mayGo.Where(other => other.IsIdle).OrderBy(other => other.LastUsed ?? other.ReadyAt);
        if (Gather(slot, leaving, idle) is { } enough)
        {
            return enough;
        }

        var turn = slot.Waiters[0].Since + options.Patience;
        if (turn > now)
        {
            again = turn;
            return [];
        }

        var due = mayGo.Where(other =>
            other.IsIdle || (other.State == ResidencyState.Ready && other.ReadyAt + options.Patience <= now))
            .OrderByDescending(other => other.IsIdle).ThenBy(other => other.ReadyAt);
        if (Gather(slot, leaving, due) is { } drained)
        {
            return drained;
        }

        again = mayGo.Where(other => other.State == ResidencyState.Ready && other.ReadyAt + options.Patience > now)
            .Min(other => (DateTimeOffset?)(other.ReadyAt + options.Patience));
        return [];
    }

    // The first candidates that together make room; null where all of them do not.
    private List<ModelSlot>? Gather(ModelSlot slot, HashSet<ModelSlot> leaving, IEnumerable<ModelSlot> candidates)
    {
        var chosen = new List<ModelSlot>();
        foreach (var candidate in candidates)
        {
            // A model that is not on the GPUs frees no memory there.
            if (!FitsLimits(slot, Rest()) || (!FitsGpus(slot, Rest()) && slot.Crowd!.IsCrowdedBy(candidate)))
            {
                chosen.Add(candidate);
            }
        }

        return FitsBeside(slot, Rest()) ? chosen : null;

        IEnumerable<ModelSlot> Rest() => slots.Where(other => other.TakesRoom && !leaving.Contains(other) && !chosen.Contains(other));
    }

    private bool FitsBeside(ModelSlot slot, IEnumerable<ModelSlot> others) => FitsLimits(slot, others) && FitsGpus(slot, others);

    private bool FitsLimits(ModelSlot slot, IEnumerable<ModelSlot> others)
    {
        (var count, var bytes) = others.Aggregate((Count: 0, Bytes: 0L), (sum, other) =>
            (sum.Count + 1, sum.Bytes + other.Bytes));
        return (options.MaxLoaded <= 0 || count < options.MaxLoaded)
            && (options.MemoryBudget is not { } budget || bytes + slot.Bytes <= budget);
    }

    private static bool FitsGpus(ModelSlot slot, IEnumerable<ModelSlot> others) => slot.Crowd?.FitsBeside(others) ?? true;

    private static long Megabytes(long bytes) => (bytes + (1 << 20) - 1) >> 20;
}
