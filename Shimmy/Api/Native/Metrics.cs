using System.Globalization;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Primitives;
using Shimmy.Chat.Cache;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models.Registry;
using Shimmy.Models.Residency;
using Shimmy.Observability;

namespace Shimmy.Api.Native;

/// <summary><c>GET /metrics</c>: Prometheus' text, or JSON where the client asks for that.</summary>
internal static class Metrics
{
    /// <summary>The path.</summary>
    public const string Path = "/metrics";

    public static void Map(RouteTable routes) => routes.MapRead(Path, Handle, RoutePolicy.Quiet | RoutePolicy.DuringDrain, name: "metrics");

    private static async Task Handle(HttpContext context)
    {
        var residency = context.RequestServices.GetRequiredService<ModelResidency>();
        var requests = context.RequestServices.GetRequiredService<RequestMetrics>();
        var models = await ModelMetrics.AskAsync(residency, context.RequestAborted);
        context.Response.Headers.Vary = "Accept";
        var registry = context.RequestServices.GetRequiredService<ModelRegistry>();
        if (PrefersJson(context.Request.Headers.Accept))
        {
            await JsonResponse.WriteAsync(context, json => WriteJson(
                json, registry, models, requests, context.RequestServices.GetRequiredService<ResponseCache>()));
            return;
        }
        using var text = new MetricsText();
        text.Head("shimmy_build_info", "gauge", "The program; always 1.");
        text.Series("shimmy_build_info", MetricsText.Labels("version", ServerState.Version), 1);
        text.Single("shimmy_uptime_seconds", "gauge", "Time since the server started.",
            context.RequestServices.GetRequiredService<ServerState>().Uptime.TotalSeconds);
        requests.WriteTo(text);
        WriteModels(context, text, models, residency, registry);
        WriteCache(text, context.RequestServices.GetRequiredService<ResponseCache>());
        ProcessFacts.WriteTo(text);
        context.Response.ContentType = MetricsText.ContentType;
        context.Response.ContentLength = text.Length;
        await context.Response.Body.WriteAsync(text.Written, context.RequestAborted);
    }

    // As long as no model has anything to do they say the same.
    private static void WriteModels(HttpContext context, MetricsText text,
        IReadOnlyList<(ResidentModel Model, EngineStatistics? Statistics)> asked, ModelResidency residency, ModelRegistry registry)
    {
        var services = context.RequestServices;
        var (changes, resident, entries) = (residency.Totals.Changes, residency.Resident, registry.Entries);
        object?[] decisive =
            [changes, entries, .. resident, null, .. asked.Select(one => one.Model), .. asked.Select(one => one.Statistics)];
        services.GetRequiredService<MetricsTextCache>().Write(text, decisive, text =>
        {
            // Those that were asked may be gone by now.
            var inMemory = resident.Concat(asked.Select(model => model.Model))
                .Select(model => model.Entry.Name).ToHashSet(StringComparer.OrdinalIgnoreCase);
            var loading = ModelMetrics.LoadingOf(resident, asked);
            var picker = services.GetRequiredService<PickerMetrics>();
            var adapters = picker.AdaptersOf(entries, entries => ModelResolver.AdaptersOf(context, entries));
            var totals = EngineTotals.Of(asked, loading, (model, adapter) => AdapterModel.NameOf(adapters, model, adapter), adapters.Count);
            ModelMetrics.Write(text, asked, totals, loading,
                [.. entries.Where(entry => entry.WhyUnloadable is null && !inMemory.Contains(entry.Name)).Select(entry => entry.Name)]);
            picker.Write(text, totals, services.GetRequiredService<ServerState>().NamesMetricsAsVllm);
            ModelMetrics.Write(text, residency.Totals, resident);
            LlamaMetrics.Write(text, LlamaMetrics.Sum(asked.Select(model => model.Statistics).OfType<EngineStatistics>()));
        });
    }

