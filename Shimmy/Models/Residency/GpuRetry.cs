using Shimmy.Engine;

namespace Shimmy.Models.Residency;

/// <summary>
/// A load that failed for want of GPU memory, with the models that were on the GPUs then. The failure says how much is missing: the load is
/// tried again when models with so much memory have left, and refused where those that may leave do not hold as much.
/// </summary>
/// <param name="Models">Models that were on GPUs, or were being loaded, while it was tried; some may have left since.</param>
/// <param name="Shortage">The missing memory.</param>
/// <param name="Refusal">The engine's error text.</param>
/// <param name="TakesWhatIsLeft">Whether it takes as many layers as fit: then it waits for idle models alone.</param>
/// <param name="Again">Whether it was refused before, too.</param>
internal sealed record GpuRetry(IReadOnlyList<ModelSlot> Models, GpuShortage Shortage, string Refusal, bool TakesWhatIsLeft, bool Again)
{
    /// <summary>
    /// Records, for a model whose load begins and for those that are being loaded, the models that are or may be on GPUs beside them.
    /// </summary>
    public static void Gather(ModelSlot slot, IEnumerable<ModelSlot> all)
    {
        foreach (var other in all.Where(other => other != slot && other.IsOnGpus))
        {
            slot.BesideOnGpus.Add(other);
            if (other.State == ResidencyState.Loading && slot.IsOnGpus)
                other.BesideOnGpus.Add(slot);
        }
    }

    /// <summary>
    /// The spec to load a model with. With an automatic number of layers, it asks to fail where idle models take memory that more layers
    /// could use.
    /// </summary>
    public static ModelSpec SpecOf(ModelSlot slot) => slot.Spec.Tuning.GpuLayers is { Number: null } layers
        && (slot.Crowd is { } crowd ? crowd.Models.Any(crowd.MayHelp) : slot.BesideOnGpus.Any(MayLeave))
        ? slot.Spec with { Tuning = slot.Spec.Tuning with { GpuLayers = layers with { RefusesFewer = true } } }
        : slot.Spec;

    /// <summary>
    /// The retry of a load that failed; null where it failed for another reason than GPU memory, or no other model was on GPUs.
    /// </summary>
    /// <param name="slot">The model.</param>
    /// <param name="tried">How it was loaded.</param>
    /// <param name="failure">Why that failed.</param>
    public static GpuRetry? Of(ModelSlot slot, ModelSpec tried, Exception failure) =>
        failure is EngineException { Shortage: { } shortage } && slot.BesideOnGpus.Count > 0 && tried.Tuning.GpuLayers is not { Number: null, RefusesFewer: false }
            ? new GpuRetry([.. slot.BesideOnGpus], shortage, failure.Message, tried.Tuning.GpuLayers is { Number: null }, slot.Crowd is not null)
            : null;

    /// <summary>Whether enough has left, as far as is known, where of the models only these are still there.</summary>
    public bool FitsBeside(IEnumerable<ModelSlot> others)
    {
        var there = others.ToHashSet();
        // The memory of a model that left during its load is unknown: one try.
        var left = Models.Where(model => !there.Contains(model)).Sum(model => model.BytesOn(Shortage.Devices) ?? (Again ? 0 : Shortage.MissingBytes));
        return left >= Shortage.MissingBytes || (TakesWhatIsLeft && !Models.Any(model => there.Contains(model) && MayHelp(model)));
    }

    /// <summary>Whether the model has something on these devices.</summary>
    public bool IsCrowdedBy(ModelSlot model) => Models.Contains(model) && model.BytesOn(Shortage.Devices) is not 0;

    private bool MayHelp(ModelSlot model) => MayLeave(model) && IsCrowdedBy(model);

    private static bool MayLeave(ModelSlot slot) => !slot.Gone.Task.IsCompleted
        && slot is { State: ResidencyState.Unloading } or { State: ResidencyState.Ready, IsIdle: true, Pinned: false };
}
