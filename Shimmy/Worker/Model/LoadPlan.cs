using System.Globalization;
using Shimmy.Engine;
using Shimmy.Engine.Memory;
using Shimmy.Gguf;
using Shimmy.Worker.Native;

namespace Shimmy.Worker.Model;

/// <summary>
/// The placement of a model: devices and number of GPU layers, from its spec, the devices of this machine and, where needed, the headers of
/// its files.
/// </summary>
internal sealed record LoadPlan
{
    /// <summary>For <see cref="GpuLayers"/>: all, as llama.cpp spells it.</summary>
    public const int AllLayers = -1;

    /// <summary>The devices.</summary>
    public required DeviceChoice Choice { get; init; }

    /// <summary>Layers on GPUs, the output layer counted as one.</summary>
    public required int GpuLayers { get; init; }

    /// <summary>Layers of the model, without the output layer; 0 where the headers were not read.</summary>
    public int ModelLayers { get; init; }

    /// <summary>
    /// The tensors that the CPU backend may not bring into a layout of its own, as llama.cpp's pattern; null where it may with all.
    /// </summary>
    public string? PlainWeights { get; init; }

    /// <summary>Whether some layer is on a GPU.</summary>
    public bool UsesGpu => Choice.Handles.Count > 0 && GpuLayers != 0;

    /// <summary>Reason for the number of layers, where the worker chose it; else null.</summary>
    public string? Reason { get; init; }

    /// <summary>The GPU memory that is missing if the layers cannot be allocated.</summary>
    public GpuShortage? Shortage { get; init; }

    /// <summary>Whether the load must fail rather than use fewer layers; <see cref="LayerCount.RefusesFewer"/>.</summary>
    public bool RefusesFewer { get; init; }

    /// <summary>Chooses the placement. Throws <see cref="EngineException"/>, naming the option, for what is impossible.</summary>
    public static LoadPlan For(ModelSpec spec)
    {
        var tuning = spec.Tuning;
        var choice = DeviceChoice.For(tuning);
        Check(tuning, choice);
        var wantsExpertsApart = tuning.CpuExpertLayers is > 0;
        var sizes = wantsExpertsApart || choice.Handles.Count > 0 ? ModelSizes.Read(spec) : null;
        if (wantsExpertsApart && sizes!.Experts == 0)
        {
            throw Failure(
                $"{spec.Name} has no experts that could stay on the CPU; cpu-moe and n-cpu-moe are for mixture-of-experts models");
        }

        if (choice.Handles.Count == 0)
            return new LoadPlan { Choice = choice, GpuLayers = 0, ModelLayers = sizes?.Layers.Count ?? 0 };
        var devices = choice.Facts;
        var free = LayerFit.FreeFor(spec, [.. devices.Select(device => device.MemoryFreeBytes)]);
        var (all, layers) = (sizes!.Layers.Count + 1, LayerFit.Of(tuning, sizes, free));
        var plan = new LoadPlan
        {
            Choice = choice,
            GpuLayers = tuning.GpuLayers is null ? AllLayers : layers,
            ModelLayers = sizes.Layers.Count,
            Shortage = Lacking(LayerFit.Bytes(sizes, layers) + sizes.Compute - LayerFit.Capacity(free, tuning.TensorSplit)),
            RefusesFewer = tuning.GpuLayers is { RefusesFewer: true },
        };
        var needed =
            string.Create(CultureInfo.InvariantCulture,
                $"{layers} of {all} layers need about {ByteCount.Megabytes(LayerFit.Bytes(sizes, layers))} MB");
        if (tuning.GpuLayers is { Number: null, Halvings: var halvings })
        {
            var alone =
                LayerFit.Choose(sizes, LayerFit.FreeFor(spec, [.. devices.Select(device => device.MemoryTotalBytes)]), tuning.TensorSplit);
            if (plan.RefusesFewer && alone >> halvings > layers)
                throw Full(Lacking(LayerFit.Bytes(sizes, alone) + (free.Length * sizes.Compute) - free.Sum(LayerFit.Usable)));
            var after = halvings == 0
                ? ""
                : string.Create(CultureInfo.InvariantCulture, $"; more layers ended the worker, {halvings} times halved");
            return plan with
            {
                Reason = string.Create(CultureInfo.InvariantCulture, $"auto: {needed} "
                    + $"and {ByteCount.Megabytes(sizes.Compute)} MB to compute; {ByteCount.Megabytes(free.Sum())} MB are free, "
                    + $"{ByteCount.Megabytes(free.Sum(LayerFit.Usable))} MB of them may be used{after}"),
            };
        }
        // Some drivers allocate more than they have and abort the process later. A device that reports 0 free bytes does not know its
        // memory.
        if (Array.TrueForAll(free, bytes => bytes > 0) && LayerFit.Bytes(sizes, layers) > LayerFit.Capacity(free, tuning.TensorSplit))
            throw Full(plan.Shortage);
        return plan;

        GpuShortage Lacking(long bytes) => new([.. LayerFit.Used(tuning, devices).Select(device => device.Name)], Math.Max(1, bytes));

        EngineException Full(GpuShortage shortage) =>
            new(EngineFailure.LoadFailed,
                $"cannot load {spec.Path}: {TooLittle(LayerFit.Used(tuning, devices))}: {needed}")
            { Shortage = shortage };
    }

