using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Http;
using Shimmy.Models.Registry;
using Shimmy.Models.Residency;

namespace Shimmy.Api.Native;

/// <summary><c>GET /health</c>: 200 while the server takes requests, 503 while it drains.</summary>
internal static class Health
{
    /// <summary>The path.</summary>
    public const string Path = "/health";

    public static void Map(RouteTable routes) =>
        routes.MapRead(Path, context => HandleAsync(context, routes), RoutePolicy.Open | RoutePolicy.Quiet | RoutePolicy.DuringDrain,
            name: "health");

    // Probes give up soon: what comes later is counted at the next.
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(5);

    private static async Task HandleAsync(HttpContext context, RouteTable routes)
    {
        var state = context.RequestServices.GetRequiredService<ServerState>();
        var registry = context.RequestServices.GetRequiredService<ModelRegistry>();
        if (!state.Draining)
            await WaitForScanAsync(registry, context.RequestAborted);
        var loaded =
            context.RequestServices.GetRequiredService<ModelResidency>().Resident.Count(model => model.State == ResidencyState.Ready);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("status"u8, state.Draining ? "draining"u8 : "ok"u8);
            json.WriteString("service"u8, "shimmy"u8);
            json.WriteString("version", ServerState.Version);
            json.WriteStartObject("models");
            json.WriteNumber("total", registry.Entries.Count);
            json.WriteNumber("discovered", registry.DiscoveredCount);
            json.WriteNumber("manual", registry.RegisteredCount);
            json.WriteNumber("loaded", loaded);
            if (registry.IsFirstScan)
                json.WriteBoolean("scanning", true);
            json.WriteEndObject();
            json.WriteStartObject("endpoints");
            foreach (var (name, route) in routes.Endpoints)
                json.WriteString(name, route);
            json.WriteEndObject();
            json.WriteStartObject("compatibility");
            json.WriteBoolean("openai", true);
            json.WriteBoolean("anthropic", true);
            json.WriteBoolean("ollama", true);
            json.WriteBoolean("cors", true);
            json.WriteEndObject();
            NativeJson.WriteTime(json, "timestamp", DateTimeOffset.UtcNow);
            json.WriteNumber("uptime_seconds", Math.Round(state.Uptime.TotalSeconds, 3));
            json.WriteEndObject();
        }, state.Draining ? 503 : 200);
    }

    private static async Task WaitForScanAsync(ModelRegistry registry, CancellationToken aborted)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(aborted);
        limit.CancelAfter(LongestWait);
        await registry.ScannedAsync(limit.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }
}
