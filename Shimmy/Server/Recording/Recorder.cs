using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;
using Shimmy.Http;

namespace Shimmy.Server.Recording;

/// <summary>
/// Records what models answered. Not recorded is what is of the moment: a full queue, a worker that died, a stream that broke off, a client
/// that left. What is wrong with a request (400 to 499) is an answer like others.
/// </summary>
/// <param name="file">The recording.</param>
/// <param name="ignoredFields">Fields of request bodies that are left out (<see cref="Dialect.UnrecordedFields"/>).</param>
/// <param name="logger">Warns of WebSockets, which are not recorded.</param>
internal sealed partial class Recorder(RecordingFile file, IReadOnlyList<string> ignoredFields, ILogger logger)
{
    /// <summary>Runs the request and appends what became of it.</summary>
    public async Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        var match = RequestContext.Of(context).Match!;
        if (match.Is(RoutePolicy.Socket))
            LogSocket(logger, context.TraceIdentifier);
        if (!match.Is(RoutePolicy.Recorded) || HttpMethods.IsHead(context.Request.Method))
        {
            await next(context).ConfigureAwait(false);
            return;
        }
        var secretScrubber = SecretScrubber.Of(context);
        var request =
            CanonicalRequest.Of(context.Request, await CanonicalRequest.BodyAsync(context).ConfigureAwait(false),
                secretScrubber, ignoredFields);
        var inner = context.Features.GetRequiredFeature<IHttpResponseBodyFeature>();
        var tap = new ResponseCapture(inner, RequestContext.Of(context));
        context.Features.Set<IHttpResponseBodyFeature>(tap);
        try
        {
            await next(context).ConfigureAwait(false);
        }
        catch (Exception e) when (!context.Response.HasStarted && !ClientConnection.IsGone(context)
            && ApiError.Of(e, context) is { Status: >= 400 and < 500 and not StatusCodes.Status429TooManyRequests } error)
        {
            // The frame around all requests writes it, from the same error.
            Append(new Exchange(request, error.Status)
            {
                Answer = secretScrubber.Without(match.Dialect.ErrorBody(error, context.TraceIdentifier)),
                Milliseconds = tap.Milliseconds,
            });
            throw;
        }
        finally
        {
            context.Features.Set(inner);
        }
        if (context.Response.StatusCode >= 500)
            return;
        var lines = context.Response.ContentType == SseResponse.JsonLines;
        var streams = lines || context.Response.ContentType == SseResponse.EventStream;
        Append(streams
            ? new Exchange(request,
                context.Response.StatusCode)
            { Stream = secretScrubber.Without(StreamPiece.Split(tap.Body, tap.Flushes, lines)) }
            : new Exchange(request, context.Response.StatusCode)
            {
                Answer = secretScrubber.Without(tap.Body),
                Milliseconds = tap.Milliseconds
            });
    }

    private void Append(Exchange exchange) => file.Append(ExchangeLine.Write(exchange));

    [LoggerMessage(LogLevel.Warning, "{RequestId} is a WebSocket, which is not recorded; POST /api/generate with stream is the same over HTTP")]
    private static partial void LogSocket(ILogger logger, string requestId);
}