    /// <summary>Error text: too little memory on the devices, with the numbers and the options that need less.</summary>
    public static string TooLittle(IReadOnlyList<DeviceFacts> devices) =>
        "too little memory on "
        + string.Join(", ", devices.Select(device => $"{device.Name} ({ByteCount.Megabytes(device.MemoryFreeBytes)} MB free)"))
        + "; fewer layers on the GPU (--gpu-layers N or auto), --cpu-moe for experts, or a smaller --ctx need less";

    /// <summary>The plan with half as many GPU layers, to try after an allocation failed; null where the number is fixed or 0.</summary>
    public LoadPlan? Smaller() => Reason is null || RefusesFewer || GpuLayers <= 0 ? null : this with
    {
        GpuLayers = GpuLayers / 2,
        Reason = string.Create(CultureInfo.InvariantCulture, $"{Reason}; {GpuLayers} could not be allocated, so {GpuLayers / 2}"),
    };

    /// <summary>
    /// The plan with which recurrent layers are computed right where the CPU backend has AMX (<see cref="Backends.UsesTiles"/>): there
    /// activations have a third dimension, the sequences, but in the feed-forward part. With a GPU llama.cpp has no such layout.
    /// </summary>
    /// <param name="header">The header of the model's first file; null where it cannot be read.</param>
    public LoadPlan WithPlainWeights(GgufHeader? header)
    {
        if (!Backends.UsesTiles || Choice.Handles.Count > 0 || header?.RecurrentLayers is not { Count: > 0 } layers)
            return this;
        // Of layers in other files nothing is known.
        var numbers = header.Integer("split.count") > 1 ? "[0-9]+" : string.Join('|', layers);
        return this with { PlainWeights = $"^blk\\.({numbers})\\.(?!ffn_)" };
    }

    // Options that llama.cpp would ignore are refused.
    private static void Check(LoadTuning tuning, DeviceChoice choice)
    {
        var count = choice.Handles.Count;
        if (tuning.MainGpu is { } main)
        {
            if (tuning.SplitMode is not (SplitMode.None or SplitMode.Row))
            {
                throw Failure(
                    "main-gpu names the device that has all with split-mode none, or small results with row; with layer or tensor it has no meaning");
            }

            if (main >= count)
                throw Failure($"main-gpu {main} is not there: {Count(count)} used, counted from 0");
        }
        if (count == 0 && tuning.SplitMode is SplitMode.Row or SplitMode.Tensor)
            throw Failure($"split-mode {tuning.SplitMode.Value.ToString().ToLowerInvariant()} shares a model among GPUs, but none is used");
        if (tuning.TensorSplit.Count > 0 && tuning.SplitMode == SplitMode.None)
            throw Failure("tensor-split shares a model among devices, but with split-mode none one device has all");
        if (tuning.TensorSplit.Count > 0 && tuning.TensorSplit.Count != count)
            throw Failure($"tensor-split names the shares of {tuning.TensorSplit.Count} devices, but {Count(count)} used");
    }

    private static string Count(int devices) => devices switch { 0 => "no GPU is", 1 => "one GPU is", _ => $"{devices} GPUs are" };

    private static EngineException Failure(string message) => new(EngineFailure.LoadFailed, message);
}
