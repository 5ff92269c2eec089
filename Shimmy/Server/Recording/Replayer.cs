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
        var match = RequestContext.Of(context).Match!;
        if (match.Is(RoutePolicy.Socket) && !passes)
        {
            throw new ApiException(404,
                "this server replays a recording, which holds no WebSockets; POST /api/generate with stream is the same over HTTP",
                    "replay_miss");
        }

        if (!match.Is(RoutePolicy.Recorded))
        {
            await next(context).ConfigureAwait(false);
            return;
        }
        var body = await CanonicalRequest.BodyAsync(context).ConfigureAwait(false);
        var request = CanonicalRequest.Of(context.Request, body, SecretScrubber.Of(context), recordingIndex.IgnoredFields);
        // A short key is blanked by a server that knows it; this one need not.
        if ((recordingIndex.Find(request)
            ?? recordingIndex.Find(
                CanonicalRequest.Of(context.Request, body, SecretScrubber.Of(context, anyLength: true),
                    recordingIndex.IgnoredFields))) is { } exchange)
        {
            await SendAsync(context, exchange).ConfigureAwait(false);
        }
        else if (passes)
        {
            await next(context).ConfigureAwait(false);
        }
        else if (match.Dialect.ModelListPath is { } path && request.Route == $"GET {path}")
        {
            await JsonResponse.WriteAsync(context, json => match.Dialect.WriteModelList(json, recordingIndex.Models)).ConfigureAwait(false);
        }
        else
        {
            throw new ApiException(404,
                $"no answer to {RequestFields.Shorten(request.Route)} is recorded in {Path.GetFileName(recordingIndex.Path)}: {recordingIndex.Explain(request)}; "
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
            response.ContentType = exchange.IsLines ? SseResponse.JsonLines : SseResponse.EventStream;
            response.Headers.CacheControl = "no-cache";
        }
        await response.Body.WriteAsync(wire, context.RequestAborted).ConfigureAwait(false);
    }
}
