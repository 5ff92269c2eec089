using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Models;
using Shimmy.Models.Residency;

namespace Shimmy.Api.Native;

/// <summary>
/// <c>POST /api/models/{name}/load</c> (with an optional body <c>{keep_alive}</c>) and <c>/unload</c>, <c>GET …/status</c>. All answer with
/// what is true of the model afterwards.
/// </summary>
internal static class ModelControl
{
    public static void Map(RouteTable routes)
    {
        routes.MapPost("/api/models/{name}/load", HandleLoad);
        routes.MapPost("/api/models/{name}/unload", HandleUnload);
        routes.MapRead("/api/models/{name}/status", HandleStatus);
    }

    private static async Task HandleLoad(HttpContext context)
    {
        var keepAlive = await ReadKeepAliveAsync(context, "keep_alive");
        var entry = await FindAsync(context);
        (await ResidencyOf(context).AcquireAsync(entry, null, keepAlive, context.RequestAborted)).Dispose();
        await WriteStatusAsync(context, entry);
    }

    private static async Task HandleUnload(HttpContext context)
    {
        await ReadKeepAliveAsync(context, null);
        var entry = await FindAsync(context);
        await ResidencyOf(context).UnloadAsync(entry.Name, context.RequestAborted);
        await WriteStatusAsync(context, entry);
    }

    private static async Task HandleStatus(HttpContext context) => await WriteStatusAsync(context, await FindAsync(context));

    private static async Task<ModelEntry> FindAsync(HttpContext context)
    {
        var entry = await ModelAsked.FindAsync(context, ModelAsked.NameInPath(context, "name"));
        RequestLog.Of(context).Model = entry.Name;
        return entry;
    }

    private static ModelResidency ResidencyOf(HttpContext context) => context.RequestServices.GetRequiredService<ModelResidency>();

    private static async Task<TimeSpan?> ReadKeepAliveAsync(HttpContext context, string? allowed)
    {
        if (context.Features.Get<IHttpRequestBodyDetectionFeature>() is not { CanHaveBody: true })
            return null;
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        if (fields.Names.FirstOrDefault(name => name != allowed) is { } unknown)
            throw ApiException.BadField(unknown, allowed is null ? "is not known here; nothing is" : $"is not known here; {allowed} is");
        return ModelAsked.KeepAliveOf(fields);
    }

    private static Task WriteStatusAsync(HttpContext context, ModelEntry entry)
    {
        var resident = ResidencyOf(context).Resident
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
            NativeJson.WriteAdapters(json, resident?.Model);
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
