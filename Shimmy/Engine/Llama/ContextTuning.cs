using Shimmy.Engine.Llama.Native;

namespace Shimmy.Engine.Llama;

/// <summary>What of a tuning llama.cpp hears when it makes a context; the rest goes with the model.</summary>
internal static class ContextTuning
{
    // Below it, ggml's fused attention on a CPU spends more on each head's row than on its numbers: measured with 32, one token takes up to
    // twice as long, nine take three times as long; with 64 there is no difference.
    private const int SmallestFusedHead = 64;

    /// <summary>
    /// How attention is computed: as asked for, else plain where that is faster, else as llama.cpp chooses. Values that are quantized need the
    /// fused one.
    /// </summary>
    public static FlashAttention Attention(LoadTuning tuning, ModelHandle model, bool usesGpu) =>
        tuning.FlashAttention is { } asked and not FlashAttention.Auto ? asked
            : !usesGpu && HasSmallHeads(model) && (tuning.CacheTypeV is null or CacheType.F16 or CacheType.F32 or CacheType.Bf16) ? FlashAttention.Off
            : FlashAttention.Auto;

    /// <summary>Whether the heads are so small that plain attention is faster on a CPU.</summary>
    public static bool HasSmallHeads(ModelHandle model) =>
        LlamaApi.llama_model_n_embd(model) / Math.Max(1, LlamaApi.llama_model_n_head(model)) < SmallestFusedHead;

    /// <summary>
    /// Refuses what llama.cpp would ignore: where YaRN extrapolates, it computes the factor on attention itself. Throws
    /// <see cref="EngineException"/> (<see cref="EngineFailure.LoadFailed"/>).
    /// </summary>
    public static void Check(LoadTuning tuning, IReadOnlyDictionary<string, string> metadata)
    {
        if (tuning.YarnAttnFactor is null)
            return;
        var architecture = metadata.GetValueOrDefault("general.architecture", "");
        var isYarn = tuning.RopeScaling is { } scaling ? scaling == RopeScaling.Yarn
            : metadata.GetValueOrDefault($"{architecture}.rope.scaling.type") == "yarn";
        if ((tuning.YarnExtFactor ?? (isYarn ? 1 : 0)) > 0)
            throw new EngineException(EngineFailure.LoadFailed, "yarn-attn-factor has no effect where YaRN extrapolates: it needs yarn-ext-factor 0");
    }

    /// <summary>Sets what is asked for and leaves llama.cpp's defaults, which mean the model's own, where nothing is.</summary>
    public static void Apply(LoadTuning tuning, ref LlamaContextParams parameters)
    {
        if (tuning.FlashAttention is { } flash)
            parameters.FlashAttentionType = (int)flash;
        if (tuning.CacheTypeK is { } keys)
            parameters.TypeK = (int)keys;
        if (tuning.CacheTypeV is { } values)
            parameters.TypeV = (int)values;
        if (tuning.RopeScaling is { } scaling)
            parameters.RopeScalingType = (int)scaling;
        parameters.RopeFrequencyBase = tuning.RopeFrequencyBase ?? parameters.RopeFrequencyBase;
        parameters.RopeFrequencyScale = tuning.RopeFrequencyScale ?? parameters.RopeFrequencyScale;
        parameters.YarnExtFactor = tuning.YarnExtFactor ?? parameters.YarnExtFactor;
        parameters.YarnAttnFactor = tuning.YarnAttnFactor ?? parameters.YarnAttnFactor;
        parameters.YarnBetaSlow = tuning.YarnBetaSlow ?? parameters.YarnBetaSlow;
        parameters.YarnBetaFast = tuning.YarnBetaFast ?? parameters.YarnBetaFast;
        parameters.YarnOriginalContext = (uint?)tuning.YarnOriginalContext ?? parameters.YarnOriginalContext;
    }
}
