using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Shimmy.Http;
using Shimmy.Observability;

namespace Shimmy.Server;

/// <summary>
/// The outermost middleware: matches the route, gives the request an id and a place in a trace, turns every exception into the dialect's
/// error body, and reports the end.
/// </summary>
/// <param name="logger">Gets faults of the server.</param>
/// <param name="routes">The routes, of which the request's is found here.</param>
/// <param name="running">The requests in flight.</param>
/// <param name="report">Gets the requests that ended.</param>
/// <param name="traces">Whether requests that come without a trace begin one.</param>
/// <param name="bodyLimit">Most bytes of a body, once it is unpacked.</param>
internal sealed partial class RequestMiddleware(ILogger logger, RouteTable routes, InFlightRequests running, AccessLog report, bool traces,
    long bodyLimit)
{
    private const int LongestId = 128;
    private const int ClientLeft = 499; // as nginx logs it

    /// <summary>Runs the request.</summary>
    public async Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        var log = RequestContext.Of(context);
        var match = log.Match = routes.Match(context.Request);
        context.TraceIdentifier = IdOf(context.Request.Headers["x-request-id"].ToString());
        context.Response.Headers["x-request-id"] = context.TraceIdentifier;
        if (match.Dialect.RequestIdHeader is { } header)
            context.Response.Headers[header] = context.TraceIdentifier;
        log.Trace = TraceContext.Of(context.Request.Headers.TraceParent.ToString(), traces);
        // A socket's messages are reported one by one.
        var quiet = match.Is(RoutePolicy.Quiet) || match.OpensSocket(context.Request);
        if (!quiet)
            report.Begin(context);
        var status = 0;
        string? brokenBy = null;
        try
        {
            using var entered = running.Enter(context);
            await AnswerAsync(context, next).ConfigureAwait(false);
        }
        catch (Exception e) when (ClientConnection.IsGone(context))
        {
            // The client is gone: nobody is left to tell, and what ran for it was cancelled, unless it outlives the client.
            if (e is StreamBrokenException { IsOurFault: true })
                LogFault(logger, context.TraceIdentifier, e);
            status = ClientLeft;
        }
        catch (StreamBrokenException e)
        {
            if (e.IsOurFault)
                LogFault(logger, context.TraceIdentifier, e);
            brokenBy = e.Message;
            throw;
        }
        catch (Exception e)
        {
            await WriteErrorAsync(context, e).ConfigureAwait(false);
        }
        finally
        {
            var summary = log.Summarise(context, context.Request.Method, status == 0 ? context.Response.StatusCode : status, brokenBy);
            if (quiet)
                report.EndQuietly(summary);
            else
                report.End(summary, log);
        }
    }

    // Inside the deadline, which is known only as long as the request counts as running.
    private async Task AnswerAsync(HttpContext context, RequestDelegate next)
    {
        try
        {
            DecodedBody.Unpack(context.Request, bodyLimit);
            await next(context).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not StreamBrokenException && !ClientConnection.IsGone(context))
        {
            await WriteErrorAsync(context, e).ConfigureAwait(false);
        }
    }

    private async Task WriteErrorAsync(HttpContext context, Exception exception)
    {
        var known = ApiError.Of(exception, context);
        if (known is null)
            LogFault(logger, context.TraceIdentifier, exception);
        RequestContext.Of(context).Refusal = known?.Message;
        if (context.Response.HasStarted)
            return;
        var error = known ?? ApiError.Internal;
        var dialect = RequestContext.Of(context).Match!.Dialect;
        var body = dialect.ErrorBody(error, context.TraceIdentifier);
        context.Response.StatusCode = dialect.StatusOf(error);
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = HttpMethods.IsHead(context.Request.Method) ? null : body.Length;
        if (error.RetryAfterSeconds is { } seconds)
            context.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        if (error.Status == 401)
            context.Response.Headers.WWWAuthenticate = "Bearer";
        if (!HttpMethods.IsHead(context.Request.Method))
            await context.Response.Body.WriteAsync(body, CancellationToken.None).ConfigureAwait(false);
    }

    // A client's own id is kept, so that its log and ours can be read side by side; only if it could not forge a line of either.
    private static string IdOf(string given) =>
        given.Length is > 0 and <= LongestId && given.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or ':')
            ? given
            : "req_" + Guid.NewGuid().ToString("N");

    [LoggerMessage(LogLevel.Error, "unhandled exception in request {RequestId}")]
    private static partial void LogFault(ILogger logger, string requestId, Exception exception);
}
