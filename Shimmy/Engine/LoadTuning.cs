namespace Shimmy.Engine;

/// <summary>
/// Options for loading a model with llama.cpp, beyond context and threads. Null leaves a choice to llama.cpp or to the model's file.
/// Filled by the options, the config file and load requests through <see cref="TuningOption"/>.
/// </summary>
public sealed record LoadTuning
{
    /// <summary>All choices left to llama.cpp and the model.</summary>
    public static LoadTuning None { get; } = new();

    /// <summary>
    /// Most tokens of one picture on a CPU: attention among a picture's patches takes time with their square, so that 4096 of them take
    /// many seconds.
    /// </summary>
    public const int DefaultImageMaxTokens = 1024;

    /// <summary>For <see cref="CpuExpertLayers"/>: every layer.</summary>
    public const int AllLayers = int.MaxValue;

    /// <summary>
    /// The runtime to prefer: its name, or a folder; null takes the first that has what the model needs (<c>RuntimeChoice</c>).
    /// </summary>
    public string? Runtime { get; init; }

    /// <summary>The backend that computes; null is <see cref="GpuBackend.Auto"/>.</summary>
    public GpuBackend? Backend { get; init; }

    /// <summary>Devices to use by ggml's names (<c>Vulkan0</c>), in their order; empty takes all GPUs of the backend.</summary>
    public IReadOnlyList<string> Devices { get; init; } = [];

    /// <summary>Layers on the GPU; null is all of them, where a GPU is used.</summary>
    public LayerCount? GpuLayers { get; init; }

    /// <summary>How a model is split among several devices; null is by layers.</summary>
    public SplitMode? SplitMode { get; init; }

    /// <summary>The share of each device, in any unit; empty shares by free memory.</summary>
    public IReadOnlyList<float> TensorSplit { get; init; } = [];

    /// <summary>Index of the device that holds all of the model, with <see cref="SplitMode.None"/>; counted from 0.</summary>
    public int? MainGpu { get; init; }

    /// <summary>
    /// Number of layers, from the first, whose experts stay on the CPU; <see cref="AllLayers"/> is every one; null or 0 none.
    /// </summary>
    public int? CpuExpertLayers { get; init; }

    /// <summary>Whether attention is computed in one fused step; null is <see cref="Engine.FlashAttention.Auto"/>.</summary>
    public FlashAttention? FlashAttention { get; init; }

    /// <summary>Type of the cached keys; null is f16.</summary>
    public CacheType? CacheTypeK { get; init; }

    /// <summary>Type of the cached values; null is f16.</summary>
    public CacheType? CacheTypeV { get; init; }

    /// <summary>Whether the file is mapped into memory; false reads it into buffers.</summary>
    public bool? MemoryMap { get; init; }

    /// <summary>Whether the system may not swap the model out.</summary>
    public bool? MemoryLock { get; init; }

    /// <summary>How threads and memory spread over NUMA nodes; null does nothing about them.</summary>
    public NumaStrategy? Numa { get; init; }

    /// <summary>Metadata of the file to replace; a key stands here once.</summary>
    public IReadOnlyList<MetadataOverride> MetadataOverrides { get; init; } = [];

    /// <summary>How positions beyond the training context are scaled.</summary>
    public RopeScaling? RopeScaling { get; init; }

    /// <summary>Base frequency of RoPE.</summary>
    public float? RopeFrequencyBase { get; init; }

    /// <summary>Factor on RoPE's frequencies: 1/N stretches the context N times.</summary>
    public float? RopeFrequencyScale { get; init; }

    /// <summary>YaRN: tokens of context that the model was trained with.</summary>
    public int? YarnOriginalContext { get; init; }

    /// <summary>
    /// Most tokens of one picture, for projectors that choose it by the picture's size; null leaves it to the projector, at most
    /// <see cref="DefaultImageMaxTokens"/> where the CPU encodes.
    /// </summary>
    public int? ImageMaxTokens { get; init; }

    /// <summary>Least tokens of one picture, for the same projectors; null leaves it to them.</summary>
    public int? ImageMinTokens { get; init; }

    /// <summary>YaRN: mix of extrapolation, 0 (all interpolated) to 1; -1 is the model's own.</summary>
    public float? YarnExtFactor { get; init; }

    /// <summary>YaRN: factor on the magnitude of attention.</summary>
    public float? YarnAttnFactor { get; init; }

    /// <summary>YaRN: correction of the low dimensions (alpha).</summary>
    public float? YarnBetaSlow { get; init; }

    /// <summary>YaRN: correction of the high dimensions (beta).</summary>
    public float? YarnBetaFast { get; init; }

    /// <summary>How texts are embedded, by llama.cpp's number; null is as the model's file says.</summary>
    public int? Pooling { get; init; }

