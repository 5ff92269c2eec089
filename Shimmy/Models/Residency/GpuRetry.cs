using Shimmy.Engine;

namespace Shimmy.Models.Residency;

/// <summary>
/// Beside whom a model found too little memory on GPUs. The load itself told how much is missing; the model is tried again when so much has left that it may
/// be enough, and refused where those who may leave do not have it.
/// </summary>
/// <param name="Models">Models that were on GPUs, or were being loaded, while it was tried; some may have left since.</param>
/// <param name="Shortage">What was missing, and where.</param>
/// <param name="Refusal">What the engine said.</param>
/// <param name="TakesWhatIsLeft">Whether it takes as many layers as fit: then it waits for idle models alone.</param>
/// <param name="Again">Whether it was refused before, too.</param>
internal sealed record GpuRetry(IReadOnlyList<ModelSlot> Models, GpuShortage Shortage, string Refusal, bool TakesWhatIsLeft, bool Again)
{
    /// <summary>Notes, for a model whose load begins and for those that are being loaded, who is on GPUs beside them, or may be in the end.</summary>
    public static void Gather(ModelSlot slot, IEnumerable<ModelSlot> all)
    {
        foreach (var other in all.Where(other => other != slot && other.IsOnGpus))
        {
            slot.BesideOnGpus.Add(other);
            if (other.State == ResidencyState.Loading && slot.IsOnGpus)
                other.BesideOnGpus.Add(slot);
        }
    }

    /// <summary>How to load a model: where as many layers as fit are wanted, fewer than would fit without idle models are to be refused.</summary>
    public static ModelSpec SpecOf(ModelSlot slot) => slot.Spec.Tuning.GpuLayers is { Number: null } layers
        && (slot.Crowd is { } crowd ? crowd.Models.Any(crowd.MayHelp) : slot.BesideOnGpus.Any(MayLeave))
        ? slot.Spec with { Tuning = slot.Spec.Tuning with { GpuLayers = layers with { RefusesFewer = true } } }
        : slot.Spec;

    /// <summary>Beside whom a load that failed found no room; null where it failed for another reason, or nobody of ours was there.</summary>
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
        // One that was being loaded then and has left took nobody knows how much: worth a try, once.
        var left = Models.Where(model => !there.Contains(model)).Sum(model => model.BytesOn(Shortage.Devices) ?? (Again ? 0 : Shortage.MissingBytes));
        return left >= Shortage.MissingBytes || (TakesWhatIsLeft && !Models.Any(model => there.Contains(model) && MayHelp(model)));
    }

    /// <summary>Whether the model has something on these devices.</summary>
    public bool IsCrowdedBy(ModelSlot model) => Models.Contains(model) && model.BytesOn(Shortage.Devices) is not 0;

    private bool MayHelp(ModelSlot model) => MayLeave(model) && IsCrowdedBy(model);

    private static bool MayLeave(ModelSlot slot) => !slot.Gone.Task.IsCompleted
        && slot is { State: ResidencyState.Unloading } or { State: ResidencyState.Ready, IsIdle: true, Pinned: false };
}
