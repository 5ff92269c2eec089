using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Http;
using Shimmy.Models.Residency;
using Shimmy.Observability;

namespace Shimmy.Api.LlamaServer;

/// <summary>
/// The routes that answer otherwise where the server was started as llama-server: <c>/health</c>, <c>/v1/models</c> without a key,
/// <c>/metrics</c> by llama-server's names, and embeddings, of prompts in all its forms.
/// </summary>
internal static class LlamaModeRoutes
{
    public static void Map(RouteTable routes)
    {
        routes.MapInstead("/health", HandleHealth, RoutePolicy.Open | RoutePolicy.Quiet | RoutePolicy.DuringDrain);
        routes.MapInstead("/metrics", HandleMetrics, RoutePolicy.Quiet | RoutePolicy.DuringDrain);
        routes.MapPost("/embeddings", context => LlamaTexts.HandleEmbeddingAsync(context, asOpenAI: false), asked: _ => true);
        routes.MapPost("/v1/embeddings", context => LlamaTexts.HandleEmbeddingAsync(context, asOpenAI: true), asked: _ => true);
    }

    /// <summary>Answers that the server is well.</summary>
    public static Task HandleHealth(HttpContext context) => JsonResponse.WriteAsync(context, json =>
    {
        json.WriteStartObject();
        json.WriteString("status"u8, "ok"u8);
        json.WriteEndObject();
    });

    private static async Task HandleMetrics(HttpContext context)
    {
        if (!LlamaServerMode.Of(context).Metrics)
            throw new ApiException(501, "This server does not support metrics endpoint. Start it with `--metrics`");
        var asked = await ModelMetrics.AskAsync(context.RequestServices.GetRequiredService<ModelResidency>(), context.RequestAborted);
        using var text = new MetricsText();
        context.RequestServices.GetRequiredService<LlamaTotals>().Write(text, asked);
        var started = DateTimeOffset.UtcNow - context.RequestServices.GetRequiredService<ServerState>().Uptime;
        context.Response.Headers["Process-Start-Time-Unix"] = started.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
        context.Response.ContentType = "text/plain; version=0.0.4";
        context.Response.ContentLength = text.Length;
        await context.Response.Body.WriteAsync(text.Written, context.RequestAborted);
    }
}