    // Of answers: a request may ask for several. Requests by outcome are counted with the others.
    private static void WriteCache(MetricsText text, ResponseCache cache)
    {
        text.Head("shimmy_response_cache_answers_total", "counter",
            "Answers that the response cache had, that it looked for and has from now on, and that it was not asked for.");
        text.Series("shimmy_response_cache_answers_total", MetricsText.Labels("outcome", "hit"), cache.Hits);
        text.Series("shimmy_response_cache_answers_total", MetricsText.Labels("outcome", "miss"), cache.Misses);
        text.Series("shimmy_response_cache_answers_total", MetricsText.Labels("outcome", "bypass"), cache.Bypasses);
        text.Single("shimmy_response_cache_evictions_total", "counter",
            "Answers evicted by size or age.", cache.Evictions);
        text.Single("shimmy_response_cache_entries", "gauge", "Answers in the response cache.", cache.Entries);
        text.Single("shimmy_response_cache_bytes", "gauge", "Bytes of the answers in the response cache.", cache.Bytes);
    }

    private static void WriteJson(Utf8JsonWriter json, ModelRegistry registry,
        IReadOnlyList<(ResidentModel Model, EngineStatistics? Statistics)> asked, RequestMetrics requests, ResponseCache cache)
    {
        json.WriteStartObject();
        json.WriteStartArray("models");
        foreach (var (model, of) in asked)
        {
            json.WriteStartObject();
            json.WriteString("name", model.Entry.Name);
            json.WriteNumber("size_bytes", model.Entry.SizeBytes);
            json.WriteNumber("memory_bytes", of?.ResidentBytes is > 0 and var resident ? resident : model.MemoryBytes);
            json.WriteNumber("slots", model.Model!.Facts.Slots);
            json.WriteNumber("requests_running", of?.SlotsBusy ?? 0);
            json.WriteNumber("requests_waiting", of?.Waiting ?? 0);
            json.WriteNumber("kv_cells", of?.Cells ?? 0);
            json.WriteNumber("kv_cells_used", of?.CellsUsed ?? 0);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteStartObject("memory");
        json.WriteNumber("server_bytes", ProcessFacts.ResidentBytes);
        json.WriteNumber("models_bytes", asked.Sum(model => model.Model.MemoryBytes));
        json.WriteEndObject();
        json.WriteStartObject("requests");
        json.WriteNumber("total", requests.Requests);
        json.WriteNumber("in_flight", requests.Running);
        json.WriteNumber("models_known", registry.Entries.Count);
        json.WriteEndObject();
        json.WriteStartObject("tokens");
        json.WriteNumber("prompt", requests.PromptTokens);
        json.WriteNumber("prompt_cached", requests.CachedTokens);
        json.WriteNumber("generated", requests.GeneratedTokens);
        json.WriteEndObject();
        json.WriteStartObject("cache");
        json.WriteNumber("hits", cache.Hits);
        json.WriteNumber("misses", cache.Misses);
        json.WriteNumber("bypasses", cache.Bypasses);
        json.WriteNumber("evictions", cache.Evictions);
        json.WriteNumber("entries", cache.Entries);
        json.WriteNumber("bytes", cache.Bytes);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    /// <summary>
    /// Whether an Accept header (RFC 9110, 12.5.1) prefers JSON: names it, with a weight no less than that of plain text.
    /// </summary>
    public static bool PrefersJson(StringValues header)
    {
        string[] text = ["*/*", "text/*", "text/plain"];
        var (json, plain, exact) = (0.0, 0.0, -1);
        foreach (var range in header.ToString().Split(','))
        {
            var parts = range.Split(';', StringSplitOptions.TrimEntries);
            if (parts[0].Equals("application/json", StringComparison.OrdinalIgnoreCase))
                json = QualityIn(parts);
            // The most specific range decides.
            if (Array.FindIndex(text, one => one.Equals(parts[0], StringComparison.OrdinalIgnoreCase)) is var at && at > exact)
                (plain, exact) = (QualityIn(parts), at);
        }
        return json > 0 && json >= plain;
    }

    private static double QualityIn(string[] parts) =>
        parts.Skip(1).FirstOrDefault(part => part.StartsWith("q=", StringComparison.OrdinalIgnoreCase)) is { } given
            && double.TryParse(given[2..], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var quality)
            ? quality
            : 1;
}
