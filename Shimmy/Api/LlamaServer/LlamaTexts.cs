using Microsoft.AspNetCore.Http;
using Shimmy.Engine;
using Shimmy.Http;

namespace Shimmy.Api.LlamaServer;

/// <summary>
/// <c>POST /embedding</c>: embeddings in llama-server's form, a list of vectors for each text with its pictures: one, or that of each
/// token where the model pools none.
/// </summary>
internal static class LlamaTexts
{
    public static void Map(RouteTable routes) =>
        routes.MapPost("/embedding", context => HandleEmbeddingAsync(context, asOpenAI: false));

    /// <summary>Embeds texts, or each of their tokens where the model pools none, and answers in llama-server's form or OpenAI's.</summary>
    public static async Task HandleEmbeddingAsync(HttpContext context, bool asOpenAI)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        // Only llama-server's own name for them asks for its form.
        var field = fields.Has("content") && !fields.Has("input") ? "content" : "input";
        asOpenAI &= field == "input";
        var given = LlamaPrompts.Read(fields, field);
        var norm = fields.Whole("embd_normalize", -1, 100) ?? 2;
        var asBase64 = fields.Choice("encoding_format", "float", "base64") == "base64";
        var truncates = EmbeddingRun.Truncates(fields);
        var asked = fields.Whole("dimensions", 1, int.MaxValue);
        var loras = LoraFields.Read(fields);
        var wanted = ModelRequest.Read(fields);
        UnreadFields.Check(fields, ModelResolver.LoggerOf(context));
        using var lease = await ModelResolver.AcquireAsync(context, wanted);
        var dimensions = EmbeddingRun.Dimensions(asked, lease, ModelResolver.LoggerOf(context));
        var prompts = new List<Prompt>();
        foreach (var element in given)
            prompts.Add(await LlamaPrompts.OfAsync(context, lease, element, field, context.RequestAborted));
        var (values, tokens) =
            await EmbeddingRun.AllAsync(context, lease, field, prompts, truncates, loras, takesTokens: !asOpenAI);
        var width = lease.Model.Facts.EmbeddingLength;
        // Of single tokens the model's own values are returned.
        var vectors = values.Select(value => lease.Model.Facts.EmbedsTokens
            ? value
            : Normalised(dimensions is { } fewer ? value[..fewer] : value, norm)).ToList();
        await JsonResponse.WriteAsync(context, json =>
        {
            if (asOpenAI)
            {
                EmbeddingRun.Write(json, lease.Entry.Name, vectors, tokens, asBase64);
                return;
            }
            json.WriteStartArray();
            for (var i = 0; i < vectors.Count; i++)
            {
                json.WriteStartObject();
                json.WriteNumber("index", i);
                json.WriteStartArray("embedding");
                for (var from = 0; from < vectors[i].Length; from += width)
                    EmbeddingRun.WriteVector(json, null, vectors[i].AsSpan(from, Math.Min(width, vectors[i].Length - from)));
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndArray();
        });
    }

    // llama.cpp's: -1 leaves it, 0 scales the greatest to that of 16 bits, others divide by the norm of that number.
    private static float[] Normalised(float[] values, int norm)
    {
        var size = norm switch
        {
            -1 => 1.0,
            0 => values.Max(Math.Abs) / 32760.0,
            2 => Math.Sqrt(values.Sum(value => (double)value * value)),
            _ => Math.Pow(values.Sum(value => Math.Pow(Math.Abs(value), norm)), 1.0 / norm),
        };
        return size > 0 ? Array.ConvertAll(values, value => (float)(value / size)) : values;
    }
}
