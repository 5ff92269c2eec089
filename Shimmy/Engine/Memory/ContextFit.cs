using System.Numerics;
using Shimmy.Gguf;
using Shimmy.SafeTensors;

namespace Shimmy.Engine.Memory;

/// <summary>The memory that a load needs, and the spec to load with for that.</summary>
/// <param name="Spec">How the model is to be loaded: as asked, or with a shorter context where that was left open.</param>
/// <param name="Memory">The estimate for it, by parts.</param>
internal sealed record LoadNeed(ModelSpec Spec, MemoryEstimate Memory)
{
    /// <summary>Bytes of the host's memory.</summary>
    public long Bytes => Memory.Total;

    /// <summary>Why the load would fail however much memory there is, so that nothing is evicted for it; null where it may not.</summary>
    public string? WhyUnfit { get; init; }

    /// <summary>
    /// Error text for a need that exceeds the memory budget: the parts, and the options that change them. In MB of 2^20 bytes, rounded up.
    /// </summary>
    /// <param name="name">The model's name.</param>
    /// <param name="budget">Bytes of the budget.</param>
    /// <param name="pinned">Bytes of it that models take which are never evicted.</param>
    public string WhyTooLarge(string name, long budget, long pinned = 0)
    {
        var beside = pinned == 0 ? "" : $", of which {ByteCount.MegabytesUp(pinned)} MB are taken by pinned models";
        var even = Spec.ContextLength == 0 ? "" : $" of a context of {Spec.ContextLength} tokens";
        // Where the weights alone are too many, no context is short enough.
        var less = Memory.Weights + Memory.Process > budget - pinned
            ? "a smaller quantization needs less"
            : "a smaller --ctx, or --cache-type-k and --cache-type-v q8_0, need less";
        var prefixes = Memory.Prefixes == 0 ? "" : $", prompts that are kept {ByteCount.MegabytesUp(Memory.Prefixes)} MB (--prefix-memory)";
        return $"model '{name}' needs about {ByteCount.MegabytesUp(Bytes)} MB "
            + $"but the memory budget is {ByteCount.MegabytesUp(budget)} MB{beside}: "
            + $"weights {ByteCount.MegabytesUp(Memory.Weights)} MB, "
            + $"KV cache{even} {ByteCount.MegabytesUp(Memory.KeyValueCache)} MB, "
            + $"buffers {ByteCount.MegabytesUp(Memory.Compute + Memory.Process)} MB{prefixes}; {less}, and --memory-budget allows more";
    }
}

/// <summary>The memory of the GPUs that a model goes to.</summary>
/// <param name="Bytes">All of it, whatever else lies there now: the context of a model does not hang on what is loaded beside it.</param>
/// <param name="Holds">Whether the layers that are to be on GPUs fit, with the cache of a spec's context.</param>
internal sealed record DeviceCapacity(long Bytes, Func<ModelSpec, bool> Holds);

/// <summary>
/// Shortens the context of a model that was trained with more than memory holds, where nobody asked for a length: some are trained with
/// millions of tokens, which small ones could never have on the machines that they are made for.
/// </summary>
internal static class ContextFit
{
    // With less, neither tools nor a conversation have a place: then the refusal says more.
    private const int Shortest = 2048;

    // A context is not made shorter than this for the sake of GPUs: then some layers stay on the CPU, as with llama.cpp.
    private const int ShortestForDevices = 8192;

    /// <summary>
    /// The need of a load. Where it does not fit, that of a load whose slots share the cells of one context; where the spec leaves the
    /// context open and that does not fit either, that of the longest power of two that does, and of the shortest where none does. A
    /// context that GPUs hold with all layers is preferred to a longer one that leaves layers on the CPU.
    /// </summary>
    /// <param name="spec">How the model is to be loaded.</param>
    /// <param name="budget">Bytes of the host that it may need; null: any number.</param>
    /// <param name="headers">Reads the header that says how long the model's own context is.</param>
    /// <param name="estimate">Estimates a load's need on the host.</param>
    /// <param name="devices">The GPUs that it goes to; null where there are none.</param>
    public static LoadNeed Of(
        ModelSpec spec, long? budget, HeaderCache headers, Func<ModelSpec, MemoryEstimate> estimate, DeviceCapacity? devices = null)
    {
        var most = budget ?? long.MaxValue;
        var need = new LoadNeed(spec, estimate(spec));
        var fitsHost = need.Bytes <= most;
        if (fitsHost && (devices is null || spec.ContextLength > 0))
            return need;
        var trained = spec.ContextLength > 0 ? spec.ContextLength : TrainedContext(spec, headers);
        var onDevices = spec.ContextLength == 0 && trained > ShortestForDevices
            && devices?.Holds(spec with { ContextLength = ShortestForDevices, Cells = ShortestForDevices }) == true;
        need = Lean(need, trained);
        if (spec.ContextLength > 0 || Fits(need))
            return need;
        for (var context = 1L << BitOperations.Log2((ulong)Math.Max(1, trained - 1)); context >= Shortest; context /= 2)
        {
            need = Lean(For((int)context), context);
            if (Fits(need))
                break;
        }

        return need;

        bool Fits(LoadNeed one) => one.Bytes <= most && (!onDevices || devices!.Holds(one.Spec));

        // Cells beyond one context are a convenience for slots.
        LoadNeed Lean(LoadNeed full, long context)
        {
            if (Fits(full) || full.Spec.Cells > 0 || full.Spec.Parallel < 2 || context is <= 0 or > int.MaxValue)
                return full;
            var lean = full.Spec with { Cells = (int)context };
            return new LoadNeed(lean, estimate(lean)) is var less && (less.Bytes < full.Bytes || onDevices) ? less : full;
        }

        LoadNeed For(int context)
        {
            var why = fitsHost
                ? $"with which not all layers fit into {ByteCount.MegabytesUp(devices!.Bytes)} MB of GPU memory; --ctx sets another, "
                    + "--gpu-layers leaves layers on the CPU, --cache-type-k and -v let more fit"
                : $"which need about {ByteCount.MegabytesUp(estimate(spec).Total)} MB of {ByteCount.MegabytesUp(most)} MB; "
                    + "--ctx sets another, --memory-budget and --cache-type-k and -v let more fit";
            var shorter = spec with
            {
                ContextLength = context,
                ContextReason = $"{context} tokens instead of the {trained} that it was trained with, {why}",
            };
            return new LoadNeed(shorter, estimate(shorter));
        }
    }

    private static long TrainedContext(ModelSpec spec, HeaderCache headers)
    {
        try
        {
            return Math.Clamp(headers.Read(spec.Path).OfArchitecture("context_length")?.Integer ?? 0, 0, int.MaxValue);
        }
        catch (Exception e) when (e is GgufException or IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }
}

/// <summary>Headers of files, each read once for one decision.</summary>
internal sealed class HeaderCache
{
    private readonly Dictionary<string, GgufHeader> _read = new(StringComparer.Ordinal);

    /// <summary>The header of a file or folder. Throws as <see cref="FolderConversion.HeaderOf"/> does.</summary>
    public GgufHeader Read(string path) => _read.TryGetValue(path, out var header) ? header : _read[path] = FolderConversion.HeaderOf(path);
}
