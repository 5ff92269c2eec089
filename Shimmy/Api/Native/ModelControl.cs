using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Models;
using Shimmy.Models.Residency;

namespace Shimmy.Api.Native;

/// <summary>
/// <c>POST /api/models/{name}/load</c> (with an optional body <c>{keep_alive}</c>) and <c>/unload</c>, <c>GET …/status</c>. All answer with
/// what is true of the model afterwards. A name may hold slashes, so that the last segment says what is wanted.
/// </summary>
internal static class ModelControl
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/api/models/{**path}", (RequestDelegate)HandlePost);
        routes.MapGet("/api/models/{**path}", (RequestDelegate)HandleGet);
    }

    private static async Task HandlePost(HttpContext context)
    {
        var (name, action) = Split(context);
        if (action is not ("load" or "unload"))
            throw NoRoute(context, "POST /api/models/{name}/load and /unload are");
        var residency = context.RequestServices.GetRequiredService<ModelResidency>();
        var keepAlive = await ReadKeepAliveAsync(context, action);
        var entry = await ModelAsked.FindAsync(context, name);
        RequestLog.Of(context).Model = entry.Name;
        if (action == "load")
            (await residency.AcquireAsync(entry, null, keepAlive, context.RequestAborted)).Dispose();
        else
            await residency.UnloadAsync(entry.Name, context.RequestAborted);
        await WriteStatusAsync(context, entry);
    }

    private static async Task HandleGet(HttpContext context)
    {
        var (name, action) = Split(context);
        if (action != "status")
            throw NoRoute(context, "GET /api/models/{name}/status is");
        await WriteStatusAsync(context, await ModelAsked.FindAsync(context, name));
    }

    private static (string Name, string Action) Split(HttpContext context)
    {
        var path = ModelAsked.NameOf(context, "path");
        var slash = path.LastIndexOf('/');
        return slash <= 0 ? ("", "") : (path[..slash], path[(slash + 1)..]);
    }

    private static ApiException NoRoute(HttpContext context, string known) =>
        new(404, $"there is no route {context.Request.Method} {context.Request.Path}; {known}", "route_not_found");

    private static async Task<TimeSpan?> ReadKeepAliveAsync(HttpContext context, string action)
    {
        if (context.Features.Get<IHttpRequestBodyDetectionFeature>() is not { CanHaveBody: true })
            return null;
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var allowed = action == "load" ? "keep_alive" : null;
        if (fields.Names.FirstOrDefault(name => name != allowed) is { } unknown)
            throw ApiException.BadField(unknown, allowed is null ? "is not known here; nothing is" : $"is not known here; {allowed} is");
        return ModelAsked.KeepAliveOf(fields);
    }

    private static Task WriteStatusAsync(HttpContext context, ModelEntry entry)
    {
        var resident = context.RequestServices.GetRequiredService<ModelResidency>().Resident
            .FirstOrDefault(model => string.Equals(model.Entry.Name, entry.Name, StringComparison.OrdinalIgnoreCase));
        return Reply.JsonAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("model", entry.Name);
            json.WriteBoolean("loaded", resident?.Model is not null);
            json.WriteString("status", StatusOf(resident));
            json.WriteNumber("memory_bytes", resident?.MemoryBytes ?? 0);
            json.WriteNumber("requests_active", resident?.Requests ?? 0);
            WriteTime("last_used", resident?.LastUsed);
            WriteTime("expires_at", resident?.ExpiresAt);
            json.WriteBoolean("pinned", resident?.Pinned ?? entry.Settings.Pinned);
            json.WriteEndObject();

            void WriteTime(string name, DateTimeOffset? time) => json.WriteString(name,
                time?.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture));
        });
    }

    private static string StatusOf(ResidentModel? resident) => resident?.State switch
    {
        null => "unloaded",
        ResidencyState.Waiting => "waiting",
        ResidencyState.Loading => "loading",
        ResidencyState.Ready => "ready",
        ResidencyState.Draining => "draining",
        _ => "unloading",
    };
}
