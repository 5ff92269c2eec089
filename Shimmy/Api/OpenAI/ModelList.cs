using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Http;
using Shimmy.Models;
using Shimmy.Models.Registry;
using Shimmy.Models.Residency;

namespace Shimmy.Api.OpenAI;

/// <summary><c>GET /v1/models</c> and <c>/v1/models/{id}</c>; an id may hold slashes.</summary>
internal static class ModelList
{
    /// <summary>The path of the list.</summary>
    public const string Path = "/v1/models";

    public static void Map(RouteTable routes)
    {
        routes.MapRead(Path, HandleListAsync, name: "models");
        routes.MapRead("/v1/models/{id}", HandleOne);
    }

    /// <summary>Answers the list.</summary>
    public static async Task HandleListAsync(HttpContext context)
    {
        if (LlamaServerMode.Of(context).Routes && context.Request.Query["reload"].Count > 0)
            await context.RequestServices.GetRequiredService<ModelRegistry>().RefreshIfRareAsync(context.RequestAborted);
        var entries = await ModelResolver.ListedAsync(context);
        var residency = context.RequestServices.GetRequiredService<ModelResidency>();
        var mode = LlamaServerMode.Of(context);
        // llama-server lists its one model alone.
        var adapters = mode.IsOn ? [] : ModelResolver.AdaptersOf(context, entries);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("object"u8, "list"u8);
            json.WriteStartArray("data");
            foreach (var entry in entries)
                Write(json, entry, residency, mode, null);
            foreach (var adapter in adapters)
                Write(json, adapter.Base, residency, mode, adapter);
            json.WriteEndArray();
            // Clients of Ollama and of Codex look here.
            json.WriteStartArray("models");
            foreach (var entry in entries)
                WriteAsOllama(json, residency.AsLoaded(entry), mode);
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private static async Task HandleOne(HttpContext context)
    {
        var (entry, adapter) =
            await ModelResolver.FindAsync(context, ModelResolver.NameInPath(context, "id"), context.RequestAborted);
        await JsonResponse.WriteAsync(context, json =>
            Write(json, entry, context.RequestServices.GetRequiredService<ModelResidency>(), LlamaServerMode.Of(context), adapter));
    }

    private static void Write(Utf8JsonWriter json, ModelEntry entry, ModelResidency residency, LlamaServerMode mode,
        AdapterModel? adapter)
    {
        entry = residency.AsLoaded(entry);
        json.WriteStartObject();
        json.WriteString("id", adapter?.Name ?? entry.Name);
        json.WriteString("object"u8, "model"u8);
        json.WriteNumber("created", Created(entry.Path));
        json.WriteString("owned_by"u8, "shimmy"u8);
        if (adapter is not null)
            json.WriteString("parent", entry.Name);
        json.WriteNumber("size", entry.SizeBytes);
        var context = residency.ContextOf(entry);
        json.WriteNumber("context_length", context);
        if (entry.ContextLength > 0 && entry.ContextLength != context)
            json.WriteNumber("max_context_length", entry.ContextLength);
        WriteCapabilities(json, entry);
        if (mode is { IsOn: true, Routes: false })
        {
            WriteTexts(json, "aliases", mode.Aliases);
            WriteTexts(json, "tags", mode.Tags);
        }
        if (mode.Routes)
            WriteStatus(json, entry, residency, mode);
        WriteMeta(json, entry, residency);
        json.WriteEndObject();
    }

    // llama-server's, of a router.
    private static void WriteStatus(Utf8JsonWriter json, ModelEntry entry, ModelResidency residency, LlamaServerMode mode)
    {
        json.WriteStartObject("status");
        var status = LlamaServerMode.StatusOf(residency, entry);
        json.WriteString("value", status);
        if (status == "unloaded" && mode.Failed.TryGetValue(entry.Name, out var code))
        {
            json.WriteBoolean("failed", true);
            json.WriteNumber("exit_code", code);
        }
        json.WriteEndObject();
        json.WriteStartObject("architecture");
        WriteTexts(json, "input_modalities", ["text", .. entry.Sees ? ["image"] : (string[])[], .. entry.Hears ? ["audio"] : (string[])[]]);
        WriteTexts(json, "output_modalities", ["text"]);
        json.WriteEndObject();
    }

    // llama-server's.
    private static void WriteMeta(Utf8JsonWriter json, ModelEntry entry, ModelResidency residency)
    {
        var facts = residency.Find(entry.Name)?.Model?.Facts;
        json.WriteStartObject("meta");
        if (facts is not null)
        {
            json.WriteNumber("vocab_type", facts.VocabularyType);
            json.WriteNumber("n_vocab", facts.VocabularySize);
        }
        json.WriteNumber("n_ctx", residency.ContextOf(entry));
        json.WriteNumber("n_ctx_train", entry.ContextLength);
        json.WriteNumber("n_embd", entry.EmbeddingLength);
        if ((facts?.ParameterCount ?? entry.ParameterCount) is { } parameters)
            json.WriteNumber("n_params", parameters);
        json.WriteNumber("size", facts?.SizeBytes ?? entry.SizeBytes);
        json.WriteString("ftype", entry.Quantization);
        json.WriteEndObject();
    }

    private static void WriteTexts(Utf8JsonWriter json, string name, IReadOnlyList<string> texts)
    {
        json.WriteStartArray(name);
        foreach (var text in texts)
            json.WriteStringValue(text);
        json.WriteEndArray();
    }

    private static void WriteAsOllama(Utf8JsonWriter json, ModelEntry entry, LlamaServerMode mode)
    {
        json.WriteStartObject();
        json.WriteString("name", entry.Name);
        json.WriteString("model", entry.Name);
        json.WriteNumber("size", entry.SizeBytes);
        WriteCapabilities(json, entry, mode.IsOn && (entry.Sees || entry.Hears));
        json.WriteStartObject("details");
        json.WriteString("format"u8, "gguf"u8);
        json.WriteString("family", entry.Architecture);
        json.WriteString("parameter_size", entry.ParameterLabel);
        json.WriteString("quantization_level", entry.Quantization);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    // Ollama's words; every model embeds, but only those made for it say so.
    private static void WriteCapabilities(Utf8JsonWriter json, ModelEntry entry, bool isMultimodal = false)
    {
        json.WriteStartArray("capabilities");
        foreach (var capability in entry.Capabilities)
            json.WriteStringValue(capability);
        // llama-server's word for it.
        if (isMultimodal)
            json.WriteStringValue("multimodal"u8);
        json.WriteEndArray();
    }

    // A model is as old as its file; a file that is gone meanwhile has no age.
    private static long Created(string path) =>
        File.Exists(path) ? new DateTimeOffset(File.GetLastWriteTimeUtc(path)).ToUnixTimeSeconds() : 0;
}
