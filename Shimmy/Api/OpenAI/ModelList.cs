using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Http;
using Shimmy.Models;
using Shimmy.Models.Registry;

namespace Shimmy.Api.OpenAI;

/// <summary><c>GET /v1/models</c> and <c>/v1/models/{id}</c>; an id may hold slashes.</summary>
internal static class ModelList
{
    public static void Map(RouteTable routes)
    {
        routes.MapRead("/v1/models", HandleList);
        routes.MapRead("/v1/models/{id}", HandleOne);
    }

    private static Task HandleList(HttpContext context)
    {
        var entries = context.RequestServices.GetRequiredService<ModelRegistry>().Entries;
        return JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("object"u8, "list"u8);
            json.WriteStartArray("data");
            foreach (var entry in entries)
                Write(json, entry);
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
        await JsonResponse.WriteAsync(context, json => Write(json, entry));
    }

    private static void Write(Utf8JsonWriter json, ModelEntry entry)
    {
        json.WriteStartObject();
        json.WriteString("id", entry.Name);
        json.WriteString("object"u8, "model"u8);
        json.WriteNumber("created", Created(entry.Path));
        json.WriteString("owned_by"u8, "shimmy"u8);
        json.WriteNumber("size", entry.SizeBytes);
        json.WriteNumber("context_length", entry.ContextLength);
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
        json.WriteStringValue(entry.Type switch { ModelType.Embedding => "embedding", ModelType.Reranker => "rerank", _ => "completion" });
        if (entry.CallsTools)
            json.WriteStringValue("tools"u8);
        if (entry.Thinks)
            json.WriteStringValue("thinking"u8);
        if (entry.Projector is not null)
            json.WriteStringValue("vision"u8);
        json.WriteEndArray();
    }

    // A model is as old as its file; a file that is gone meanwhile has no age.
    private static long Created(string path) =>
        File.Exists(path) ? new DateTimeOffset(File.GetLastWriteTimeUtc(path)).ToUnixTimeSeconds() : 0;
}
