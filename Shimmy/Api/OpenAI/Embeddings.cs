using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI;

/// <summary><c>POST /v1/embeddings</c> (OpenAI's API reference), from models that embed and from those that generate.</summary>
internal static class Embeddings
{
    public static void Map(RouteTable routes) => routes.MapPost("/v1/embeddings", Handle);

    private static async Task Handle(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var inputs = PromptInputs.Read(fields, "input");
        var asBase64 = fields.Choice("encoding_format", "float", "base64") == "base64";
        var loras = LoraFields.Read(fields);
        var truncates = EmbeddingRun.Truncates(fields);
        var asked = fields.Whole("dimensions", 1, int.MaxValue);
        var wanted = ModelRequest.Read(fields);
        OtherFields.Settle(fields, ModelResolver.LoggerOf(context));
        using var lease = await ModelResolver.AcquireAsync(context, wanted);
        var dimensions = EmbeddingRun.Dimensions(asked, lease, ModelResolver.LoggerOf(context));
        var (embeddings, tokens) = await EmbeddingRun.AllAsync(context, lease, "input", inputs, truncates, loras);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("object"u8, "list"u8);
            json.WriteStartArray("data");
            for (var i = 0; i < embeddings.Count; i++)
                WriteEmbedding(json, i, EmbeddingRun.Normalised(embeddings[i], dimensions), asBase64);
            json.WriteEndArray();
            json.WriteString("model", lease.Entry.Name);
            json.WriteStartObject("usage");
            json.WriteNumber("prompt_tokens", tokens);
            json.WriteNumber("total_tokens", tokens);
            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    private static void WriteEmbedding(Utf8JsonWriter json, int index, float[] values, bool asBase64)
    {
        json.WriteStartObject();
        json.WriteString("object"u8, "embedding"u8);
        json.WriteNumber("index", index);
        if (asBase64)
        {
            // Little-endian 32-bit floats.
            json.WriteBase64String("embedding", MemoryMarshal.AsBytes(values.AsSpan()));
        }
        else
        {
            json.WriteStartArray("embedding");
            foreach (var value in values)
                json.WriteNumberValue(value);
            json.WriteEndArray();
        }
        json.WriteEndObject();
    }
}
