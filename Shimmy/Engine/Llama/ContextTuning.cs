using Shimmy.Engine.Llama.Native;

namespace Shimmy.Engine.Llama;

/// <summary>What of a tuning llama.cpp hears when it makes a context; the rest goes with the model.</summary>
internal static class ContextTuning
{
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
