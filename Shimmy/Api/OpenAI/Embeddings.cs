using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models.Residency;

namespace Shimmy.Api.OpenAI;

/// <summary><c>POST /v1/embeddings</c> (OpenAI's API reference), from models that embed and from those that generate.</summary>
internal static partial class Embeddings
{
    // The loads that were warned of: once for each, not for each request.
    private static readonly ConditionalWeakTable<ModelLoad, object> Warned = [];

    public static void Map(RouteTable routes) => routes.MapPost("/v1/embeddings", Handle);

    private static async Task Handle(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var inputs = PromptInputs.Read(fields, "input");
        var asBase64 = fields.Choice("encoding_format", "float", "base64") == "base64";
        var loras = LoraFields.Read(fields);
        var truncates = Truncates(fields);
        var asked = fields.Whole("dimensions", 1, int.MaxValue);
        var wanted = ModelRequest.Read(fields);
        OtherFields.Settle(fields, ModelResolver.LoggerOf(context));
        using var lease = await ModelResolver.AcquireAsync(context, wanted);
        var dimensions = Dimensions(asked, lease, ModelResolver.LoggerOf(context));
        var prompts = PromptLog.Of(context);
        var embeddings =
            await Task.WhenAll(
                inputs.Select((input, i) => EmbedAsync(lease, prompts, input, truncates, loras,
                    inputs.Count == 1 ? "input" : $"input[{i}]", context.RequestAborted)));
        var tokens = embeddings.Sum(embedding => embedding.Tokens);
        RequestContext.Of(context).Usage = new Usage(tokens, 0, 0);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("object"u8, "list"u8);
            json.WriteStartArray("data");
            for (var i = 0; i < embeddings.Length; i++)
                WriteEmbedding(json, i, Normalised(Cut(embeddings[i].Values, dimensions)), asBase64);
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
        ModelLease lease, PromptLog? prompts, Prompt input, bool truncates, IReadOnlyList<LoraChoice>? loras, string name,
        CancellationToken cancellation)
    {
        try
        {
            prompts?.Write(input);
            return await lease.Model.EmbedAsync(
                new EmbeddingRequest { Prompt = input, Truncate = truncates, Loras = loras, Place = lease.Place }, cancellation);
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

    /// <summary>
    /// The field <c>truncate</c>: whether a text beyond the context is cut at its end. Ollama and TEI have a boolean, others a word.
    /// </summary>
    internal static bool Truncates(RequestFields fields) =>
        fields.Find("truncate") is { ValueKind: JsonValueKind.String }
            ? fields.Choice("truncate", "NONE", "END") == "END"
            : fields.Flag("truncate") ?? false;

    private static float[] Cut(float[] values, int? dimensions) => dimensions < values.Length ? values[..dimensions.Value] : values;

    // Fewer are the first ones of all, as OpenAI has it; what they are worth depends on how the model was trained.
    private static int? Dimensions(int? asked, ModelLease lease, ILogger logger)
    {
        var facts = lease.Model.Facts;
        if (asked is not { } dimensions || dimensions == facts.EmbeddingLength)
            return null;
        if (dimensions > facts.EmbeddingLength)
            throw ApiException.BadField("dimensions", $"must be at most {facts.EmbeddingLength}, the model's own, not {dimensions}");
        if (!facts.IsMatryoshka && Warned.TryAdd(lease.Load, lease))
            LogCut(logger, lease.Entry.Name, dimensions, facts.EmbeddingLength);
        return dimensions;
    }

    [LoggerMessage(LogLevel.Warning, "embeddings of {Model} are cut to {Dimensions} of {All} dimensions, as a request asks; the model does not "
        + "say that it was trained for that, so they may compare badly")]
    private static partial void LogCut(ILogger logger, string model, int dimensions, int all);
}
