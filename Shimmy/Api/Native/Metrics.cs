using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Engine;
using Shimmy.Models;
using Shimmy.Models.Residency;
using Shimmy.Observability;

namespace Shimmy.Api.Native;

/// <summary><c>GET /metrics</c>: Prometheus' text, or JSON where the client asks for that.</summary>
internal static class Metrics
{
    public static void Map(RouteTable routes) => routes.MapRead("/metrics", Handle);

    private static async Task Handle(HttpContext context)
    {
        var residency = context.RequestServices.GetRequiredService<ModelResidency>();
        var requests = context.RequestServices.GetRequiredService<RequestMetrics>();
        var models = await ModelMetrics.AskAsync(residency, context.RequestAborted);
        context.Response.Headers.Vary = "Accept";
        if (context.Request.Headers.Accept.ToString().Contains("application/json", StringComparison.OrdinalIgnoreCase))
        {
            await Reply.JsonAsync(context, json => WriteJson(json, context.RequestServices.GetRequiredService<ModelRegistry>(), models, requests));
            return;
        }
        var text = new MetricsText();
        text.Head("shimmy_build_info", "gauge", "The program; always 1.");
        text.Series("shimmy_build_info", MetricsText.Labels("version", ServerState.Version), 1);
        text.Single("shimmy_uptime_seconds", "gauge", "Time since the server started.", context.RequestServices.GetRequiredService<ServerState>().Uptime.TotalSeconds);
        requests.WriteTo(text);
        ModelMetrics.Write(text, models);
        ModelMetrics.Write(text, residency);
        ProcessFacts.WriteTo(text);
        context.Response.ContentType = MetricsText.ContentType;
        await context.Response.Body.WriteAsync(Encoding.UTF8.GetBytes(text.ToString()), context.RequestAborted);
    }

    private static void WriteJson(Utf8JsonWriter json, ModelRegistry registry,
        IReadOnlyList<(ResidentModel Model, EngineStatistics? Statistics)> asked, RequestMetrics requests)
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
        json.WriteEndObject();
    }
}
