using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Chat.Templates;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models;
using Shimmy.Models.Registry;
using Shimmy.Models.Residency;

namespace Shimmy.Api.LlamaServer;

/// <summary>
/// llama-server's reports of itself: <c>GET /props</c>, and <c>GET</c> and <c>POST /lora-adapters</c>. Neither <c>/props</c> nor
/// <c>/slots</c> loads a model.
/// </summary>
internal static class LlamaFacts
{
    public static void Map(RouteTable routes)
    {
        routes.MapRead("/props", HandleProps, RoutePolicy.Quiet);
        routes.MapPost("/props", HandleChange);
        routes.MapRead("/lora-adapters", HandleAdapters);
        routes.MapPost("/lora-adapters", HandleScales);
    }

    /// <summary>
    /// The model that a request without a body means: <c>?model=</c>, else the one registered by hand, else the only one.
    /// </summary>
    public static async Task<ModelEntry> EntryAsync(HttpContext context)
    {
        if (context.Request.Query["model"].ToString() is { Length: > 0 } name)
            return await ModelResolver.FindAsync(context, name);
        var registry = context.RequestServices.GetRequiredService<ModelRegistry>();
        await registry.ScannedAsync(context.RequestAborted);
        return registry.Default ?? (registry.Entries is [var only] ? only : throw ApiException.BadField("model",
            "is missing: there are several models here, and ?model=NAME says which is meant"));
    }

    /// <summary>The model in memory; null where it is not.</summary>
    public static ILoadedModel? LoadedOf(HttpContext context, ModelEntry entry) =>
        context.RequestServices.GetRequiredService<ModelResidency>().Find(entry.Name) is { State: ResidencyState.Ready } found
            ? found.Model : null;

    /// <summary>
    /// That model, loaded. Throws <see cref="ApiException"/> where it is not, and a router does not load by itself.
    /// </summary>
    public static async Task<ModelLease> AcquireAsync(HttpContext context)
    {
        var entry = await EntryAsync(context);
        RequestContext.Of(context).Model = entry.Name;
        LlamaServerMode.CheckLoaded(context, entry);
        return await context.RequestServices.GetRequiredService<ModelResidency>().AcquireAsync(entry, null, context.RequestAborted);
    }

