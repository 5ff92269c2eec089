using Microsoft.AspNetCore.Http;
using Shimmy.Http;

namespace Shimmy.Server.Recording;

/// <summary>
/// Answers from a recording, at once and without any model. What the recording does not have is refused, or goes on to the models, as
/// <paramref name="passes"/> says.
/// </summary>
internal sealed class Replayer(RecordingIndex recordingIndex, bool passes)
{
    /// <summary>Answers, or lets the request pass. Throws <see cref="ApiException"/> (404) for one that was not recorded.</summary>
    public async Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        if (RecordedRoutes.IsSocket(context.Request) && !passes)
            throw new ApiException(404, "this server replays a recording, which holds no WebSockets; POST /api/generate with stream is the same over HTTP", "replay_miss");
        if (!RecordedRoutes.Holds(context.Request))
        {
            await next(context).ConfigureAwait(false);
            return;
        }
        var body = await RecordedRoutes.BodyAsync(context).ConfigureAwait(false);
        var request = CanonicalRequest.Of(context.Request, body, SecretScrubber.Of(context));
        // A short key is blanked by a server that knows it; this one need not.
        if ((recordingIndex.Find(request) ?? recordingIndex.Find(CanonicalRequest.Of(context.Request, body, SecretScrubber.Of(context, anyLength: true)))) is { } exchange)
        {
            await SendAsync(context, exchange).ConfigureAwait(false);
        }
        else if (passes)
        {
            await next(context).ConfigureAwait(false);
        }
        else if (request.Route == "GET /v1/models")
        {
            await ListAsync(context).ConfigureAwait(false);
        }
        else
        {
            throw new ApiException(404, $"no answer to {RequestFields.Shorten(request.Route)} is recorded in {Path.GetFileName(recordingIndex.Path)}: {recordingIndex.Explain(request)}; "
                + "shimmy serve --record FILE records one, --replay-miss pass asks the models", "replay_miss");
        }
    }

    private static async Task SendAsync(HttpContext context, Exchange exchange)
    {
        RequestContext.Of(context).Model = exchange.Request.Model;
        var response = context.Response;
        response.StatusCode = exchange.Status;
        var wire = exchange.Wire();
        if (exchange.Stream is null)
        {
            response.ContentType = "application/json";
            response.ContentLength = wire.Length;
        }
        else
        {
            response.ContentType = "text/event-stream; charset=utf-8";
            response.Headers.CacheControl = "no-cache";
        }
        await response.Body.WriteAsync(wire, context.RequestAborted).ConfigureAwait(false);
    }

    // Where the client's own list was not recorded: the models that answered.
    private Task ListAsync(HttpContext context) => JsonResponse.WriteAsync(context, json =>
    {
        json.WriteStartObject();
        json.WriteString("object"u8, "list"u8);
        json.WriteStartArray("data"u8);
        foreach (var model in recordingIndex.Models)
        {
            json.WriteStartObject();
            json.WriteString("id"u8, model);
            json.WriteString("object"u8, "model"u8);
            json.WriteNumber("created"u8, 0);
            json.WriteString("owned_by"u8, "shimmy"u8);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    });
}
