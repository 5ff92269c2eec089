using Shimmy.Engine.Llama.Native;

namespace Shimmy.Engine.Llama;

/// <summary>What of a tuning llama.cpp hears when it makes a context; the rest goes with the model.</summary>
internal static class ContextTuning
{
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
