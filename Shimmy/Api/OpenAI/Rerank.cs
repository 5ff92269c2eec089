using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models.Residency;

namespace Shimmy.Api.OpenAI;

/// <summary>
/// <c>POST /v1/rerank</c>: documents ordered by how well they answer a query. In the shape that Jina gave it, or, where the documents are
/// called <c>texts</c>, in that of TEI (Hugging Face's server).
/// </summary>
internal static class Rerank
{
    private const int MostDocuments = 2048;

    public static void Map(RouteTable routes) => routes.MapPost("/v1/rerank", Handle, name: "rerank");

    private static async Task Handle(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var query = fields.RequiredText("query");
        var isTei = fields.Has("texts") && !fields.Has("documents");
        var name = isTei ? "texts" : "documents";
        var documents = ReadDocuments(fields, name);
        var most = fields.Whole("top_n", 1, int.MaxValue) ?? documents.Count;
        var withText = isTei ? fields.Flag("return_text") ?? false : fields.Flag("return_documents") ?? true;
        // llama-server reports what the model says, others a probability.
        var isRaw = (fields.Flag("raw_scores") ?? false) || LlamaServerMode.Of(context).IsOn;
        var loras = LoraFields.Read(fields);
        var truncates = EmbeddingRun.Truncates(fields);
        var wanted = ModelRequest.Read(fields);
        UnreadFields.Check(fields, ModelResolver.LoggerOf(context));
        using var lease = await ModelResolver.AcquireAsync(context, wanted);
        if (!lease.Model.Facts.CanRerank)
        {
            throw ApiException.BadField("model", lease.Model.Facts.LacksRankingHead
                ? $"'{lease.Entry.Name}' pools as a reranker, but its file has no classification head (cls.weight or cls.output.weight), so it "
                    + "cannot tell documents apart; a file that was converted with its head is needed"
                : $"'{lease.Entry.Name}' is not a reranking model");
        }

        var prompts = PromptLog.Of(context);
        var scored =
            await Task.WhenAll(
                documents.Select((text, i) => ScoreAsync(
                    lease, prompts, query, text, truncates, loras, $"{name}[{i}]", context.RequestAborted)));
        var tokens = scored.Sum(one => one.Tokens);
        RequestContext.Of(context).Usage = new Usage(tokens, 0, 0);
        var order = scored.Select((one, i) => (Index: i, Score: isRaw ? one.Values[0] : ScoreOf(one.Values)))
            .OrderByDescending(one => one.Score).Take(most);
        await JsonResponse.WriteAsync(context, json =>
        {
            if (isTei)
            {
                json.WriteStartArray();
                foreach (var (index, score) in order)
                    WriteAsTei(json, index, score, withText ? documents[index] : null);
                json.WriteEndArray();
                return;
            }
            json.WriteStartObject();
            json.WriteString("model", lease.Entry.Name);
            json.WriteString("object"u8, "list"u8);
            json.WriteStartObject("usage");
            json.WriteNumber("prompt_tokens", tokens);
            json.WriteNumber("total_tokens", tokens);
            json.WriteEndObject();
            json.WriteStartArray("results");
            foreach (var (index, score) in order)
                WriteResult(json, index, score, withText ? documents[index] : null);
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private static async Task<Embedding> ScoreAsync(
        ModelLease lease, PromptLog? prompts, string query, string document, bool truncates, IReadOnlyList<LoraChoice>? loras,
        string name, CancellationToken cancellation)
    {
        try
        {
            var prompt = Prompt.FromText(query);
            prompts?.Write(prompt);
            return await lease.Model.EmbedAsync(
                new EmbeddingRequest
                {
                    Prompt = prompt,
                    Document = Prompt.FromText(document),
                    Truncate = truncates,
                    Loras = lease.LorasOver(loras),
                    Place = lease.Place,
                }, cancellation);
        }
        catch (EngineException e) when (e.Failure == EngineFailure.PromptTooLong)
        {
            throw ApiException.TooLong(name, $"with the query, {e.Message}", e);
        }
    }

    // A single score is a logit; several are probabilities already, that of "relevant" first.
    private static float ScoreOf(float[] values) => values.Length == 1 ? 1 / (1 + MathF.Exp(-values[0])) : values[0];

    private static void WriteResult(Utf8JsonWriter json, int index, float score, string? text)
    {
        json.WriteStartObject();
        json.WriteNumber("index", index);
        json.WriteNumber("relevance_score", score);
        if (text is not null)
        {
            json.WriteStartObject("document");
            json.WriteString("text", text);
            json.WriteEndObject();
        }
        json.WriteEndObject();
    }

    private static void WriteAsTei(Utf8JsonWriter json, int index, float score, string? text)
    {
        json.WriteStartObject();
        json.WriteNumber("index", index);
        json.WriteNumber("score", score);
        if (text is not null)
            json.WriteString("text", text);
        json.WriteEndObject();
    }

    private static IReadOnlyList<string> ReadDocuments(RequestFields fields, string name)
    {
        var documents = fields.List(name)
            ?? throw ApiException.BadField(name, "is missing; an array of strings or of objects with a text is required",
                "missing_required_parameter");
        if (documents.Count is 0 or > MostDocuments)
            throw ApiException.BadField(name, $"has {documents.Count} entries; 1 to {MostDocuments} are allowed");
        return [.. documents.Select((document, i) => document.ValueKind == JsonValueKind.Object
            ? RequestFields.Of(document, $"{name}[{i}]").RequiredText("text")
            : RequestFields.TextOf(document, $"{name}[{i}]"))];
    }
}
