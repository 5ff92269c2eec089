using Shimmy.Engine;
using Shimmy.Engine.Memory;
using Shimmy.Worker.Native;

namespace Shimmy.Worker.Model;

/// <summary>
/// The parameters of contexts: cells, batch sizes, and the part of the tuning that llama.cpp takes for a context and not for the model.
/// </summary>
internal static class ContextParameters
{
    /// <summary>
    /// Refuses RoPE options that llama.cpp would ignore: scaling factors without scaling, YaRN's corrections without extrapolation, and an
    /// attention factor with extrapolation, which llama.cpp computes itself. Throws <see cref="EngineException"/>
    /// (<see cref="EngineFailure.LoadFailed"/>).
    /// </summary>
    public static void Check(LoadTuning tuning, ModelMetadata metadata)
    {
        var own = metadata.OfArchitecture("rope.scaling.type");
        var (isNone, isYarn) = tuning.RopeScaling is { } scaling
            ? (scaling == RopeScaling.None, scaling == RopeScaling.Yarn)
            : (own == "none", own == "yarn");
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
            throw Ignored($"{name} has no effect where YaRN does not extrapolate: it needs "
                + (isYarn ? "a yarn-ext-factor above 0" : "rope-scaling yarn"));
        }
    }

    /// <summary>
    /// Refuses a projector whose media do not fit into the context. Throws <see cref="EngineException"/>
    /// (<see cref="EngineFailure.LoadFailed"/>).
    /// </summary>
    /// <param name="largestMedium">Most tokens of a medium that must be computed in one step; 0 where there are none.</param>
    /// <param name="contextLength">Tokens that one request may use.</param>
    public static void CheckMedium(int largestMedium, int contextLength)
    {
        if (largestMedium > contextLength)
        {
            throw Ignored($"a picture takes up to {largestMedium} tokens of this model, more than its context of {contextLength} holds: "
                + "a greater --ctx, or --mmproj none, is needed");
        }
    }

    /// <summary>Of a context in which all slots generate, sharing one pool of cells.</summary>
    /// <param name="spec">How the model is to be loaded.</param>
    /// <param name="model">The model.</param>
    /// <param name="attention">How attention is computed.</param>
    /// <param name="contextLength">Tokens that one request may use.</param>
    /// <param name="largestMedium">Most tokens of a medium that must be computed in one step; 0 where there are none.</param>
    public static LlamaContextParams ForGeneration(
        ModelSpec spec, ModelHandle model, FlashAttention attention, int contextLength, int largestMedium)
    {
        var parameters = ContextHandle.DefaultParams;
        parameters.ContextLength = (uint)Cells(spec, model, contextLength);
        parameters.BatchSize = (uint)spec.BatchSize;
        parameters.MicroBatchSize = (uint)spec.BatchSize;
        parameters.MaxSequences = (uint)spec.Parallel;
        Apply(spec.Tuning, ref parameters);
        parameters.KvUnified = 1;
        parameters.SwaFull = 0;
        parameters.FlashAttentionType = (int)attention;
        if (attention == FlashAttention.Off)
            parameters.MicroBatchSize = (uint)Math.Min(spec.BatchSize, AttentionChoice.PlainMicroBatch);
        // llama.cpp ends its process where such a medium does not fit.
        parameters.BatchSize = Math.Max(parameters.BatchSize, (uint)largestMedium);
        parameters.MicroBatchSize = Math.Max(parameters.MicroBatchSize, (uint)largestMedium);
        parameters.NoPerf = 1;
        return parameters;
    }

    /// <summary>Of a context that embeds one text at a time.</summary>
    /// <param name="spec">How the model is to be loaded.</param>
    /// <param name="metadata">The model's metadata, which says how it pools.</param>
    /// <param name="contextLength">Tokens of the longest text.</param>
    /// <param name="largestMedium">Most tokens of a medium that must be computed in one step; 0 where there are none.</param>
    public static LlamaContextParams ForEmbedding(ModelSpec spec, ModelMetadata metadata, int contextLength, int largestMedium = 0)
    {
        var parameters = ContextHandle.DefaultParams;
        parameters.ContextLength = (uint)contextLength;
        // Only states of single tokens, of a model whose tokens look backwards alone, can be had of a text in chunks.
        var chunk = metadata is { CanGenerate: true, Pooling: PoolingType.Last or PoolingType.None }
            ? Math.Min(Math.Max(spec.BatchSize, largestMedium), contextLength)
            : contextLength;
        parameters.BatchSize = (uint)chunk;
        parameters.MicroBatchSize = (uint)chunk;
        parameters.MaxSequences = 1;
        Apply(spec.Tuning, ref parameters);
        parameters.PoolingType = (int)metadata.Pooling;
        parameters.Embeddings = 1;
        parameters.NoPerf = 1;
        return parameters;
    }

    private static long Cells(ModelSpec spec, ModelHandle model, int contextLength)
    {
        if (spec.Cells > 0)
            return Math.Max(spec.Cells, contextLength);
        var headSize = model.EmbeddingLength / Math.Max(1, model.Heads);
        return CellCount.Of(contextLength, spec.Parallel, CellCount.BytesPerCell(headSize, model.KeyValueHeads, model.Layers));
    }

    private static EngineException Ignored(string message) => new(EngineFailure.LoadFailed, message);

    // Sets what is asked for and leaves llama.cpp's defaults, which mean the model's own, where nothing is.
    private static void Apply(LoadTuning tuning, ref LlamaContextParams parameters)
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
