using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models.Residency;

namespace Shimmy.Api;

/// <summary>Embeds the texts of a request, for the dialects that do.</summary>
internal static partial class EmbeddingRun
{
    /// <summary>Embeds all inputs at once; gives the values as the model has them, and the tokens of all together.</summary>
    /// <param name="context">The request.</param>
    /// <param name="lease">The model.</param>
    /// <param name="field">The field that has the inputs, for errors.</param>
    /// <param name="inputs">The texts or tokens.</param>
    /// <param name="truncates">Whether what is too long is cut.</param>
    /// <param name="loras">The adapters to apply; null for the model's own.</param>
    /// <param name="takesTokens">Whether the route gives embeddings of each token, one behind another, where the model pools none.</param>
    public static async Task<(IReadOnlyList<float[]> Values, int Tokens)> AllAsync(HttpContext context, ModelLease lease, string field,
        IReadOnlyList<Prompt> inputs, bool truncates, IReadOnlyList<LoraChoice>? loras, bool takesTokens = false)
    {
        if (lease.Model.Facts.EmbedsTokens && !takesTokens)
        {
            throw ApiException.BadField("model", "Pooling type 'none' is not OAI compatible. Please use a different pooling type, "
                + "or POST /embedding, which gives the embedding of each token");
        }

        var prompts = PromptLog.Of(context);
        var embeddings = await Task.WhenAll(inputs.Select((input, i) =>
            EmbedAsync(lease, prompts, input, truncates, loras, inputs.Count == 1 ? field : $"{field}[{i}]", context.RequestAborted)));
        var tokens = embeddings.Sum(embedding => embedding.Tokens);
        RequestContext.Of(context).Usage = new Usage(tokens, 0, 0);
        return ([.. embeddings.Select(embedding => embedding.Values)], tokens);
    }

    private static async Task<Embedding> EmbedAsync(
        ModelLease lease, PromptLog? prompts, Prompt input, bool truncates, IReadOnlyList<LoraChoice>? loras, string name,
        CancellationToken cancellation)
    {
        try
        {
            prompts?.Write(input);
            var request = new EmbeddingRequest
            {
                Prompt = input,
                Truncate = truncates,
                Loras = lease.LorasOver(loras),
                Place = lease.Place,
            };
            return await lease.Model.EmbedAsync(request, cancellation);
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

    /// <summary>
    /// The first <paramref name="dimensions"/> of an embedding, or all, with length 1, so that a dot product is the cosine. Nothing can
    /// make one of a vector of zeros.
    /// </summary>
    public static float[] Normalised(float[] values, int? dimensions)
    {
        values = dimensions < values.Length ? values[..dimensions.Value] : values;
        var length = Math.Sqrt(values.Sum(value => (double)value * value));
        return length > 0 ? Array.ConvertAll(values, value => (float)(value / length)) : values;
    }

    /// <summary>Writes embeddings as OpenAI has them.</summary>
    public static void Write(Utf8JsonWriter json, string model, IReadOnlyList<float[]> embeddings, int tokens, bool asBase64)
    {
        json.WriteStartObject();
        json.WriteString("object"u8, "list"u8);
        json.WriteStartArray("data");
        for (var i = 0; i < embeddings.Count; i++)
        {
            json.WriteStartObject();
            json.WriteString("object"u8, "embedding"u8);
            json.WriteNumber("index", i);
            // Little-endian 32-bit floats.
            if (asBase64)
                json.WriteBase64String("embedding", MemoryMarshal.AsBytes(embeddings[i].AsSpan()));
            else
                WriteVector(json, "embedding", embeddings[i]);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteString("model", model);
        json.WriteStartObject("usage");
        json.WriteNumber("prompt_tokens", tokens);
        json.WriteNumber("total_tokens", tokens);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    /// <summary>Writes an array of numbers, as a property where it has a name.</summary>
    public static void WriteVector(Utf8JsonWriter json, string? name, ReadOnlySpan<float> values)
    {
        if (name is not null)
            json.WritePropertyName(name);
        json.WriteStartArray();
        foreach (var value in values)
            json.WriteNumberValue(value);
        json.WriteEndArray();
    }

    /// <summary>
    /// The field <c>truncate</c>: whether a text beyond the context is cut at its end. Ollama and TEI have a boolean, others a word.
    /// </summary>
    public static bool Truncates(RequestFields fields, bool otherwise = false) =>
        fields.Find("truncate") is { ValueKind: JsonValueKind.String }
            ? fields.Choice("truncate", "NONE", "END") == "END"
            : fields.Flag("truncate") ?? otherwise;

    /// <summary>
    /// How many dimensions are returned of those that are asked for; null where all are. Fewer are the first ones of all, as OpenAI has it;
    /// what they are worth depends on how the model was trained.
    /// </summary>
    public static int? Dimensions(int? asked, ModelLease lease, ILogger logger)
    {
        var facts = lease.Model.Facts;
        if (asked is not { } dimensions || dimensions == facts.EmbeddingLength)
            return null;
        if (dimensions > facts.EmbeddingLength)
            throw ApiException.BadField("dimensions", $"must be at most {facts.EmbeddingLength}, the model's own, not {dimensions}");
        if (!facts.IsMatryoshka && lease.Load.IsFirstReport(nameof(LogCut)))
            LogCut(logger, lease.Entry.Name, dimensions, facts.EmbeddingLength);
        return dimensions;
    }

    [LoggerMessage(LogLevel.Warning, "embeddings of {Model} are cut to {Dimensions} of {All} dimensions, as a request asks; the model does not "
        + "say that it was trained for that, so they may compare badly")]
    private static partial void LogCut(ILogger logger, string model, int dimensions, int all);
}
