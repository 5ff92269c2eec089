using Shimmy.Engine;
using Shimmy.Worker.Native;

namespace Shimmy.Worker.Model;

/// <summary>What of a tuning llama.cpp hears when it makes a context; the rest goes with the model.</summary>
internal static class ContextTuning
{
    /// <summary>
    /// Refuses what llama.cpp would ignore: factors where nothing is scaled, and what YaRN's extrapolation alone reads where there is none; where there is,
    /// llama.cpp computes the factor on attention itself. Throws <see cref="EngineException"/> (<see cref="EngineFailure.LoadFailed"/>).
    /// </summary>
    public static void Check(LoadTuning tuning, IReadOnlyDictionary<string, string> metadata)
    {
        var architecture = metadata.GetValueOrDefault("general.architecture", "");
        var own = metadata.GetValueOrDefault($"{architecture}.rope.scaling.type");
        var (isNone, isYarn) = tuning.RopeScaling is { } scaling ? (scaling == RopeScaling.None, scaling == RopeScaling.Yarn) : (own == "none", own == "yarn");
        if (isNone && tuning.RopeFrequencyScale is not (null or 1))
            throw Ignored("rope-scale and rope-freq-scale have no effect where nothing is scaled: they need rope-scaling linear or yarn");
        if (!isYarn && tuning.YarnExtFactor is > 0)
            throw Ignored("yarn-ext-factor has no effect without YaRN: it needs rope-scaling yarn");
        var extrapolates = (tuning.YarnExtFactor is >= 0 and var given ? given : isYarn ? 1 : 0) > 0;
        if (tuning.YarnAttnFactor is not null && extrapolates)
            throw Ignored("yarn-attn-factor has no effect where YaRN extrapolates: it needs yarn-ext-factor 0");
        if (!extrapolates && (tuning.YarnOriginalContext is not null ? "yarn-orig-ctx" : tuning.YarnBetaSlow is not null ? "yarn-beta-slow"
            : tuning.YarnBetaFast is not null ? "yarn-beta-fast" : null) is { } name)
        {
            throw Ignored($"{name} has no effect where YaRN does not extrapolate: it needs " + (isYarn ? "a yarn-ext-factor above 0" : "rope-scaling yarn"));
        }
    }

    private static EngineException Ignored(string message) => new(EngineFailure.LoadFailed, message);

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