    /// <summary>This tuning laid over another: a value that is unset here comes from <paramref name="lower"/>.</summary>
    public LoadTuning Over(LoadTuning lower) => new()
    {
        Runtime = Runtime ?? lower.Runtime,
        Backend = Backend ?? lower.Backend,
        Devices = Devices.Count > 0 ? Devices : lower.Devices,
        GpuLayers = GpuLayers ?? lower.GpuLayers,
        SplitMode = SplitMode ?? lower.SplitMode,
        TensorSplit = TensorSplit.Count > 0 ? TensorSplit : lower.TensorSplit,
        MainGpu = MainGpu ?? lower.MainGpu,
        CpuExpertLayers = CpuExpertLayers ?? lower.CpuExpertLayers,
        FlashAttention = FlashAttention ?? lower.FlashAttention,
        CacheTypeK = CacheTypeK ?? lower.CacheTypeK,
        CacheTypeV = CacheTypeV ?? lower.CacheTypeV,
        MemoryMap = MemoryMap ?? lower.MemoryMap,
        MemoryLock = MemoryLock ?? lower.MemoryLock,
        Numa = Numa ?? lower.Numa,
        MetadataOverrides = MetadataOverrides.Count > 0 ? MetadataOverrides : lower.MetadataOverrides,
        RopeScaling = RopeScaling ?? lower.RopeScaling,
        RopeFrequencyBase = RopeFrequencyBase ?? lower.RopeFrequencyBase,
        RopeFrequencyScale = RopeFrequencyScale ?? lower.RopeFrequencyScale,
        YarnOriginalContext = YarnOriginalContext ?? lower.YarnOriginalContext,
        ImageMaxTokens = ImageMaxTokens ?? lower.ImageMaxTokens,
        ImageMinTokens = ImageMinTokens ?? lower.ImageMinTokens,
        YarnExtFactor = YarnExtFactor ?? lower.YarnExtFactor,
        YarnAttnFactor = YarnAttnFactor ?? lower.YarnAttnFactor,
        YarnBetaSlow = YarnBetaSlow ?? lower.YarnBetaSlow,
        YarnBetaFast = YarnBetaFast ?? lower.YarnBetaFast,
        Pooling = Pooling ?? lower.Pooling,
    };

    /// <summary>Equality that compares the elements of the lists.</summary>
    public bool IsSameAs(LoadTuning other) =>
        this with { Devices = other.Devices, TensorSplit = other.TensorSplit, MetadataOverrides = other.MetadataOverrides } == other
        && Devices.SequenceEqual(other.Devices) && TensorSplit.SequenceEqual(other.TensorSplit)
        && MetadataOverrides.SequenceEqual(other.MetadataOverrides);
}

/// <summary>How many layers go to the GPU.</summary>
/// <param name="Number">The number; null takes as many as its free memory holds.</param>
public sealed record LayerCount(int? Number)
{
    /// <summary>As many as the free memory of the devices holds.</summary>
    public static LayerCount Auto { get; } = new((int?)null);

    /// <summary>
    /// How often the number of layers that fit is halved, 0 to 31: raised after a worker died while it loaded more layers.
    /// </summary>
    public int Halvings { get; init; }

    /// <summary>
    /// Whether the load fails with <see cref="EngineException.Shortage"/> where other models' memory allows fewer layers: idle models can
    /// be evicted then.
    /// </summary>
    public bool RefusesFewer { get; init; }
}

/// <summary>A value of the file's metadata to replace.</summary>
/// <param name="Key">Its key, at most 127 bytes.</param>
/// <param name="Type"><c>int</c>, <c>float</c>, <c>bool</c> or <c>str</c>.</param>
/// <param name="Value">The value as text; a <c>str</c> at most 127 bytes.</param>
public sealed record MetadataOverride(string Key, string Type, string Value);

/// <summary>The default kind of attention.</summary>
internal static class AttentionChoice
{
    /// <summary>
    /// Most tokens in one step of plain attention: its scores take a number for each of them, each cell and each head, and a model with
    /// small heads is no slower for it.
    /// </summary>
    public const int PlainMicroBatch = 64;

    // Below it, ggml's fused attention on a CPU spends more on each head's row than on its numbers: measured with 32, one token takes up to
    // twice as long, nine take three times as long; with 64 there is no difference.
    private const int SmallestFusedHead = 64;

    /// <summary>
    /// As asked for, else plain where that is faster, else as llama.cpp chooses. Values that are quantized need the fused one.
    /// </summary>
    /// <param name="tuning">What is asked for.</param>
    /// <param name="headSize">Elements of one head's key.</param>
    /// <param name="usesGpu">Whether layers are on a GPU.</param>
    public static FlashAttention Of(LoadTuning tuning, long headSize, bool usesGpu) =>
        tuning.FlashAttention is { } asked and not FlashAttention.Auto ? asked
            : IsPlainFaster(headSize, usesGpu) && (tuning.CacheTypeV is null or CacheType.F16 or CacheType.F32 or CacheType.Bf16)
                ? FlashAttention.Off
            : FlashAttention.Auto;

    /// <summary>Whether the heads are so small, and on a CPU, that plain attention is faster.</summary>
    public static bool IsPlainFaster(long headSize, bool usesGpu) => !usesGpu && headSize < SmallestFusedHead;
}
