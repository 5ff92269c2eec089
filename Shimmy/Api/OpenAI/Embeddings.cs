using Microsoft.AspNetCore.Http;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI;

/// <summary><c>POST /v1/embeddings</c> (OpenAI's API reference), from models that embed and from those that generate.</summary>
internal static class Embeddings
{
    public static void Map(RouteTable routes) => routes.MapPost("/v1/embeddings", Handle, name: "embeddings");

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
        UnreadFields.Check(fields, ModelResolver.LoggerOf(context));
        using var lease = await ModelResolver.AcquireAsync(context, wanted);
        var dimensions = EmbeddingRun.Dimensions(asked, lease, ModelResolver.LoggerOf(context));
        var (embeddings, tokens) = await EmbeddingRun.AllAsync(context, lease, "input", inputs, truncates, loras);
        float[][] vectors = [.. embeddings.Select(embedding => EmbeddingRun.Normalised(embedding, dimensions))];
        await JsonResponse.WriteAsync(context, json => EmbeddingRun.Write(json, lease.Entry.Name, vectors, tokens, asBase64));
    }
}
