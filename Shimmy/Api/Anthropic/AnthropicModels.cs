using System.Globalization;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Http;
using Shimmy.Models;

namespace Shimmy.Api.Anthropic;

/// <summary>
/// <c>GET /v1/models</c> and <c>/v1/models/{id}</c> as Anthropic has them, for clients that say so: they send <c>anthropic-version</c> with
/// every request. The path is OpenAI's too.
/// </summary>
internal static class AnthropicModels
{
    private const int UsualPage = 20;
    private const int MostInPage = 1000;

    public static void Map(RouteTable routes)
    {
        routes.MapRead("/v1/models", HandleList, asked: IsAnthropics);
        routes.MapRead("/v1/models/{id}", HandleOne, asked: IsAnthropics);
    }

    private static bool IsAnthropics(HttpRequest request) => request.Headers.ContainsKey("anthropic-version");

    private static async Task HandleList(HttpContext context)
    {
        var entries = await ModelResolver.ListedAsync(context);
        var from = After(context, entries) ?? 0;
        var to = Before(context, entries) ?? entries.Count;
        var page = entries.Take(to).Skip(from).ToArray();
        // Before an id stand those right before it.
        var limit = Limit(context);
        var shown = context.Request.Query.ContainsKey("before_id") ? page.TakeLast(limit).ToArray() : [.. page.Take(limit)];
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("data");
            foreach (var entry in shown)
                Write(json, entry);
            json.WriteEndArray();
            json.WriteBoolean("has_more", shown.Length < page.Length);
            json.WriteString("first_id", shown.FirstOrDefault()?.Name);
            json.WriteString("last_id", shown.LastOrDefault()?.Name);
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
        json.WriteString("type"u8, "model"u8);
        json.WriteString("id", entry.Name);
        json.WriteString("display_name", entry.Name);
        json.WriteString("created_at",
            entry.ModifiedAt.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture));
        json.WriteNumber("max_input_tokens", entry.ContextLength);
        json.WriteEndObject();
    }

    private static int? After(HttpContext context, IReadOnlyList<ModelEntry> entries) => IndexOf(context, entries, "after_id") + 1;

    private static int? Before(HttpContext context, IReadOnlyList<ModelEntry> entries) => IndexOf(context, entries, "before_id");

    private static int? IndexOf(HttpContext context, IReadOnlyList<ModelEntry> entries, string name)
    {
        if (context.Request.Query[name].ToString() is not { Length: > 0 } id)
            return null;
        for (var i = 0; i < entries.Count; i++)
        {
            if (entries[i].Name == id)
                return i;
        }
        throw ApiException.BadField(name, $"{RequestFields.Quote(id)} is not the id of a model");
    }

    private static int Limit(HttpContext context) => context.Request.Query["limit"].ToString() switch
    {
        "" => UsualPage,
        var text when int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            && number is >= 1 and <= MostInPage => number,
        var text => throw ApiException.BadField("limit", $"must be a whole number from 1 to {MostInPage}, not {RequestFields.Quote(text)}"),
    };
}
