using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models.Residency;

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
        using var lease = await ModelResolver.AcquireAsync(context, ModelRequest.Read(fields));
        RefuseOtherDimensions(fields, lease.Model.Facts);
        var prompts = PromptLog.Of(context);
        var embeddings =
            await Task.WhenAll(
                inputs.Select((input, i) =>
                    EmbedAsync(lease, prompts, input, loras, inputs.Count == 1 ? "input" : $"input[{i}]", context.RequestAborted)));
        var tokens = embeddings.Sum(embedding => embedding.Tokens);
        RequestContext.Of(context).Usage = new Usage(tokens, 0, 0);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("object"u8, "list"u8);
            json.WriteStartArray("data");
            for (var i = 0; i < embeddings.Length; i++)
                WriteEmbedding(json, i, Normalised(embeddings[i].Values), asBase64);
            json.WriteEndArray();
            json.WriteString("model", lease.Entry.Name);
            json.WriteStartObject("usage");
            json.WriteNumber("prompt_tokens", tokens);
            json.WriteNumber("total_tokens", tokens);
            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    private static async Task<Embedding> EmbedAsync(
        ModelLease lease, PromptLog? prompts, Prompt input, IReadOnlyList<LoraChoice>? loras, string name, CancellationToken cancellation)
    {
        try
        {
            prompts?.Write(input);
            return await lease.Model.EmbedAsync(new EmbeddingRequest { Prompt = input, Loras = loras, Place = lease.Place }, cancellation);
        }
        catch (EngineException e) when (e.Failure == EngineFailure.PromptTooLong)
        {
            throw ApiException.TooLong(name, e.Message, e);
        }
        catch (EngineException e) when (e.Failure == EngineFailure.InvalidRequest && e.Option is not "model"
            && e.Option?.StartsWith("lora", StringComparison.Ordinal) != true)
        {
            throw ApiException.BadField(name, e.Message);
        }
    }

    // Length 1, as OpenAI's are, so that a dot product is the cosine. Nothing can make one of a vector of zeros.
    private static float[] Normalised(float[] values)
    {
        var length = Math.Sqrt(values.Sum(value => (double)value * value));
        return length > 0 ? Array.ConvertAll(values, value => (float)(value / length)) : values;
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

    private static void RefuseOtherDimensions(RequestFields fields, ModelFacts facts)
    {
        if (fields.Whole("dimensions", 1, int.MaxValue) is { } dimensions && dimensions != facts.EmbeddingLength)
            throw ApiException.BadField("dimensions", $"must be {facts.EmbeddingLength}, the model's own, not {dimensions}");
    }
}
