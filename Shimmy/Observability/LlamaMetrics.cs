using System.Runtime.CompilerServices;
using Shimmy.Engine;
using Shimmy.Models.Residency;

namespace Shimmy.Observability;

/// <summary>Metrics of loaded models by llama-server's names, of all models together, beside ours or alone.</summary>
internal static class LlamaMetrics
{
    /// <summary>Writes them.</summary>
    /// <param name="text">Receives the metrics.</param>
    /// <param name="now">The counters of all models together.</param>
    /// <param name="before">The counters that the rates begin at; null for the start.</param>
    public static void Write(MetricsText text, EngineStatistics now, EngineStatistics? before = null)
    {
        before ??= new EngineStatistics();
        Counter("prompt_tokens_total", "Number of prompt tokens processed.", now.PrefilledTokens);
        Counter("prompt_tokens_cached_total", "Number of prompt tokens reused from the cache.", now.CachedTokens);
        Counter("prompt_seconds_total", "Prompt process time", now.PromptSeconds);
        Counter("tokens_predicted_total", "Number of generation tokens processed.", now.GeneratedTokens);
        Counter("tokens_predicted_seconds_total", "Predict process time", now.GeneratedSeconds);
        Counter("n_decode_total", "Total number of llama_decode() calls", now.DecodeCalls);
        Counter("n_tokens_max", "Most tokens of a sequence, prompt and answer.", now.MostTokens);
        Counter("spec_decode_num_draft_tokens_total", "Draft tokens generated.", now.DraftedTokens);
        Counter("spec_decode_num_accepted_tokens_total", "Draft tokens accepted.", now.AcceptedTokens);
        Counter("spec_decode_num_drafts_total", "Drafts verified.", now.Drafts);
        Gauge("prompt_tokens_seconds", "Average prompt throughput in tokens/s.",
            Rate(now.PrefilledTokens - before.PrefilledTokens, now.PromptSeconds - before.PromptSeconds));
        Gauge("predicted_tokens_seconds", "Average generation throughput in tokens/s.",
            Rate(now.GeneratedSteps - before.GeneratedSteps, now.GeneratedSeconds - before.GeneratedSeconds));
        Gauge("requests_processing", "Number of requests processing.", now.SlotsBusy);
        Gauge("requests_deferred", "Number of requests deferred.", now.Waiting);
        Gauge("n_busy_slots_per_decode", "Average number of busy slots of a llama_decode() call.",
            Rate(now.DecodedSlots, now.DecodeCalls));

        void Counter(string name, string help, double value) => text.Single("llamacpp:" + name, "counter", help, value);

        void Gauge(string name, string help, double value) => text.Single("llamacpp:" + name, "gauge", help, value);
    }

    /// <summary>The counters of all models together.</summary>
    public static EngineStatistics Sum(IEnumerable<EngineStatistics> models) => models.Aggregate(new EngineStatistics(),
        static (sum, one) => new EngineStatistics
        {
            PrefilledTokens = sum.PrefilledTokens + one.PrefilledTokens,
            CachedTokens = sum.CachedTokens + one.CachedTokens,
            PromptSeconds = sum.PromptSeconds + one.PromptSeconds,
            GeneratedTokens = sum.GeneratedTokens + one.GeneratedTokens,
            GeneratedSeconds = sum.GeneratedSeconds + one.GeneratedSeconds,
            GeneratedSteps = sum.GeneratedSteps + one.GeneratedSteps,
            MostTokens = Math.Max(sum.MostTokens, one.MostTokens),
            DecodeCalls = sum.DecodeCalls + one.DecodeCalls,
            DecodedSlots = sum.DecodedSlots + one.DecodedSlots,
            DraftedTokens = sum.DraftedTokens + one.DraftedTokens,
            AcceptedTokens = sum.AcceptedTokens + one.AcceptedTokens,
            Drafts = sum.Drafts + one.Drafts,
            SlotsBusy = sum.SlotsBusy + one.SlotsBusy,
            Waiting = sum.Waiting + one.Waiting,
        });

    private static double Rate(double count, double of) => of > 0 ? count / of : 0;
}

/// <summary>
/// The counters of a server that was started as llama-server: they go on while its models come and go, which sleep by being unloaded, and
/// its rates are those since they were asked for last.
/// </summary>
internal sealed class LlamaTotals
{
    private static readonly TimeSpan ScrapeTimeout = TimeSpan.FromSeconds(2);

    private readonly Lock _lock = new();
    private readonly Dictionary<ILoadedModel, EngineStatistics> _last = new(ReferenceEqualityComparer.Instance);
    // A scrape that began before may still bring figures of one: they are counted already.
    private readonly ConditionalWeakTable<ILoadedModel, LlamaTotals> _ended = [];
    private EngineStatistics _gone = new();
    private EngineStatistics? _before;

    /// <summary>Notes the counters of a model that is about to be unloaded.</summary>
    public async Task KeepAsync(ILoadedModel model)
    {
        using var limit = new CancellationTokenSource(ScrapeTimeout);
        EngineStatistics? statistics = null;
        try
        {
            statistics = await model.GetStatisticsAsync(limit.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is EngineException or OperationCanceledException)
        {
            // Those that were noted before count.
        }
        lock (_lock)
        {
            if (_ended.TryAdd(model, this))
                End(model, statistics ?? _last.GetValueOrDefault(model));
        }
    }

    /// <summary>Writes the metrics.</summary>
    /// <param name="text">Receives them.</param>
    /// <param name="asked">The loaded models, from <see cref="ModelMetrics.AskAsync"/>.</param>
    public void Write(MetricsText text, IReadOnlyList<(ResidentModel Model, EngineStatistics? Statistics)> asked)
    {
        lock (_lock)
        {
            foreach (var (model, statistics) in asked)
            {
                if (statistics is not null && !_ended.TryGetValue(model.Model!, out _))
                    _last[model.Model!] = statistics;
            }
            foreach (var model in _last.Keys.Except(asked.Select(one => one.Model.Model!)).ToArray())
                End(model, _last[model]);
            var now = LlamaMetrics.Sum([_gone, .. _last.Values]);
            LlamaMetrics.Write(text, now, _before);
            _before = now;
        }
    }

    private void End(ILoadedModel model, EngineStatistics? statistics)
    {
        if (statistics is not null)
            _gone = LlamaMetrics.Sum([_gone, statistics with { SlotsBusy = 0, Waiting = 0 }]);
        _last.Remove(model);
    }
}
