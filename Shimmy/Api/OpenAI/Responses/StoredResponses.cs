using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Http;

namespace Shimmy.Api.OpenAI.Responses;

/// <summary>
/// <c>/v1/responses/{id}</c>: GET returns an answer, DELETE forgets it, <c>POST …/cancel</c> ends one that runs, <c>GET …/input_items</c>
/// lists what it answered.
/// </summary>
internal static class StoredResponses
{
    private const int MostItems = 100;

    public static void Map(RouteTable routes)
    {
        // OpenAI has words where an id may stand, for what is not here.
        routes.MapRead("/v1/responses/{id}", HandleGet, takes: IsId);
        routes.Map(HttpMethods.Delete, "/v1/responses/{id}", HandleDelete, takes: IsId);
        routes.MapPost("/v1/responses/{id}/cancel", HandleCancel);
        routes.MapRead("/v1/responses/{id}/input_items", HandleInputItems);
    }

    private static bool IsId(string value) => value is not ("compact" or "input_tokens");

    private static Task HandleGet(HttpContext context)
    {
        if (context.Request.Query["stream"].ToString() is not ("" or "false"))
            throw ApiException.BadField("stream", "an answer is streamed once, to the request that asked for it", "unsupported_parameter");
        var store = StoreOf(context);
        var id = IdIn(context);
        if (store.Find(id) is { } response)
            return ReplyAsync(context, response.Json);
        return store.TryFindRunning(id, out var running) && running.Json is { } json ? ReplyAsync(context, json) : throw Unknown(id);
    }

    private static Task HandleDelete(HttpContext context)
    {
        var store = StoreOf(context);
        var id = IdIn(context);
        if (!store.Remove(id))
        {
            throw store.TryFindRunning(id, out _)
                ? new ApiException(409, $"the response {RequestFields.Quote(id)} is still being given; cancel it first", "response_running")
                : Unknown(id);
        }

        return JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("id", id);
            json.WriteString("object"u8, "response.deleted"u8);
            json.WriteBoolean("deleted", true);
            json.WriteEndObject();
        });
    }

    private static async Task HandleCancel(HttpContext context)
    {
        var store = StoreOf(context);
        var id = IdIn(context);
        StoredResponse? ended;
        if (store.TryFindRunning(id, out var running))
        {
            running.Cancel();
            ended = await running.Outcome.WaitAsync(context.RequestAborted) ?? throw Unknown(id);
        }
        else
        {
            ended = store.Find(id) ?? throw Unknown(id);
        }
        // As in OpenAI's, to cancel twice is no error.
        if (ended.Status != "cancelled")
        {
            throw new ApiException(400,
                $"the response {RequestFields.Quote(id)} is {ended.Status}; only one that is in_progress can be cancelled",
                    "response_not_running");
        }

        await ReplyAsync(context, ended.Json);
    }

    private static Task HandleInputItems(HttpContext context)
    {
        var id = IdIn(context);
        var response = StoreOf(context).Find(id) ?? throw Unknown(id);
        var query = context.Request.Query;
        var limit = query["limit"].ToString() switch
        {
            "" => 20,
            var text when int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
                && number is >= 1 and <= MostItems => number,
            var text =>
                throw ApiException.BadField("limit", $"must be a whole number from 1 to {MostItems}, not {RequestFields.Quote(text)}"),
        };
        var items = query["order"].ToString() switch
        {
            "" or "desc" => response.Context.Reverse().ToArray(),
            "asc" => [.. response.Context],
            var text => throw ApiException.BadField("order", $"must be one of 'asc', 'desc', not {RequestFields.Quote(text)}"),
        };
        var from = 0;
        if (query["after"].ToString() is { Length: > 0 } after)
        {
            from = Array.FindIndex(items, item => item.Id == after) + 1;
            if (from == 0)
                throw ApiException.BadField("after", $"{RequestFields.Quote(after)} is not the id of one of the items");
        }
        var page = items.Skip(from).Take(limit).ToArray();
        return JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("object"u8, "list"u8);
            json.WriteStartArray("data");
            foreach (var item in page)
                item.Write(json);
            json.WriteEndArray();
            json.WriteString("first_id", page.FirstOrDefault()?.Id);
            json.WriteString("last_id", page.LastOrDefault()?.Id);
            json.WriteBoolean("has_more", from + page.Length < items.Length);
            json.WriteEndObject();
        });
    }

    private static Task ReplyAsync(HttpContext context, ReadOnlyMemory<byte> json) =>
        JsonResponse.WriteAsync(context, writer => writer.WriteRawValue(json.Span, skipInputValidation: true));

    private static ResponseStore StoreOf(HttpContext context) => context.RequestServices.GetRequiredService<ResponseStore>();

    private static string IdIn(HttpContext context) => (string?)context.Request.RouteValues["id"] ?? "";

    private static ApiException Unknown(string id) =>
        new(404, $"no response with id {RequestFields.Quote(id)} is stored here", "response_not_found", "response_id");
}
