using Shimmy.Engine;

namespace Shimmy.Models.Residency;

/// <summary>
/// A load that failed for lack of GPU memory, and when to retry it. Estimates of GPU memory are too coarse to plan with, so the load itself
/// reports how many bytes are missing. It is retried once models that have been unloaded since held at least that much, and refused where
/// evicting cannot free it.
/// </summary>
/// <param name="Models">Models that had layers on GPUs, or were being loaded, during the failed load; some may be unloaded since.</param>
/// <param name="Shortage">Bytes that were missing, and the devices.</param>
/// <param name="Refusal">The engine's error text, for the client if the retry is given up.</param>
/// <param name="OffloadsWhatFits">Number of GPU layers is automatic: the load waits for idle models only, then
/// offloads as many layers as fit.</param>
/// <param name="IsRepeated">The load before this one failed in the same way.</param>
internal sealed record GpuRetry(
    IReadOnlyList<ModelSlot> Models, GpuShortage Shortage, string Refusal, bool OffloadsWhatFits, bool IsRepeated)
{
    /// <summary>
    /// Records in <see cref="ModelSlot.GpuCompetitors"/> which models compete with a beginning load for GPU memory, and adds it to the
    /// competitors of the loads in progress.
    /// </summary>
    public static void RecordCompetitors(ModelSlot slot, IEnumerable<ModelSlot> all)
    {
        foreach (var other in all.Where(other => other != slot && other.IsOnGpus))
        {
            slot.GpuCompetitors.Add(other);
            if (other.State == ResidencyState.Loading && slot.IsOnGpus)
                other.GpuCompetitors.Add(slot);
        }
    }

    /// <summary>
    /// The spec to load a model with. With an automatic number of GPU layers, and models that could be evicted, the engine is asked to
    /// refuse a smaller number than would fit on empty GPUs; otherwise idle models would keep the new one on the CPU.
    /// </summary>
    public static ModelSpec SpecOf(ModelSlot slot) => slot.Need.Spec.Tuning.GpuLayers is { Number: null } layers
        && (slot.GpuRetry is { } retry ? retry.Models.Any(retry.CanFreeMemory) : slot.GpuCompetitors.Any(IsLeavingOrIdle))
        ? slot.Need.Spec with { Tuning = slot.Need.Spec.Tuning with { GpuLayers = layers with { RefusesFewer = true } } }
        : slot.Need.Spec;

    /// <summary>
    /// The retry after a failed load; null where it failed for another reason, or no other model of this server used the GPUs.
    /// </summary>
    /// <param name="slot">The model whose load failed.</param>
    /// <param name="tried">The spec of that load, from <see cref="SpecOf"/>.</param>
    /// <param name="failure">The exception that ended it.</param>
    public static GpuRetry? Of(ModelSlot slot, ModelSpec tried, Exception failure) =>
        failure is EngineException { Shortage: { } shortage } && slot.GpuCompetitors.Count > 0
            && tried.Tuning.GpuLayers is not { Number: null, RefusesFewer: false }
            ? new GpuRetry([.. slot.GpuCompetitors], shortage, failure.Message,
                OffloadsWhatFits: tried.Tuning.GpuLayers is { Number: null }, IsRepeated: slot.GpuRetry is not null)
            : null;

    /// <summary>
    /// Whether the load is worth a retry if, of <see cref="Models"/>, only <paramref name="others"/> are still in memory.
    /// </summary>
    public bool FitsBeside(IEnumerable<ModelSlot> others)
    {
        var present = others.ToHashSet();
        // A model that never finished loading has no measured size: assume enough for one retry, then nothing.
        var freed = Models.Where(model => !present.Contains(model))
            .Sum(model => model.BytesOn(Shortage.Devices) ?? (IsRepeated ? 0 : Shortage.MissingBytes));
        return freed >= Shortage.MissingBytes
            || (OffloadsWhatFits && !Models.Any(model => present.Contains(model) && CanFreeMemory(model)));
    }

    /// <summary>Whether evicting the model can free memory on the devices that were short.</summary>
    public bool SharesDevicesWith(ModelSlot model) => Models.Contains(model) && model.BytesOn(Shortage.Devices) is not 0;

    private bool CanFreeMemory(ModelSlot model) => IsLeavingOrIdle(model) && SharesDevicesWith(model);

    private static bool IsLeavingOrIdle(ModelSlot slot) => !slot.Ended.Task.IsCompleted
        && slot is { State: ResidencyState.Unloading } or { State: ResidencyState.Ready, IsIdle: true, Pinned: false };
}
