using Shimmy.Engine;

namespace Shimmy.Observability;

/// <summary>Metrics of loaded models by llama-server's names, of all models together, beside ours or alone.</summary>
internal static class LlamaMetrics
{
    /// <summary>Writes them.</summary>
    public static void Write(MetricsText text, IReadOnlyList<EngineStatistics> models)
    {
        var prompt = models.Sum(model => model.PrefilledTokens);
        var predicted = models.Sum(model => model.GeneratedTokens);
        var (promptSeconds, predictedSeconds) = (models.Sum(model => model.PromptSeconds), models.Sum(model => model.GeneratedSeconds));
        Counter("prompt_tokens_total", "Number of prompt tokens processed.", prompt);
        Counter("prompt_tokens_cached_total", "Number of prompt tokens reused from the cache.", models.Sum(model => model.CachedTokens));
        Counter("prompt_seconds_total", "Prompt process time", promptSeconds);
        Counter("tokens_predicted_total", "Number of generation tokens processed.", predicted);
        Counter("tokens_predicted_seconds_total", "Predict process time", predictedSeconds);
        Counter("n_decode_total", "Total number of llama_decode() calls", models.Sum(model => model.DecodeCalls));
        Counter("spec_decode_num_draft_tokens_total", "Draft tokens generated.", models.Sum(model => model.DraftedTokens));
        Counter("spec_decode_num_accepted_tokens_total", "Draft tokens accepted.", models.Sum(model => model.AcceptedTokens));
        Counter("spec_decode_num_drafts_total", "Drafts verified.", models.Sum(model => model.Drafts));
        Gauge("prompt_tokens_seconds", "Average prompt throughput in tokens/s.", Rate(prompt, promptSeconds));
        Gauge("predicted_tokens_seconds", "Average generation throughput in tokens/s.", Rate(predicted, predictedSeconds));
        Gauge("requests_processing", "Number of requests processing.", models.Sum(model => model.SlotsBusy));
        Gauge("requests_deferred", "Number of requests deferred.", models.Sum(model => model.Waiting));

        void Counter(string name, string help, double value) => text.Single("llamacpp:" + name, "counter", help, value);

        void Gauge(string name, string help, double value) => text.Single("llamacpp:" + name, "gauge", help, value);
    }

    private static double Rate(double tokens, double seconds) => seconds > 0 ? tokens / seconds : 0;
}
