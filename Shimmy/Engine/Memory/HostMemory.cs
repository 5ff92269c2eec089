using Shimmy.Engine.Runtimes;

namespace Shimmy.Engine.Memory;

/// <summary>
/// Estimate of the host memory that a model needs, for the memory budget: all of the model, or what does not go to GPUs. Whether GPUs have
/// enough free memory is checked by the worker at the load (<c>LoadPlan</c>).
/// </summary>
/// <param name="backends">The GPUs of this machine.</param>
internal sealed class HostMemory(BackendProbe backends)
{
    private const long MostPrefixes = 2L << 30;

    // Several models may be loaded, each with as much.
    private static readonly long LeastPrefixes = Math.Clamp(MachineMemory.Bytes / 32, 256L << 20, 1L << 30);

    /// <summary>
    /// The memory that loading the model will need on the host, with a context that fits where the spec leaves it open. Asks for GPUs
    /// only where there is a plug-in that could use one.
    /// </summary>
    /// <param name="spec">How it is to be loaded.</param>
    /// <param name="sizeBytes">Bytes of the model's file, all shards together.</param>
    /// <param name="budget">Bytes that it may need; null: any number.</param>
    /// <param name="cancellation">Ends the wait for the report.</param>
    public async ValueTask<LoadNeed> NeedOfAsync(ModelSpec spec, long sizeBytes, long? budget, CancellationToken cancellation)
    {
        var headers = new HeaderCache();
        var need = await ModelNeedAsync(spec, sizeBytes, budget, headers, cancellation).ConfigureAwait(false) with
        {
            WhyUnfit = spec.WhyUnfit(headers.Read),
        };
        if (spec.PrefixMemoryBytes is not null)
            return need;
        // States are of use in proportion to what they spare, and take no memory that a model needs: at most half of what is left.
        var whole = MemoryEstimate.Of(need.Spec, sizeBytes);
        var most = Math.Clamp(whole.KeyValueCache + (whole.Weights / 2), LeastPrefixes, MostPrefixes);
        return need with
        {
            Spec = need.Spec with { PrefixMemoryBytes = Math.Clamp(((budget ?? long.MaxValue) - need.Bytes) / 2, 0, most) },
        };
    }

    private async ValueTask<LoadNeed> ModelNeedAsync(
        ModelSpec spec, long sizeBytes, long? budget, HeaderCache headers, CancellationToken cancellation)
    {
        if (spec.Tuning is { Backend: GpuBackend.Cpu } or { GpuLayers.Number: 0 } || !UsesGpus(spec))
            return OnHost();
        try
        {
            var gpus = GpusOf(spec.Tuning, await backends.GetAsync(cancellation).ConfigureAwait(false));
            long[] free = [.. gpus.Select(device => device.MemoryFreeBytes)];
            return ContextFit.Of(spec, budget, headers, one => WithPrefixes(Of(one, sizeBytes, free, headers)), CapacityOf(gpus, headers));
        }
        catch (EngineException)
        {
            // The load will fail with the reason; here only a number is wanted.
            return OnHost();
        }

        MemoryEstimate WithPrefixes(MemoryEstimate estimate) => estimate with { Prefixes = spec.PrefixMemoryBytes ?? 0 };

        LoadNeed OnHost() => ContextFit.Of(spec, budget, headers, one => WithPrefixes(MemoryEstimate.Of(one, sizeBytes, headers: headers)));
    }

    /// <summary>The estimate for given GPUs. Throws <see cref="EngineException"/> where a file cannot be read.</summary>
    /// <param name="spec">How it is to be loaded.</param>
    /// <param name="sizeBytes">Bytes of the model's file, all shards together.</param>
    /// <param name="free">Free bytes of each GPU; none where there is none.</param>
    /// <param name="headers">Reads the headers; null reads them anew.</param>
    public static MemoryEstimate Of(ModelSpec spec, long sizeBytes, IReadOnlyList<long> free, HeaderCache? headers = null)
    {
        headers ??= new HeaderCache();
        if (free.Count == 0)
            return MemoryEstimate.Of(spec, sizeBytes, headers: headers);
        var main = OfOne(spec with { Draft = null }, sizeBytes, LayerFit.FreeFor(spec, free, headers), headers);
        if (spec.OfDraft() is not { } draft)
            return main;
        // The draft model shares the worker's process.
        var draftBytes = new FileInfo(draft.Path) is { Exists: true } file ? file.Length : 0;
        var second = OfOne(draft, draftBytes, LayerFit.FreeFor(draft, free, headers), headers);
        return new MemoryEstimate(main.Weights + second.Weights, main.KeyValueCache + second.KeyValueCache,
            main.Compute + second.Compute, main.Process);
    }

    private static MemoryEstimate OfOne(ModelSpec spec, long sizeBytes, IReadOnlyList<long> free, HeaderCache headers)
    {
        var all = MemoryEstimate.Of(spec, sizeBytes, headers: headers);
        var sizes = ModelSizes.Read(spec, headers);
        var layers = LayerFit.Of(spec.Tuning, sizes, free);
        if (layers == 0)
            return all;
        // The output layer goes first; it has no cache.
        var caches = (layers - 1) * sizes.CacheOfLayer;
        var moved = LayerFit.Bytes(sizes, layers) - caches - sizes.OutputCopy;
        return all with
        {
            Weights = Math.Max(0, all.Weights - moved),
            KeyValueCache = Math.Max(0, all.KeyValueCache - caches),
            // With all layers on GPUs the host only looks up embeddings, which needs no compute buffer.
            Compute = layers > sizes.Layers.Count ? 0 : all.Compute,
        };
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

    /// <summary>The memory of GPUs; null where there are none, or where one of them does not know its memory.</summary>
    /// <param name="gpus">The devices that were chosen.</param>
    /// <param name="headers">Reads the headers.</param>
    public static DeviceCapacity? CapacityOf(IReadOnlyList<DeviceFacts> gpus, HeaderCache headers)
    {
        long[] total = [.. gpus.Select(device => device.MemoryTotalBytes)];
        return total.Length == 0 || total.Contains(0) ? null : new DeviceCapacity(total.Sum(), Holds);

        bool Holds(ModelSpec spec)
        {
            var sizes = ModelSizes.Read(spec, headers);
            var all = sizes.Layers.Count + 1;
            var wanted = Math.Min(spec.Tuning.GpuLayers?.Number ?? all, all);
            return LayerFit.Choose(sizes, LayerFit.FreeFor(spec, total, headers), spec.Tuning.TensorSplit) >= wanted;
        }
    }

    private static List<DeviceFacts> GpusOf(LoadTuning tuning, BackendReport report)
    {
        var cpu = RuntimeDirectory.PluginName(GpuBackend.Cpu);
        var chosen = tuning.Backend is { } backend and not GpuBackend.Auto ? RuntimeDirectory.PluginName(backend) : report.Auto;
        var names = report.Backends.FirstOrDefault(one => one.Name == chosen && chosen != cpu)?.Devices ?? [];
        var used = tuning.Devices.Count > 0 ? names.Where(name => tuning.Devices.Contains(name, StringComparer.OrdinalIgnoreCase)) : names;
        return [.. used.Select(name => report.Devices.First(device => device.Name == name))];
    }
}