    private static async Task HandleProps(HttpContext context)
    {
        var mode = LlamaServerMode.Of(context);
        if (mode.Routes && context.Request.Query["model"].Count == 0)
        {
            await LlamaRouter.WritePropsAsync(context, mode);
            return;
        }
        var entry = await EntryAsync(context);
        var loaded = LoadedOf(context, entry);
        var residency = context.RequestServices.GetRequiredService<ModelResidency>();
        var known = context.RequestServices.GetRequiredService<LastLoadFacts>();
        var (facts, template) = known.Of(entry.Name);
        if (loaded is not null && !ReferenceEquals(facts, loaded.Facts))
        {
            (facts, template) = (loaded.Facts, await TemplateOfAsync(context, entry));
            known.Set(entry.Name, facts, template);
        }

        var request = LlamaRequest.Read(RequestFields.Parse("{}"u8.ToArray()).Fields, mode);
        if (loaded is not null)
            request = await request.WithDefaultsOfAsync(loaded, saysLimit: false, context.RequestAborted);
        var facts0 = facts ?? new ModelFacts { Architecture = entry.Architecture, Description = "" };
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("default_generation_settings");
            json.WritePropertyName("params");
            LlamaSettings.Write(json, request, facts0, seed: null);
            json.WriteNumber("n_ctx", facts?.ContextLength
                ?? residency.ContextOf(entry));
            json.WriteEndObject();
            json.WriteNumber("total_slots", facts0.Slots);
            json.WriteString("model_alias", entry.Name);
            json.WriteString("model_ftype", entry.Quantization);
            json.WriteString("model_path", entry.Path);
            json.WriteStartObject("modalities");
            json.WriteBoolean("vision", facts0.CanSee);
            json.WriteBoolean("video", false);
            json.WriteBoolean("audio", facts0.CanHear);
            json.WriteEndObject();
            json.WriteString("media_marker", MediaMarkers.Shown);
            json.WriteBoolean("endpoint_slots", mode.Slots);
            json.WriteBoolean("endpoint_props", mode.Props);
            json.WriteBoolean("endpoint_metrics", mode.Metrics);
            json.WriteString("chat_template", template?.Text ?? "");
            if (facts0.ChatTemplates.TryGetValue("tool_use", out var toolUse))
                json.WriteString("chat_template_tool_use", toolUse);
            json.WriteStartObject("chat_template_caps");
            json.WriteBoolean("supports_tools", template?.Capabilities.Tools ?? false);
            json.WriteBoolean("supports_tool_calls", template?.ToolCalls is not null);
            json.WriteBoolean("supports_preserve_reasoning", template?.Reasoning is not null);
            json.WriteEndObject();
            json.WriteString("bos_token", facts0.BosText ?? "");
            json.WriteString("eos_token", facts0.EosText ?? "");
            json.WriteString("build_info", LlamaServerMode.BuildInfo);
            json.WriteBoolean("is_sleeping", residency.Find(entry.Name) is null);
            json.WriteEndObject();
        });
    }

    private static async Task<ChatTemplate?> TemplateOfAsync(HttpContext context, ModelEntry entry)
    {
        using var lease = await context.RequestServices.GetRequiredService<ModelResidency>()
            .AcquireAsync(entry, null, context.RequestAborted);
        try
        {
            return await TemplateCache.OfAsync(lease, ModelResolver.LoggerOf(context), context.RequestAborted);
        }
        catch (EngineException)
        {
            // A template that is not valid is reported by requests that need it.
            return null;
        }
    }

    private static async Task HandleChange(HttpContext context)
    {
        if (!LlamaServerMode.Of(context).Props)
            throw new ApiException(501, "This server does not support changing global properties. Start it with `--props`");
        // llama-server has no property that can be changed either.
        using var body = await RequestFields.ReadAnyAsync(context.Request, context.RequestAborted);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteBoolean("success", true);
            json.WriteEndObject();
        });
    }

    private static async Task HandleAdapters(HttpContext context)
    {
        using var lease = await AcquireAsync(context);
        var scales = lease.Load.Loras;
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartArray();
            foreach (var adapter in lease.Model.Facts.Adapters)
            {
                json.WriteStartObject();
                json.WriteNumber("id", adapter.Id);
                json.WriteString("path", adapter.Path);
                json.WriteNumber("scale", scales?.FirstOrDefault(choice => choice.Id == adapter.Id).Scale ?? adapter.Scale);
                json.WriteEndObject();
            }
            json.WriteEndArray();
        });
    }

    private static async Task HandleScales(HttpContext context)
    {
        using var body = await RequestFields.ReadAnyAsync(context.Request, context.RequestAborted);
        if (body.RootElement.ValueKind != JsonValueKind.Array)
            throw ApiException.BadField("body", $"must be an array of objects, not {RequestFields.Describe(body.RootElement)}");
        var (wrapped, fields) = RequestFields.Parse(
            (byte[])[.. "{\"lora\":"u8, .. JsonMarshal.GetRawUtf8Value(body.RootElement), (byte)'}']);
        using var document = wrapped;
        var choices = LoraFields.Read(fields)!;
        using var lease = await AcquireAsync(context);
        var adapters = lease.Model.Facts.Adapters;
        foreach (var choice in choices)
        {
            if (!adapters.Any(adapter => choice.Id is { } id ? adapter.Id == id : adapter.Name == choice.Name))
            {
                throw ApiException.BadField("id", $"there is no adapter {choice.Id?.ToString() ?? choice.Name}; "
                    + $"the model has {adapters.Count}, counted from 0");
            }
        }
        lease.Load.Loras =
        [
            .. choices.Select(choice => choice with { Id = choice.Id ?? adapters.First(one => one.Name == choice.Name).Id, Name = null }),
        ];
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteBoolean("success", true);
            json.WriteEndObject();
        });
    }
}

/// <summary>
/// Facts and chat template of each model as of its last load: a model that sleeps has them still, and asking for them does not keep one
/// awake. Thread-safe.
/// </summary>
internal sealed class LastLoadFacts
{
    private readonly Dictionary<string, (ModelFacts, ChatTemplate?)> _models = [];

    /// <summary>Those of a model; null where it has not been loaded yet.</summary>
    public (ModelFacts? Facts, ChatTemplate? Template) Of(string name)
    {
        lock (_models)
            return _models.GetValueOrDefault(name);
    }

    /// <summary>Keeps those of a model.</summary>
    public void Set(string name, ModelFacts facts, ChatTemplate? template)
    {
        lock (_models)
            _models[name] = (facts, template);
    }
}
