using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Http;
using Shimmy.Models;
using Shimmy.Models.Residency;

namespace Shimmy.Api.OpenAI;

/// <summary><c>GET /v1/models</c> and <c>/v1/models/{id}</c>; an id may hold slashes.</summary>
internal static class ModelList
{
    public static void Map(RouteTable routes)
    {
        routes.MapRead("/v1/models", HandleList);
        routes.MapRead("/v1/models/{id}", HandleOne);
    }

    private static async Task HandleList(HttpContext context)
    {
        var entries = await ModelResolver.ListedAsync(context);
        var residency = context.RequestServices.GetRequiredService<ModelResidency>();
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("object"u8, "list"u8);
            json.WriteStartArray("data");
            foreach (var entry in entries)
                Write(json, entry, residency);
            json.WriteEndArray();
            // Clients of Ollama and of Codex look here.
            json.WriteStartArray("models");
            foreach (var entry in entries)
                WriteAsOllama(json, entry);
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private static async Task HandleOne(HttpContext context)
    {
        var entry = await ModelResolver.FindAsync(context, ModelResolver.NameInPath(context, "id"));
        await JsonResponse.WriteAsync(context, json => Write(json, entry, context.RequestServices.GetRequiredService<ModelResidency>()));
    }

    private static void Write(Utf8JsonWriter json, ModelEntry entry, ModelResidency residency)
    {
        json.WriteStartObject();
        json.WriteString("id", entry.Name);
        json.WriteString("object"u8, "model"u8);
        json.WriteNumber("created", Created(entry.Path));
        json.WriteString("owned_by"u8, "shimmy"u8);
        json.WriteNumber("size", entry.SizeBytes);
        var context = residency.ContextOf(entry);
        json.WriteNumber("context_length", context);
        if (entry.ContextLength > 0 && entry.ContextLength != context)
            json.WriteNumber("max_context_length", entry.ContextLength);
        WriteCapabilities(json, entry);
        json.WriteEndObject();
    }

    private static void WriteAsOllama(Utf8JsonWriter json, ModelEntry entry)
    {
        json.WriteStartObject();
        json.WriteString("name", entry.Name);
        json.WriteString("model", entry.Name);
        json.WriteNumber("size", entry.SizeBytes);
        WriteCapabilities(json, entry);
        json.WriteStartObject("details");
        json.WriteString("format"u8, "gguf"u8);
        json.WriteString("family", entry.Architecture);
        json.WriteString("parameter_size", entry.ParameterLabel);
        json.WriteString("quantization_level", entry.Quantization);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    // Ollama's words; every model embeds, but only those made for it say so.
    private static void WriteCapabilities(Utf8JsonWriter json, ModelEntry entry)
    {
        json.WriteStartArray("capabilities");
        foreach (var capability in entry.Capabilities)
            json.WriteStringValue(capability);
        json.WriteEndArray();
    }

    // A model is as old as its file; a file that is gone meanwhile has no age.
    private static long Created(string path) =>
        File.Exists(path) ? new DateTimeOffset(File.GetLastWriteTimeUtc(path)).ToUnixTimeSeconds() : 0;
}
