using System.Globalization;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Http;
using Shimmy.Models.Residency;
using Shimmy.Observability;

namespace Shimmy.Api.LlamaServer;

/// <summary>
/// llama-server's own dialect: the routes that it has beside OpenAI's and Anthropic's. <c>shimmy llama-server</c> gives the errors of all
/// routes in its shape.
/// </summary>
internal sealed class LlamaServerDialect : Dialect
{
    /// <summary>The dialect; it has no state.</summary>
    public static LlamaServerDialect Instance { get; } = new();

    /// <summary>The paths below it; the other routes are mapped as the dialect's one by one.</summary>
    public override string Prefix => "/slots";

    /// <inheritdoc/>
    protected override void WriteError(Utf8JsonWriter json, ApiError error, string? requestId)
    {
        json.WriteStartObject();
        json.WriteStartObject("error");
        json.WriteNumber("code", error.Status);
        json.WriteString("message", error.Message);
        json.WriteString("type", TypeOf(error));
        if (error.Field is { } field)
            json.WriteString("param", field);
        error.Overflow?.Write(json);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static string TypeOf(ApiError error) => error.Status switch
    {
        _ when error.Overflow is not null => "exceed_context_size_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        501 => "not_supported_error",
        503 => "unavailable_error",
        >= 500 => "server_error",
        _ => "invalid_request_error",
    };
}

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
