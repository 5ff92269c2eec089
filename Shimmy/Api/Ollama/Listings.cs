using System.Globalization;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Http;
using Shimmy.Models;
using Shimmy.Models.Registry;
using Shimmy.Models.Residency;

namespace Shimmy.Api.Ollama;

/// <summary>
/// <c>GET /</c> and <c>/api/version</c>, by which clients find a server; <c>/api/tags</c>, the models; <c>/api/ps</c>, those in memory.
/// </summary>
internal static class Listings
{
    // As far as Go's longest duration reaches: what Ollama says of a model that stays for ever.
    private static readonly TimeSpan Forever = TimeSpan.FromDays(292 * 365);

    private static readonly TimeSpan LongestWait = TimeSpan.FromMilliseconds(250);

    public static void Map(RouteTable routes)
    {
        routes.MapRead("/", HandleRoot, RoutePolicy.Quiet, asked: OllamaDialect.IsAsked);
        routes.MapRead("/api/version", HandleVersion, RoutePolicy.Quiet);
        routes.MapRead("/api/tags", HandleTags, name: "ollama_models");
        routes.MapRead("/api/ps", HandlePs);
    }

    /// <summary>Writes <c>details</c> of a model.</summary>
    public static void WriteDetails(Utf8JsonWriter json, ModelEntry entry)
    {
        json.WriteStartObject("details");
        json.WriteString("parent_model"u8, ""u8);
        json.WriteString("format", Directory.Exists(entry.Path) ? "safetensors" : "gguf");
        json.WriteString("family", entry.Architecture);
        json.WriteStartArray("families");
        json.WriteStringValue(entry.Architecture);
        json.WriteEndArray();
        json.WriteString("parameter_size", SizeOf(entry));
        json.WriteString("quantization_level", entry.Quantization);
        if (entry.ContextLength > 0)
            json.WriteNumber("context_length", entry.ContextLength);
        if (entry.EmbeddingLength > 0)
            json.WriteNumber("embedding_length", entry.EmbeddingLength);
        json.WriteEndObject();
    }

    /// <summary>
    /// Writes <c>capabilities</c> of a model. Most models that fill in the middle say so in their header; of others a load finds out by the
    /// texts of their tokens.
    /// </summary>
    public static void WriteCapabilities(HttpContext context, Utf8JsonWriter json, ModelEntry entry)
    {
        json.WriteStartArray("capabilities");
        var residency = context.RequestServices.GetRequiredService<ModelResidency>();
        foreach (var capability in residency.AsLoaded(entry).Capabilities)
            json.WriteStringValue(capability);
        if (entry.Inserts || residency.Find(entry.Name)?.Model?.Facts.FillInTheMiddle is not null)
            json.WriteStringValue("insert"u8);
        json.WriteEndArray();
    }

    private static async Task HandleRoot(HttpContext context)
    {
        context.Response.ContentType = "text/plain; charset=utf-8";
        context.Response.ContentLength = "Ollama is running"u8.Length;
        if (!HttpMethods.IsHead(context.Request.Method))
            await context.Response.Body.WriteAsync("Ollama is running"u8.ToArray(), context.RequestAborted);
    }

    private static Task HandleVersion(HttpContext context) => JsonResponse.WriteAsync(context, json =>
    {
        json.WriteStartObject();
        json.WriteString("version", OllamaDialect.Version);
        json.WriteString("shimmy", ServerState.Version);
        json.WriteEndObject();
    });

    private static async Task HandleTags(HttpContext context)
    {
        var models = await ModelResolver.ListedAsync(context);
        var copies = context.RequestServices.GetRequiredService<ModelRegistry>().PlainAliases;
        var digests = context.RequestServices.GetRequiredService<FileDigests>();
        await digests.SettleAsync(models, LongestWait, context.RequestAborted);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("models");
            foreach (var (name, entry) in models.Select(entry => (entry.Name, entry)).Concat(copies)
                .OrderByDescending(pair => pair.Item2.ModifiedAt))
            {
                json.WriteStartObject();
                WriteName(json, name);
                json.WriteString("modified_at", OllamaJson.Time(entry.ModifiedAt));
                json.WriteNumber("size", entry.SizeBytes);
                json.WriteString("digest", digests.Of(entry));
                WriteDetails(json, entry);
                WriteCapabilities(context, json, entry);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private static async Task HandlePs(HttpContext context)
    {
        var digests = context.RequestServices.GetRequiredService<FileDigests>();
        var loaded = context.RequestServices.GetRequiredService<ModelResidency>().Resident.Where(model => model.Model is not null)
            .Select(model => (Model: model, Ends: EndOf(model))).OrderByDescending(pair => pair.Ends).ToList();
        await digests.SettleAsync(loaded.Select(pair => pair.Model.Entry), LongestWait, context.RequestAborted);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("models");
            foreach (var (model, ends) in loaded)
            {
                var facts = model.Model!.Facts;
                // Devices in one name share each tensor: all but the CPU, whose memory the host counts.
                var onGpus = facts.Memory.Where(memory => memory.Device != "CPU")
                    .Sum(memory => memory.BufferBytes + memory.CacheBytes + memory.ComputeBytes);
                json.WriteStartObject();
                WriteName(json, model.Entry.Name);
                json.WriteNumber("size", model.MemoryBytes + onGpus);
                json.WriteString("digest", digests.Of(model.Entry));
                WriteDetails(json, model.Entry);
                json.WriteString("expires_at", OllamaJson.Time(ends));
                json.WriteNumber("size_vram", onGpus);
                json.WriteNumber("context_length", facts.ContextLength);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private static void WriteName(Utf8JsonWriter json, string name)
    {
        json.WriteString("name", OllamaJson.Tagged(name));
        json.WriteString("model", OllamaJson.Tagged(name));
    }

    // Of a busy model: when it would go if it were idle from now on.
    private static DateTimeOffset EndOf(ResidentModel model) => model.ExpiresAt is { } known ? known
        : DateTimeOffset.UtcNow
            + (model.Pinned || model.KeepAlive < TimeSpan.Zero || model.KeepAlive > Forever ? Forever : model.KeepAlive);

    // As Ollama rounds it: 8.0B, 494.03M.
    private static string SizeOf(ModelEntry entry) => entry.ParameterCount switch
    {
        null => entry.ParameterLabel,
        >= 1_000_000_000 and var count => string.Create(CultureInfo.InvariantCulture, $"{count / 1e9:F1}B"),
        >= 1_000_000 and var count => string.Create(CultureInfo.InvariantCulture, $"{count / 1e6:F2}M"),
        >= 1_000 and var count => string.Create(CultureInfo.InvariantCulture, $"{count / 1e3:F2}K"),
        var count => count.Value.ToString(CultureInfo.InvariantCulture),
    };
}
