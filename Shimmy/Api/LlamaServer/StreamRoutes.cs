using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Shimmy.Http;

namespace Shimmy.Api.LlamaServer;

/// <summary>
/// <c>GET /v1/stream?conv_id=&amp;from=</c> reads a stream again from a byte on, and goes on with it; <c>DELETE</c> ends it;
/// <c>POST /v1/streams/lookup</c> says which of some conversations have one.
/// </summary>
internal static class StreamRoutes
{
    private const int MostIds = 1024;

    public static void Map(RouteTable routes)
    {
        routes.MapRead("/v1/stream", HandleRead);
        routes.Map(HttpMethods.Delete, "/v1/stream", HandleDelete);
        routes.MapPost("/v1/streams/lookup", HandleLookup);
    }

    private static async Task HandleRead(HttpContext context)
    {
        var stream = StreamsOf(context).Find(context, IdOf(context))
            ?? throw new ApiException(404, "Stream not found or expired", "not_found");
        var from = 0L;
        if (context.Request.Query["from"].ToString() is { Length: > 0 } text
            && !long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out from))
        {
            throw ApiException.BadField("from", $"must be a number of bytes, not {RequestFields.Quote(text)}");
        }

        if (from < stream.First)
            throw ApiException.BadField("from", $"Stream offset lost, please restart: the first byte that is kept is {stream.First}");
        SseResponse.SetHeaders(context);
        // The answer may be long in coming: its model loads.
        await context.Response.Body.FlushAsync(context.RequestAborted);
        while (true)
        {
            // A reader that is slower than the answer loses bytes: that is no end.
            var piece = await stream.ReadAsync(from, context.RequestAborted) ?? throw new StreamBrokenException(
                new ApiException(400, "the stream was read too slowly: what comes next is not kept any more", "offset_lost"),
                isOurFault: false);
            if (!piece.More)
                return;
            await context.Response.Body.WriteAsync(piece.Bytes, context.RequestAborted);
            await context.Response.Body.FlushAsync(context.RequestAborted);
            from += piece.Bytes.Length;
        }
    }

    private static Task HandleDelete(HttpContext context)
    {
        StreamsOf(context).Remove(context, IdOf(context));
        context.Response.StatusCode = StatusCodes.Status204NoContent;
        return Task.CompletedTask;
    }

    private static async Task HandleLookup(HttpContext context)
    {
        var (document, fields) = await RequestFields.ReadAsync(context.Request, context.RequestAborted);
        using var body = document;
        var ids = fields.List("conversation_ids") ?? throw ApiException.BadField("conversation_ids", "is missing; an array is required");
        if (ids.Count > MostIds)
            throw ApiException.BadField("conversation_ids", $"has {ids.Count} entries; at most {MostIds} are allowed");
        var streams = ids
            .SelectMany((id, i) => StreamsOf(context).Of(context, RequestFields.TextOf(id, $"conversation_ids[{i}]"))).ToArray();
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartArray();
            foreach (var stream in streams)
            {
                json.WriteStartObject();
                json.WriteString("conversation_id", stream.Id);
                json.WriteBoolean("is_done", stream.EndedAt is not null);
                json.WriteNumber("total_bytes", stream.Length);
                json.WriteNumber("started_at", stream.StartedAt.ToUnixTimeSeconds());
                json.WriteNumber("completed_at", stream.EndedAt?.ToUnixTimeSeconds() ?? 0);
                json.WriteEndObject();
            }
            json.WriteEndArray();
        });
    }

    private static string IdOf(HttpContext context) => context.Request.Query["conv_id"].ToString() is { Length: > 0 } id
        ? id
        : throw ApiException.BadField("conv_id", "Missing conversation id");

    private static ConversationStreams StreamsOf(HttpContext context) => context.RequestServices.GetRequiredService<ConversationStreams>();
}
