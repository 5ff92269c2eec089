using Shimmy.Engine;

namespace Shimmy.Models.Residency;

/// <summary>
/// Who filled the GPUs when a model was refused for want of room there. How much each takes, and how much is free, is for the worker to find out at each
/// load; so the model is tried again once one of these has left, and so on until it fits or nobody is left who could leave.
/// </summary>
/// <param name="Models">Models that had layers on GPUs, or were being loaded, beside it; some may have left meanwhile.</param>
/// <param name="Refusal">What the engine said.</param>
internal sealed record GpuCrowd(IReadOnlyList<ModelSlot> Models, string Refusal)
{
    /// <summary>Notes, for a model whose load begins and for those that are being loaded, who has layers on GPUs beside them, or may get some.</summary>
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
    public static ModelSpec SpecOf(ModelSlot slot) => slot.Spec.Tuning.GpuLayers is { Number: null } layers && slot.BesideOnGpus.Any(MayLeave)
        ? slot.Spec with { Tuning = slot.Spec.Tuning with { GpuLayers = layers with { RefusesFewer = true } } }
        : slot.Spec;

    /// <summary>Beside whom a load that failed found no room; null where it failed for another reason, or nobody of ours was there.</summary>
    public static GpuCrowd? Of(ModelSlot slot, Exception failure)
    {
        if (failure is not EngineException { GpusAreFull: true })
            return null;
        // What takes as many layers as fit waits for nobody who is busy.
        if (slot.Spec.Tuning.GpuLayers is { Number: null })
            return new GpuCrowd([.. slot.BesideOnGpus.Where(MayLeave)], failure.Message);
        return slot.BesideOnGpus.Count > 0 ? new GpuCrowd([.. slot.BesideOnGpus], failure.Message) : null;
    }

    private static bool MayLeave(ModelSlot slot) => slot is { State: ResidencyState.Ready, IsIdle: true, Pinned: false };
}
