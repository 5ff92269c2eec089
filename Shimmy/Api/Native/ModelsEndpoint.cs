using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models;
using Shimmy.Models.Registry;
using Shimmy.Models.Residency;

namespace Shimmy.Api.Native;

/// <summary><c>GET /api/models</c>, and <c>POST /api/models/discover</c>, which scans again first.</summary>
internal static class ModelsEndpoint
{
    public static void Map(RouteTable routes)
    {
        routes.MapRead("/api/models", HandleList, name: "native_models");
        routes.MapPost("/api/models/discover", HandleDiscover);
    }

    private static async Task HandleList(HttpContext context)
    {
        var registry = context.RequestServices.GetRequiredService<ModelRegistry>();
        await registry.ScannedAsync(context.RequestAborted);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            WriteModels(json, context, registry);
            json.WriteEndObject();
        });
    }

    private static async Task HandleDiscover(HttpContext context)
    {
        var registry = context.RequestServices.GetRequiredService<ModelRegistry>();
        var discovered = await registry.RefreshAsync(context.RequestAborted);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteNumber("discovered", discovered);
            WriteModels(json, context, registry);
            json.WriteEndObject();
        });
    }

    private static void WriteModels(Utf8JsonWriter json, HttpContext context, ModelRegistry registry)
    {
        var residency = context.RequestServices.GetRequiredService<ModelResidency>();
        json.WriteStartArray("models");
        foreach (var entry in registry.Entries)
            Write(json, entry, residency.Find(entry.Name)?.Model, residency);
        json.WriteEndArray();
        json.WriteStartArray("skipped");
        foreach (var file in registry.LastScan.Skipped)
        {
            json.WriteStartObject();
            json.WriteString("path", file.Path);
            json.WriteString("origin", file.Origin);
            json.WriteString("reason", file.Reason);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteStartObject("memory");
        if (residency.MemoryBudget is { } budget)
            json.WriteNumber("budget_bytes", budget);
        else
            json.WriteNull("budget_bytes");
        json.WriteNumber("resident_bytes", residency.Resident.Sum(model => model.MemoryBytes));
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, ModelEntry entry, ILoadedModel? loaded, ModelResidency residency)
    {
        var context = residency.ContextOf(entry);
        json.WriteStartObject();
        json.WriteString("name", entry.Name);
        json.WriteString("path", entry.Path);
        json.WriteNumber("size_bytes", entry.SizeBytes);
        json.WriteNumber("size_mb", ByteCount.Megabytes(entry.SizeBytes));
        json.WriteString("origin", entry.Origin);
        json.WriteString("model_type", entry.Type.Label());
        json.WriteString("architecture", entry.Architecture);
        if (entry.ParameterCount is { } parameters)
            json.WriteNumber("parameter_count", parameters);
        else
            json.WriteNull("parameter_count");
        json.WriteString("quantization", entry.Quantization);
        json.WriteNumber("context_length", context);
        if (entry.ContextLength > 0 && entry.ContextLength != context)
            json.WriteNumber("max_context_length", entry.ContextLength);
        json.WriteStartArray("capabilities");
        foreach (var capability in residency.AsLoaded(entry).Capabilities)
            json.WriteStringValue(capability);
        json.WriteEndArray();
        json.WriteString("source"u8, entry.Source == ModelSource.Registered ? "registered"u8 : "discovered"u8);
        json.WriteBoolean("is_discovered", entry.Source == ModelSource.Discovered);
        json.WriteBoolean("ready", entry.WhyUnloadable is null);
        if (entry.WhyUnloadable is { } reason)
            json.WriteString("why_not_ready", reason);
        json.WriteBoolean("loaded", loaded is not null);
        NativeJson.WriteFormat(json, residency.ConversionOf(entry));
        NativeJson.WriteAdapters(json, loaded);
        json.WriteEndObject();
    }
}
