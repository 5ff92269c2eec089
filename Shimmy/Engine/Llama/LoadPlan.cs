using System.Globalization;
using Shimmy.Engine.Llama.Native;

namespace Shimmy.Engine.Llama;

/// <summary>Where a model goes: decided from its spec, the devices that are there and, where that matters, its files' headers.</summary>
internal sealed record LoadPlan
{
    /// <summary>For <see cref="GpuLayers"/>: all, as llama.cpp spells it.</summary>
    public const int AllLayers = -1;

    /// <summary>The devices.</summary>
    public required DeviceChoice Choice { get; init; }

    /// <summary>Layers on GPUs, the output layer counted as one.</summary>
    public required int GpuLayers { get; init; }

    /// <summary>Layers that the model has, without the output layer; 0 where nobody needed to know.</summary>
    public int ModelLayers { get; init; }

    /// <summary>Why so many layers, where the worker chose; else null.</summary>
    public string? Reason { get; init; }

    /// <summary>Decides. Throws <see cref="EngineException"/> for what cannot be done, by the name of the option.</summary>
    public static LoadPlan For(ModelSpec spec)
    {
        var tuning = spec.Tuning;
        var choice = DeviceChoice.For(tuning);
        Check(tuning, choice);
        var wantsExpertsApart = tuning.CpuExpertLayers is > 0;
        var fits = choice.Handles.Count > 0 && tuning.GpuLayers is { Number: null };
        var sizes = wantsExpertsApart || fits ? ModelSizes.Read(spec) : null;
        if (wantsExpertsApart && sizes!.Experts == 0)
            throw Failure($"{spec.Name} has no experts that could stay on the CPU; cpu-moe and n-cpu-moe are for mixture-of-experts models");
        var plan = new LoadPlan { Choice = choice, GpuLayers = choice.Handles.Count == 0 ? 0 : tuning.GpuLayers?.Number ?? AllLayers, ModelLayers = sizes?.Layers.Count ?? 0 };
        if (!fits)
            return plan;
        var free = choice.Facts.Select(device => device.MemoryFreeBytes).ToList();
        var layers = LayerFit.Choose(sizes!, free);
        return plan with
        {
            GpuLayers = layers,
            Reason = string.Create(CultureInfo.InvariantCulture, $"auto: {layers} of {sizes!.Layers.Count + 1} layers need about {Megabytes(LayerFit.Bytes(sizes, layers))} MB "
                + $"and {Megabytes(sizes.Compute)} MB to compute; {Megabytes(free.Sum())} MB are free, {Megabytes(free.Sum(LayerFit.Usable))} MB of them may be used"),
        };
    }

    /// <summary>What to try after an allocation failed; null where the number of layers was not left to us, or none is on a GPU.</summary>
    public LoadPlan? Smaller() => Reason is null || GpuLayers <= 0 ? null : this with
    {
        GpuLayers = GpuLayers / 2,
        Reason = string.Create(CultureInfo.InvariantCulture, $"{Reason}; {GpuLayers} could not be allocated, so {GpuLayers / 2}"),
    };

    // What would be ignored is refused.
    private static void Check(LoadTuning tuning, DeviceChoice choice)
    {
        var count = choice.Handles.Count;
        if (tuning.MainGpu is { } main)
        {
            if (tuning.SplitMode is not (SplitMode.None or SplitMode.Row))
                throw Failure("main-gpu names the device that has all with split-mode none, or small results with row; with layer or tensor it has no meaning");
            if (main >= count)
                throw Failure($"main-gpu {main} is not there: {Count(count)} used, counted from 0");
        }
        if (tuning.TensorSplit.Count > 0 && tuning.SplitMode == SplitMode.None)
            throw Failure("tensor-split shares a model among devices, but with split-mode none one device has all");
        if (tuning.TensorSplit.Count > 0 && tuning.TensorSplit.Count != count)
            throw Failure($"tensor-split names the shares of {tuning.TensorSplit.Count} devices, but {Count(count)} used");
    }

    private static string Count(int devices) => devices switch { 0 => "no GPU is", 1 => "one GPU is", _ => $"{devices} GPUs are" };

    private static long Megabytes(long bytes) => bytes >> 20;

    private static EngineException Failure(string message) => new(EngineFailure.LoadFailed, message);
}
