using Shimmy.Engine;
using Shimmy.Models.Residency;

namespace Shimmy.Observability;

/// <summary>Metrics of loaded models, from their workers' schedulers, and of loads and evictions, from the residency.</summary>
internal static class ModelMetrics
{
    // Endpoint pickers take a server for full whose figures are older than 0.2 s, and a worker answers between two batches only.
    private static readonly TimeSpan BusyTimeout = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan IdleTimeout = TimeSpan.FromSeconds(2);
    private static readonly string[] BatchSizes = Histogram.BoundLabels(EngineStatistics.BatchSizeBounds.Select(bound => (double)bound));

    /// <summary>
    /// Asks the workers of all loaded models for their statistics, in parallel. One that has requests and does not answer within 50 ms is
    /// in a batch: what it said last stands, with the requests that it has at least by now. So it is with one that has none and does not
    /// answer within 2 s. Null for one that is gone.
    /// </summary>
    public static async Task<IReadOnlyList<(ResidentModel Model, EngineStatistics? Statistics)>> AskAsync(
        ModelResidency residency, CancellationToken cancellation)
    {
        var asked = new List<(ResidentModel Model, EngineStatistics? Statistics)>();
        foreach (var model in residency.Resident)
        {
            if (model.Model is not null)
                asked.Add((model, model.Model.StandingStatistics));
        }
        // Mostly all figures are kept, and no worker is asked.
        if (asked.TrueForAll(one => one.Statistics is not null))
            return asked;
        return await Task.WhenAll(asked.Select(one =>
            one.Statistics is null ? AskOneAsync(one.Model, cancellation) : Task.FromResult(one))).ConfigureAwait(false);
    }

