namespace Shimmy.Engine.Memory;

/// <summary>How many layers fit into the free memory of GPUs.</summary>
internal static class LayerFit
{
    // Kept free on each device: for other programs, the driver's own buffers, and errors of the estimate.
    private const long LeastMargin = 128L << 20;
    private const int MarginShare = 16;

    /// <summary>Free bytes of a device less the margin that stays free.</summary>
    public static long Usable(long free) => Math.Max(0, free - Math.Max(LeastMargin, free / MarginShare));

    /// <summary>The devices that a model goes to: all that were chosen; with split-mode none the main one alone.</summary>
    public static IReadOnlyList<T> Used<T>(LoadTuning tuning, IReadOnlyList<T> devices) =>
        tuning.SplitMode == SplitMode.None && (tuning.MainGpu ?? 0) is var main && main < devices.Count ? [devices[main]] : devices;

    /// <summary>Free bytes of each device that a model goes to, less the part of its draft model.</summary>
    /// <param name="spec">How it is to be loaded.</param>
    /// <param name="free">Free bytes of each device; 0 where a device does not know.</param>
    /// <param name="headers">Reads the headers; null reads them anew.</param>
    public static long[] FreeFor(ModelSpec spec, IReadOnlyList<long> free, HeaderCache? headers = null)
    {
        long[] left = [.. Used(spec.Tuning, free)];
        if (spec.OfDraft() is not { } draft)
            return left;
        // It goes to the same devices, all of it.
        var sizes = ModelSizes.Read(draft, headers);
        var taken = (Bytes(sizes, sizes.Layers.Count + 1) + sizes.Compute) / left.Length;
        for (var i = 0; i < left.Length; i++)
            left[i] = left[i] == 0 ? 0 : Math.Max(1, left[i] - taken);
        return left;
    }

    /// <summary>How many layers go to the devices, the output layer counted as one: all, as many as were asked for, or what fits.</summary>
    /// <param name="tuning">What was asked for.</param>
    /// <param name="sizes">The model.</param>
    /// <param name="free">What <see cref="FreeFor"/> says.</param>
    public static int Of(LoadTuning tuning, ModelSizes sizes, IReadOnlyList<long> free) => tuning.GpuLayers switch
    {
        null => sizes.Layers.Count + 1,
        { Number: { } number } => Math.Min(number, sizes.Layers.Count + 1),
        { Halvings: var halvings } => Choose(sizes, free, tuning.TensorSplit) >> halvings,
    };

    /// <summary>
    /// The most layers, the output layer counted as one, that fit into all devices together; each device computes, so each reserves memory
    /// for that.
    /// </summary>
    /// <param name="sizes">The model.</param>
    /// <param name="free">Free bytes of each device.</param>
    /// <param name="shares">The share of each device; none where they share by free memory.</param>
    public static int Choose(ModelSizes sizes, IReadOnlyList<long> free, IReadOnlyList<float> shares)
    {
        var usable = new long[free.Count];
        for (var i = 0; i < usable.Length; i++)
            usable[i] = Math.Max(0, Usable(free[i]) - sizes.Compute);
        var capacity = Capacity(usable, shares);
        var most = sizes.Layers.Count + 1;
        for (var layers = most; layers > 0; layers--)
        {
            if (Bytes(sizes, layers) <= capacity)
                return layers;
        }

        return 0;
    }

    /// <summary>Bytes that devices hold together: the sum, or with fixed shares as much as fits until the first of them is full.</summary>
    public static long Capacity(IReadOnlyList<long> bytes, IReadOnlyList<float> shares)
    {
        // Shares that are none of these devices' are refused elsewhere (LoadPlan).
        if (shares.Count != bytes.Count)
            return bytes.Sum();
        var (least, total) = (double.MaxValue, shares.Sum());
        for (var i = 0; i < shares.Count; i++)
        {
            if (shares[i] > 0)
                least = Math.Min(least, bytes[i] * (total / (double)shares[i]));
        }
        return (long)least;
    }

    /// <summary>Bytes of so many layers: llama.cpp puts the output on a GPU first, then the layers from the last one on.</summary>
    public static long Bytes(ModelSizes sizes, int layers) => layers == 0 ? 0
        : sizes.Output + sizes.Layers.Skip(sizes.Layers.Count + 1 - layers).Sum(bytes => bytes + sizes.CacheOfLayer);
}
