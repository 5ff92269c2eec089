using System.Globalization;
using Shimmy.Engine;
using Shimmy.Models;
using Shimmy.Models.Registry;
using Shimmy.Models.Residency;

namespace Shimmy.Observability;

/// <summary>The totals of all loaded models of a server at one moment.</summary>
/// <param name="Running">Requests that run.</param>
/// <param name="Waiting">Requests that wait.</param>
/// <param name="Cells">KV cells.</param>
/// <param name="CellsBusy">KV cells of requests that run.</param>
/// <param name="Adapters">LoRA adapters that can act, those of models that are not loaded included.</param>
/// <param name="RunningAdapters">Names of those that act now.</param>
/// <param name="WaitingAdapters">Names of those that are waited for now.</param>
internal sealed record EngineTotals(int Running, int Waiting, long Cells, long CellsBusy, int Adapters,
    IReadOnlyList<string> RunningAdapters, IReadOnlyList<string> WaitingAdapters)
{
    /// <summary>
    /// Share of the cells that requests use. Idle prefixes are not counted, as vLLM does not count blocks that nobody refers to: they are
    /// free for whoever needs cells, and a router that took them for use would shun the servers that have something computed already.
    /// </summary>
    public double Usage => Cells == 0 ? 0 : (double)CellsBusy / Cells;

    /// <summary>Adds up what the workers have answered, and the requests that wait for a load.</summary>
    /// <param name="asked">The loaded models, from <see cref="ModelMetrics.AskAsync"/>.</param>
    /// <param name="loading">The others, from <see cref="ModelMetrics.LoadingOf"/>.</param>
    /// <param name="nameOf">What requests call the adapter (second) of a model (first).</param>
    /// <param name="adapters">Adapters of all models.</param>
    public static EngineTotals Of(IReadOnlyList<(ResidentModel Model, EngineStatistics? Statistics)> asked,
        IReadOnlyList<(string Model, int Requests)> loading, Func<string, string, string> nameOf, int adapters)
    {
        var (running, waiting, cells, busy) = (0, 0, 0L, 0L);
        var (acting, awaited) = (new SortedSet<string>(StringComparer.Ordinal), new SortedSet<string>(StringComparer.Ordinal));
        foreach (var (model, statistics) in asked)
        {
            if (statistics is not { } of)
                continue;
            running += of.SlotsBusy;
            waiting += of.Waiting;
            cells += of.Cells;
            busy += of.CellsBusy;
            acting.UnionWith(of.RunningAdapters.Select(adapter => nameOf(model.Entry.Name, adapter)));
            awaited.UnionWith(of.WaitingAdapters.Select(adapter => nameOf(model.Entry.Name, adapter)));
        }
        waiting += loading.Sum(model => model.Requests);
        return new EngineTotals(running, waiting, cells, busy, adapters, [.. acting], [.. awaited]);
    }
}

/// <summary>
/// The metrics that endpoint pickers (Gateway API inference extension, llm-d) read beside the load: adapters and the size of the KV
/// cache; and vLLM's names for all of it, for pickers that are set up for those. Each is one series, and there also while no model is
/// loaded: a picker takes a server that lacks a metric for a full one.
/// </summary>
internal sealed class PickerMetrics(TimeProvider time)
{
    private readonly Lock _lock = new();
    private string _adapters = "";
    private (IReadOnlyList<ModelEntry>? Models, IReadOnlyList<AdapterModel> Adapters) _known = (null, []);
    private double _changedAt = time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0;

    /// <summary>Writes them.</summary>
    /// <param name="text">Receives the metrics.</param>
    /// <param name="totals">The loaded models.</param>
    /// <param name="withVllm">Whether vLLM's names stand beside Shimmy's.</param>
    public void Write(MetricsText text, EngineTotals totals, bool withVllm)
    {
        var labels = MetricsText.Labels("max_lora", Whole(totals.Adapters),
            "running_lora_adapters", AdapterModel.Joined(totals.RunningAdapters),
            "waiting_lora_adapters", AdapterModel.Joined(totals.WaitingAdapters));
        var changed = ChangedAt(labels);
        const string ofAdapters = "LoRA adapters that act and that are waited for; the value is the time at which that was new.";
        One("shimmy_lora_requests_info", ofAdapters, labels, changed);
        text.Single("shimmy_kv_block_size_tokens", "gauge", "Tokens of a block, by which KV events tell what is in the KV cache.",
            CellBlocks.Tokens);
        text.Single("shimmy_kv_blocks", "gauge", "Blocks that the KV caches of the loaded models hold.", totals.Cells / CellBlocks.Tokens);
        if (!withVllm)
            return;
        One("vllm:num_requests_waiting", "shimmy_requests_waiting.", "", totals.Waiting);
        One("vllm:num_requests_running", "shimmy_requests_running.", "", totals.Running);
        One("vllm:kv_cache_usage_perc", "shimmy_kv_cache_usage_ratio.", "", totals.Usage);
        One("vllm:lora_requests_info", ofAdapters, labels, changed);
        One("vllm:cache_config_info", "Size of the KV cache; always 1.", MetricsText.Labels("block_size", Whole(CellBlocks.Tokens),
            "num_gpu_blocks", Whole(totals.Cells / CellBlocks.Tokens)), 1);

        void One(string name, string help, string labels, double value)
        {
            text.Head(name, "gauge", help);
            text.Series(name, labels, value);
        }
    }

    /// <summary>The adapters of these models; made once for each list of models, as they are looked at with each scrape.</summary>
    public IReadOnlyList<AdapterModel> AdaptersOf(
        IReadOnlyList<ModelEntry> models, Func<IReadOnlyList<ModelEntry>, IReadOnlyList<AdapterModel>> make)
    {
        lock (_lock)
        {
            if (!ReferenceEquals(_known.Models, models))
                _known = (models, make(models));
            return _known.Adapters;
        }
    }

    private static string Whole(long number) => number.ToString(CultureInfo.InvariantCulture);

    private double ChangedAt(string adapters)
    {
        lock (_lock)
        {
            if (_adapters != adapters)
                (_adapters, _changedAt) = (adapters, time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0);
            return _changedAt;
        }
    }
}
