using Shimmy.Engine.Runtimes;

namespace Shimmy.Engine.Memory;

/// <summary>
/// Estimate of the host memory that a model needs, for the memory budget: all of the model, or what does not go to GPUs. Whether GPUs have
/// enough free memory is checked by the worker at the load (<c>LoadPlan</c>).
/// </summary>
/// <param name="backends">The GPUs of this machine.</param>
internal sealed class HostMemory(BackendProbe backends)
{
    /// <summary>
    /// Bytes that loading the model will need on the host. Asks for GPUs only where there is a plug-in that could use one.
    /// </summary>
    /// <param name="spec">How it is to be loaded.</param>
    /// <param name="sizeBytes">Bytes of the model's file, all shards together.</param>
    /// <param name="cancellation">Ends the wait for the report.</param>
    public async ValueTask<long> NeedOfAsync(ModelSpec spec, long sizeBytes, CancellationToken cancellation)
    {
        if (spec.Tuning is { Backend: GpuBackend.Cpu } or { GpuLayers.Number: 0 } || !UsesGpus(spec))
            return MemoryEstimate.Of(spec, sizeBytes).Total;
        try
        {
            return Of(spec, sizeBytes, GpusOf(spec.Tuning, await backends.GetAsync(cancellation).ConfigureAwait(false)));
        }
        catch (EngineException)
        {
            // The load will fail with the reason; here only a number is wanted.
            return MemoryEstimate.Of(spec, sizeBytes).Total;
        }
    }

    /// <summary>The estimate for given GPUs. Throws <see cref="EngineException"/> where a file cannot be read.</summary>
    /// <param name="spec">How it is to be loaded.</param>
    /// <param name="sizeBytes">Bytes of the model's file, all shards together.</param>
    /// <param name="free">Free bytes of each GPU; none where there is none.</param>
    public static long Of(ModelSpec spec, long sizeBytes, IReadOnlyList<long> free)
    {
        if (free.Count == 0)
            return MemoryEstimate.Of(spec, sizeBytes).Total;
        var bytes = OfOne(spec with { Draft = null }, sizeBytes, LayerFit.FreeFor(spec, free));
        if (spec.OfDraft() is not { } draft)
            return bytes;
        // The draft model shares the worker's process.
        var draftBytes = new FileInfo(draft.Path) is { Exists: true } file ? file.Length : 0;
        return bytes + OfOne(draft, draftBytes, LayerFit.FreeFor(draft, free)) - MemoryEstimate.Of(draft, draftBytes).Process;
    }

    private static long OfOne(ModelSpec spec, long sizeBytes, IReadOnlyList<long> free)
    {
        var all = MemoryEstimate.Of(spec, sizeBytes);
        var sizes = ModelSizes.Read(spec);
        var layers = LayerFit.Of(spec.Tuning, sizes, free);
        if (layers == 0)
            return all.Total;
        // The output layer goes first; it has no cache.
        var caches = (layers - 1) * sizes.CacheOfLayer;
        var moved = LayerFit.Bytes(sizes, layers) - caches - sizes.OutputCopy;
        // With all layers on GPUs the host only looks up embeddings, which needs no compute buffer.
        var compute = layers > sizes.Layers.Count ? 0 : all.Compute;
        return all.Process + compute + Math.Max(0, all.Weights - moved) + Math.Max(0, all.KeyValueCache - caches);
    }

    // Whether the runtime that the model will get can use GPUs.
    private static bool UsesGpus(ModelSpec spec)
    {
        try
        {
            return RuntimeChoice.For(spec)[0].Runtime.HasGpu;
        }
        catch (EngineException)
        {
            // The load will fail with the reason.
            return false;
        }
    }

    private static List<long> GpusOf(LoadTuning tuning, BackendReport report)
    {
        var cpu = RuntimeDirectory.PluginName(GpuBackend.Cpu);
        var chosen = tuning.Backend is { } backend and not GpuBackend.Auto ? RuntimeDirectory.PluginName(backend) : report.Auto;
        var names = report.Backends.FirstOrDefault(one => one.Name == chosen && chosen != cpu)?.Devices ?? [];
        var used = tuning.Devices.Count > 0 ? names.Where(name => tuning.Devices.Contains(name, StringComparer.OrdinalIgnoreCase)) : names;
        return [.. used.Select(name => report.Devices.First(device => device.Name == name).MemoryFreeBytes)];
    }
}
