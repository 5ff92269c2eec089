using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Http;
using Shimmy.Models.Registry;
using Shimmy.Models.Residency;

namespace Shimmy.Api.Native;

/// <summary><c>GET /health</c>: 200 while the server takes requests, 503 while it drains.</summary>
internal static class Health
{
    /// <summary>The routes that <c>endpoints</c> lists, by name.</summary>
    private static readonly (string Name, string Route)[] Endpoints =
    [
        ("chat_completions", "/v1/chat/completions"),
        ("completions", "/v1/completions"),
        ("responses", "/v1/responses"),
        ("embeddings", "/v1/embeddings"),
        ("rerank", "/v1/rerank"),
        ("messages", "/v1/messages"),
        ("models", "/v1/models"),
        ("native_models", "/api/models"),
        ("generate", "/api/generate"),
        ("ollama_chat", "/api/chat"),
        ("ollama_models", "/api/tags"),
        ("websocket", "/ws/generate"),
        ("health", "/health"),
        ("metrics", "/metrics"),
        ("diag", "/diag"),
    ];

    /// <summary>The path.</summary>
    public const string Path = "/health";

    public static void Map(RouteTable routes) =>
        routes.MapRead(Path, Handle, RoutePolicy.Open | RoutePolicy.Quiet | RoutePolicy.DuringDrain);

    // Probes give up soon: what comes later is counted at the next.
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(5);

    private static async Task Handle(HttpContext context)
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
            foreach (var (name, route) in Endpoints)
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
