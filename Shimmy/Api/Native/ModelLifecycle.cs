using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models;
using Shimmy.Models.Residency;

namespace Shimmy.Api.Native;

/// <summary>
/// <c>POST /api/models/{name}/load</c> (with an optional body <c>{keep_alive, pinned, gpu_layers, cpu_moe, n_cpu_moe}</c>) and
/// <c>/unload</c>, <c>GET …/status</c>. All answer with what is true of the model afterwards. Where the layers go holds until the model
/// is unloaded.
/// </summary>
internal static class ModelLifecycle
{
    private static readonly string[] LoadFields =
        ["keep_alive", "pinned", .. TuningOption.All.Where(option => option.InRequests).Select(option => option.Field)];

    public static void Map(RouteTable routes)
    {
        routes.MapPost("/api/models/{name}/load", HandleLoad);
        routes.MapPost("/api/models/{name}/unload", HandleUnload);
        routes.MapRead("/api/models/{name}/status", HandleStatus);
    }

    private static async Task HandleLoad(HttpContext context)
    {
        var (keepAlive, pinned, tuning) = await ReadBodyAsync(context, LoadFields);
        var entry = await FindAsync(context, pulls: true);
        var residency = ResidencyOf(context);
        var asks = !tuning.IsSameAs(LoadTuning.None);
        var before = asks ? residency.Tunings.Replace(entry.Name, new LoadOverride(tuning)) : null;
        try
        {
            (await residency.AcquireAsync(entry, null, keepAlive, context.RequestAborted)).Dispose();
        }
        catch (EngineException) when (asks)
        {
            // What cannot be loaded so is loaded as before for everybody else.
            residency.Tunings.Replace(entry.Name, before);
            throw;
        }
        if (pinned is { } asked)
            residency.Pin(entry, asked);
        await WriteStatusAsync(context, entry);
    }

    private static async Task HandleUnload(HttpContext context)
    {
        await ReadBodyAsync(context, []);
        var entry = await FindAsync(context);
        await ResidencyOf(context).UnloadAsync(entry.Name, context.RequestAborted);
        await WriteStatusAsync(context, entry);
    }

    // What a load would need is returned before it is done.
    private static async Task HandleStatus(HttpContext context)
    {
        var entry = await FindAsync(context);
        var need = entry.WhyUnloadable is null ? await ResidencyOf(context).NeedOfAsync(entry, context.RequestAborted) : null;
        await WriteStatusAsync(context, entry, need?.Bytes,
            ModelResolver.AdapterOf(context, ModelResolver.NameInPath(context, "name"))?.Name);
    }

    private static async Task<ModelEntry> FindAsync(HttpContext context, bool pulls = false)
    {
        // Who asks whether a server has a model must not hear of another.
        var entry = await ModelResolver.FindAsync(context, ModelResolver.NameInPath(context, "name"), pulls, anyName: false);
        RequestContext.Of(context).Model = entry.Name;
        return entry;
    }

    private static ModelResidency ResidencyOf(HttpContext context) => context.RequestServices.GetRequiredService<ModelResidency>();

    private static async Task<(TimeSpan? KeepAlive, bool? Pinned, LoadTuning Tuning)> ReadBodyAsync(HttpContext context, string[] allowed)
    {
        if (context.Features.Get<IHttpRequestBodyDetectionFeature>() is not { CanHaveBody: true })
            return (null, null, LoadTuning.None);
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        if (fields.Names.FirstOrDefault(name => !allowed.Contains(name)) is { } unknown)
        {
            throw ApiException.BadField(unknown, allowed.Length == 0
                ? "is not a known field; there are none"
                : $"is not a known field; {string.Join(", ", allowed)} are");
        }

        return (ModelRequest.KeepAliveOf(fields), fields.Flag("pinned"), ReadTuning(fields));
    }

    private static LoadTuning ReadTuning(RequestFields fields)
    {
        var tuning = LoadTuning.None;
        foreach (var option in TuningOption.All.Where(option => option.InRequests))
        {
            if (fields.Find(option.Field) is { } value)
            {
                tuning = (TuningOption.TextOf(value) is { } text ? option.Set(tuning, text) : null)
                    ?? throw ApiException.BadField(option.Field, $"must be {option.Allowed}, not {RequestFields.Describe(value)}");
            }
        }
        foreach (var (one, other, why) in TuningOption.Exclusive)
        {
            if (Asks(one) && Asks(other))
                throw ApiException.BadField(TuningOption.FieldOf(other), $"excludes {TuningOption.FieldOf(one)}: {why}");
        }
        return tuning;

        bool Asks(string option) => fields.Find(TuningOption.FieldOf(option)) is { ValueKind: not JsonValueKind.False };
    }

    private static Task WriteStatusAsync(HttpContext context, ModelEntry entry, long? needs = null, string? adapter = null)
    {
        var resident = ResidencyOf(context).Find(entry.Name);
        return JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("model", entry.Name);
            // What was asked for, where that is one of the model's.
            if (adapter is not null)
                json.WriteString("adapter", adapter);
            json.WriteBoolean("loaded", resident?.Model is not null);
            json.WriteString("status", StatusOf(resident));
            NativeJson.WriteFormat(json, ResidencyOf(context).ConversionOf(entry));
            json.WriteNumber("memory_bytes", resident?.MemoryBytes ?? 0);
            if (needs is { } bytes)
                json.WriteNumber("needs_bytes", bytes);
            if (resident?.Model?.Facts is { } facts)
                WritePlacement(json, facts);
            json.WriteNumber("requests_active", resident?.Requests ?? 0);
            NativeJson.WriteTime(json, "last_used", resident?.LastUsed);
            NativeJson.WriteTime(json, "expires_at", resident?.ExpiresAt);
            json.WriteBoolean("pinned", resident?.Pinned ?? entry.Settings.Pinned);
            NativeJson.WriteAdapters(json, resident?.Model);
            json.WriteEndObject();
        });
    }

    private static void WritePlacement(Utf8JsonWriter json, ModelFacts facts)
    {
        json.WriteString("runtime", facts.Runtime);
        json.WriteString("runtime_version", facts.LibraryVersion);
        json.WriteString("runtime_reason", facts.RuntimeReason);
        json.WriteString("backend", facts.Backend);
        json.WriteNumber("gpu_layers", facts.GpuLayers);
        json.WriteNumber("layers", facts.Layers);
        if (facts.LayerReason is { } reason)
            json.WriteString("gpu_layers_reason", reason);
        json.WriteStartArray("memory");
        foreach (var device in facts.Memory)
        {
            json.WriteStartObject();
            json.WriteString("device", device.Device);
            json.WriteNumber("tensor_bytes", device.TensorBytes);
            json.WriteNumber("expert_bytes", device.ExpertBytes);
            json.WriteNumber("cache_bytes", device.CacheBytes);
            json.WriteNumber("compute_bytes", device.ComputeBytes);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    /// <summary>The word for what state a model is in; null is one that is not in memory.</summary>
    public static string StatusOf(ResidentModel? resident) => resident?.State switch
    {
        null => "unloaded",
        ResidencyState.Waiting => "waiting",
        ResidencyState.Loading => "loading",
        ResidencyState.Ready => "ready",
        ResidencyState.Draining => "draining",
        _ => "unloading",
    };
}