    private static async Task<(ResidentModel Model, EngineStatistics? Statistics)> AskOneAsync(
        ResidentModel model, CancellationToken cancellation)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timeout.CancelAfter(model.Requests > 0 ? BusyTimeout : IdleTimeout);
        try
        {
            return (model, await model.Model!.GetStatisticsAsync(timeout.Token).ConfigureAwait(false));
        }
        catch (EngineException)
        {
            return (model, null);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return (model, AssumedBusy(model));
        }
    }

    // A router would send everything to a server that seems to do nothing. What a worker said last may be from before it got so busy.
    private static EngineStatistics AssumedBusy(ResidentModel model)
    {
        var facts = model.Model!.Facts;
        var last = model.Model.LastStatistics ?? new EngineStatistics { Cells = facts.Cells };
        return last with
        {
            SlotsBusy = Math.Max(last.SlotsBusy, Math.Min(model.Requests, facts.Slots)),
            Waiting = Math.Max(last.Waiting, model.Requests - facts.Slots),
        };
    }

    /// <summary>
    /// The models in memory that nobody could ask, most of them because they are being loaded, with the requests that wait for them: one
    /// that was loaded since the others were asked, too.
    /// </summary>
    public static IReadOnlyList<(string Model, int Requests)> LoadingOf(
        IReadOnlyList<ResidentModel> resident, IReadOnlyList<(ResidentModel Model, EngineStatistics? Statistics)> asked) =>
        [.. resident.Where(model => !asked.Any(one => one.Model.Entry.Name == model.Entry.Name && one.Statistics is not null))
            .Select(model => (model.Entry.Name, model.Requests))];

    /// <summary>Writes the metrics of workers.</summary>
    /// <param name="text">Receives the metrics.</param>
    /// <param name="asked">The loaded models, from <see cref="AskAsync"/>.</param>
    /// <param name="totals">What they are together.</param>
    /// <param name="loading">The others in memory, from <see cref="LoadingOf"/>.</param>
    /// <param name="idle">Names of models that are not loaded. They get zeros for running and waiting requests, since a load balancer needs
    /// these metrics also from a server that has not loaded the model yet.</param>
    public static void Write(MetricsText text, IReadOnlyList<(ResidentModel Model, EngineStatistics? Statistics)> asked,
        EngineTotals totals, IReadOnlyList<(string Model, int Requests)> loading, IReadOnlyList<string> idle)
    {
        var known = asked.Where(model => model.Statistics is not null)
            .Select(model => (Labels: LabelsOf(model.Model.Entry.Name), model.Model, Of: model.Statistics!)).ToList();
        Family("shimmy_slots", "gauge", "Number of slots: requests that a model runs in parallel.", (model, _) => model.Model!.Facts.Slots);
        Routed("shimmy_requests_running", "Busy slots: requests in prefill or decode.", totals.Running, of => of.SlotsBusy);
        Routed("shimmy_requests_waiting", "Queue length: requests that wait for a slot, or for a model to be loaded.", totals.Waiting,
            of => of.Waiting, requests => requests);
        Family("shimmy_kv_cells", "gauge", "Size of the KV cache in cells (tokens).", (_, of) => of.Cells);
        Family("shimmy_kv_cells_used", "gauge", "KV cache cells in use, including prefixes kept for later requests.",
            (_, of) => of.CellsUsed);
        Routed("shimmy_kv_cache_usage_ratio", "Share of the KV cache cells that running requests use, 0 to 1; prefixes kept for later are free.", totals.Usage,
            of => of.Cells == 0 ? 0 : (double)of.CellsBusy / of.Cells);
        Family("shimmy_admitted_requests_total", "counter", "Requests that got a slot since the model was loaded.", (_, of) => of.Requests);
        Family("shimmy_refused_requests_total", "counter", "Requests refused since the model was loaded because the queue was full.",
            (_, of) => of.Refused);
        Family("shimmy_prefilled_tokens_total", "counter", "Prompt tokens computed (prefill) since the model was loaded.",
            (_, of) => of.PrefilledTokens);
        Family("shimmy_drafted_tokens_total", "counter", "Draft tokens verified since the model was loaded (speculative decoding).",
            (_, of) => of.DraftedTokens);
        Family("shimmy_draft_tokens_accepted_total", "counter", "Draft tokens accepted since the model was loaded (speculative decoding).",
            (_, of) => of.AcceptedTokens);
        Family("shimmy_decode_calls_total", "counter", "Calls of llama_decode (batches) since the model was loaded.",
            (_, of) => of.DecodeCalls);
        Family("shimmy_preemptions_total", "counter", "Requests sent back to the queue because the KV cache was full, since the load.",
            (_, of) => of.Preemptions);
        Family("shimmy_prefixes_dropped_total", "counter",
            "Cached prefixes evicted because their KV cache cells were needed, since the load.",
            (_, of) => of.PrefixesDropped);
        text.Head("shimmy_prefix_tokens_total", "counter",
            "Prompt tokens that were not computed again, by where they were: cells, checkpoint, memory, disk.");
        foreach (var (_, model, of) in known)
        {
            foreach (var (source, tokens) in of.CachedTokensFrom)
                text.Series("shimmy_prefix_tokens_total", MetricsText.Labels("model", model.Entry.Name, "source", source), tokens);
        }
        Family("shimmy_prefix_states", "gauge", "States of prompts kept in the host's memory.", (_, of) => of.States);
        Family("shimmy_prefix_state_bytes", "gauge", "Bytes of the states kept in the host's memory.", (_, of) => of.StateBytes);
        Family("shimmy_prefix_file_bytes", "gauge", "Bytes of a model's states on disk.", (_, of) => of.StateFileBytes);
        Family("shimmy_prefix_states_restored_total", "counter", "States brought back since the model was loaded.",
            (_, of) => of.StatesRestored);
        Family("shimmy_prefix_states_evicted_total", "counter", "States dropped for want of memory since the model was loaded.",
            (_, of) => of.StatesEvicted);
        Family("shimmy_prefix_restore_seconds_total", "counter", "Time that states took to be brought back since the model was loaded.",
            (_, of) => of.RestoreMilliseconds / 1000);
        Family("shimmy_worker_resident_memory_bytes", "gauge", "Resident memory of a model's worker process in bytes.",
            (_, of) => of.ResidentBytes);
        text.Head("shimmy_batch_size_tokens", "histogram", "Tokens per batch (one call of llama_decode).");
        foreach (var (labels, _, of) in known)
        {
            Histogram.Write(text, "shimmy_batch_size_tokens", labels, BatchSizes, of.BatchSizes, of.BatchTokens);
        }

        void Family(string name, string type, string help, Func<ResidentModel, EngineStatistics, double> value) =>
            text.Each(name, type, help, known, one => one.Labels, one => value(one.Model, one.Of));

        // What endpoint pickers route by. They take one series of a family, the first: that of the whole server, which has no label.
        void Routed(string name, string help, double total, Func<EngineStatistics, double> value, Func<int, double>? ofLoading = null)
        {
            text.Single(name, "gauge", help, total);
            foreach (var one in known)
                text.Series(name, one.Labels, value(one.Of));
            foreach (var (model, requests) in loading)
                text.Series(name, LabelsOf(model), ofLoading?.Invoke(requests) ?? 0);
            foreach (var model in idle)
                text.Series(name, LabelsOf(model), 0);
        }
    }

    /// <summary>Writes the metrics of the residency.</summary>
    /// <param name="text">Receives the metrics.</param>
    /// <param name="counts">Its counts.</param>
    /// <param name="resident">Its models.</param>
    public static void Write(MetricsText text, ResidencyTotals counts, IReadOnlyList<ResidentModel> resident)
    {
        var models = counts.Models;
        Family("shimmy_model_loads_total", "Successful loads of a model.", totals => totals.Loads);
        Family("shimmy_model_load_failures_total", "Failed loads of a model.", totals => totals.FailedLoads);
        Family("shimmy_model_load_seconds_total", "Total duration of successful loads in seconds.", totals => totals.LoadTime.TotalSeconds);
        Family("shimmy_worker_crashes_total", "Workers that ended unexpectedly.", totals => totals.Crashes);
        Family("shimmy_worker_restarts_total", "Loads of a model after its worker had crashed.", totals => totals.Restarts);
        text.Head("shimmy_model_evictions_total", "counter",
            "Models unloaded, by reason: idle (keep-alive expired), memory (needed by another model), request (asked to).");
        foreach (var (model, totals) in models)
        {
            Series("idle", totals.UnloadedIdle);
            Series("memory", totals.Evicted);
            Series("request", totals.UnloadedAsked);

            void Series(string reason, long count) =>
                text.Series("shimmy_model_evictions_total", MetricsText.Labels("model", model, "reason", reason), count);
        }
        text.Single("shimmy_models_loaded", "gauge", "Number of loaded models.", resident.Count(model => model.Model is not null));
        text.Each("shimmy_model_requests", "gauge", "Requests that use a model or wait for its load.", resident,
            model => LabelsOf(model.Entry.Name), model => model.Requests);

        void Family(string name, string help, Func<ModelTotals, double> value) =>
            text.Each(name, "counter", help, models, model => LabelsOf(model.Model), model => value(model.Totals));
    }

    private static string LabelsOf(string model) => MetricsText.Labels("model", model);
}
