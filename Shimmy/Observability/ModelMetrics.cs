using Shimmy.Engine;
using Shimmy.Models.Residency;

namespace Shimmy.Observability;

/// <summary>What is measured of models in memory: by their workers, and by the residency.</summary>
internal static class ModelMetrics
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    /// <summary>
    /// The loaded models with what their schedulers count. A worker that does not answer in time, since it dies or computes a long prompt, has
    /// no counters this time.
    /// </summary>
    public static async Task<IReadOnlyList<(ResidentModel Model, EngineStatistics? Statistics)>> AskAsync(ModelResidency residency, CancellationToken cancellation) =>
        await Task.WhenAll(residency.Resident.Where(model => model.Model is not null).Select(async model =>
        {
            // Nobody else takes the question back: a worker that stands still would have one more with each scrape.
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            patience.CancelAfter(Patience);
            try
            {
                return (model, (EngineStatistics?)await model.Model!.GetStatisticsAsync(patience.Token).ConfigureAwait(false));
            }
            catch (Exception e) when (e is EngineException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
            {
                return (model, null);
            }
        })).ConfigureAwait(false);

    /// <summary>Writes the families that workers count.</summary>
    /// <param name="text">Where to.</param>
    /// <param name="asked">The loaded models.</param>
    /// <param name="idle">The names of those that are not in memory: nothing runs or waits there, which whoever chooses between servers wants to know of one that has loaded none yet.</param>
    public static void Write(MetricsText text, IReadOnlyList<(ResidentModel Model, EngineStatistics? Statistics)> asked, IReadOnlyList<string> idle)
    {
        var known = asked.Where(model => model.Statistics is not null)
            .Select(model => (Labels: LabelsOf(model.Model.Entry.Name), model.Model, Of: model.Statistics!)).ToList();
        Family("shimmy_slots", "gauge", "Requests that a model answers at once.", (model, _) => model.Model!.Facts.Slots);
        Family("shimmy_requests_running", "gauge", "Slots busy: requests whose prompt is read or whose answer is generated now.", (_, of) => of.SlotsBusy, zeroWhereIdle: true);
        Family("shimmy_requests_waiting", "gauge", "Queue length: requests that wait for a slot of their loaded model.", (_, of) => of.Waiting, zeroWhereIdle: true);
        Family("shimmy_kv_cells", "gauge", "KV cells.", (_, of) => of.Cells);
        Family("shimmy_kv_cells_used", "gauge", "KV cells in use, prefixes kept for later requests included.", (_, of) => of.CellsUsed);
        Family("shimmy_kv_cache_usage_ratio", "gauge", "Share of the KV cells in use, 0 to 1.", (_, of) => of.Cells == 0 ? 0 : (double)of.CellsUsed / of.Cells, zeroWhereIdle: true);
        Family("shimmy_admitted_requests_total", "counter", "Requests that got a slot since the load.", (_, of) => of.Requests);
        Family("shimmy_refused_requests_total", "counter", "Requests refused since the load because the queue was full.", (_, of) => of.Refused);
        Family("shimmy_prefilled_tokens_total", "counter", "Tokens of prompts computed since the load.", (_, of) => of.PrefilledTokens);
        Family("shimmy_drafted_tokens_total", "counter", "Tokens computed ahead since the load (speculative decoding).", (_, of) => of.DraftedTokens);
        Family("shimmy_draft_tokens_accepted_total", "counter", "Tokens computed ahead since the load that came.", (_, of) => of.AcceptedTokens);
        Family("shimmy_decode_calls_total", "counter", "Batches computed since the load.", (_, of) => of.DecodeCalls);
        Family("shimmy_preemptions_total", "counter", "Requests pushed back to the queue since the load because the KV cells ran out.", (_, of) => of.Preemptions);
        Family("shimmy_prefixes_dropped_total", "counter", "Prefixes dropped since the load because their KV cells were needed.", (_, of) => of.PrefixesDropped);
        Family("shimmy_worker_resident_memory_bytes", "gauge", "Bytes of a model's worker in memory.", (_, of) => of.ResidentBytes);
        text.Head("shimmy_batch_size_tokens", "histogram", "Tokens computed in one batch.");
        foreach (var (labels, _, of) in known)
        {
            Histogram.Write(text, "shimmy_batch_size_tokens", labels, [.. EngineStatistics.BatchSizeBounds.Select(bound => (double)bound)],
                of.BatchSizes, of.BatchTokens);
        }

        void Family(string name, string type, string help, Func<ResidentModel, EngineStatistics, double> value, bool zeroWhereIdle = false)
        {
            text.Each(name, type, help, known, one => one.Labels, one => value(one.Model, one.Of));
            foreach (var model in zeroWhereIdle ? idle : [])
                text.Series(name, LabelsOf(model), 0);
        }
    }

    /// <summary>Writes the families that the residency counts.</summary>
    public static void Write(MetricsText text, ModelResidency residency)
    {
        var models = residency.Totals.Models;
        Family("shimmy_model_loads_total", "Loads of models.", totals => totals.Loads);
        Family("shimmy_model_load_failures_total", "Loads that failed.", totals => totals.FailedLoads);
        Family("shimmy_model_load_seconds_total", "Time that loads took.", totals => totals.LoadTime.TotalSeconds);
        Family("shimmy_worker_crashes_total", "Workers that ended by themselves.", totals => totals.Crashes);
        Family("shimmy_worker_restarts_total", "Loads of a model whose last worker had ended by itself.", totals => totals.Restarts);
        text.Head("shimmy_model_evictions_total", "counter", "Models unloaded: idle for their keep-alive, for the room of another, or asked to.");
        foreach (var (model, totals) in models)
        {
            Series("idle", totals.UnloadedIdle);
            Series("room", totals.UnloadedForRoom);
            Series("asked", totals.UnloadedAsked);

            void Series(string reason, long count) => text.Series("shimmy_model_evictions_total", MetricsText.Labels("model", model, "reason", reason), count);
        }
        var resident = residency.Resident;
        text.Single("shimmy_models_loaded", "gauge", "Models in memory.", resident.Count(model => model.Model is not null));
        text.Each("shimmy_model_requests", "gauge", "Requests that use a model or wait until it is loaded.", resident,
            model => LabelsOf(model.Entry.Name), model => model.Requests);

        void Family(string name, string help, Func<ModelTotals, double> value) =>
            text.Each(name, "counter", help, models, model => LabelsOf(model.Model), model => value(model.Totals));
    }

    private static string LabelsOf(string model) => MetricsText.Labels("model", model);
}
