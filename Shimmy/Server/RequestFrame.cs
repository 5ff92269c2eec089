using System.Diagnostics;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Shimmy.Api;

namespace Shimmy.Server;

/// <summary>
/// The frame around every request: gives it an id, turns what is thrown into the dialect's error body, and writes its line in the log.
/// </summary>
internal sealed partial class RequestFrame(ILogger logger, RunningRequests running)
{
    private const int LongestId = 128;

    /// <summary>Runs the request.</summary>
    public async Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        var start = Stopwatch.GetTimestamp();
        context.TraceIdentifier = IdOf(context.Request.Headers["x-request-id"].ToString());
        context.Response.Headers["x-request-id"] = context.TraceIdentifier;
        // Anthropic's clients look for it under this name.
        if (context.Request.Path.StartsWithSegments("/v1/messages"))
            context.Response.Headers["request-id"] = context.TraceIdentifier;
        try
        {
            using var entered = running.Enter(context);
            await next(context).ConfigureAwait(false);
        }
        catch (Exception e) when (ClientConnection.IsGone(context))
        {
            // The client is gone: nobody is left to tell, and what ran for it was cancelled.
            LogGone(logger, context.TraceIdentifier, e.GetType().Name);
            return;
        }
        catch (StreamBrokenException e)
        {
            if (e.IsOurFault)
                LogFault(logger, context.TraceIdentifier, e);
            LogBroken(logger, context.TraceIdentifier, context.Request.Method, RouteOf(context), RequestLog.Of(context).Model ?? "-",
                Stopwatch.GetElapsedTime(start).TotalMilliseconds, e.Message);
            throw;
        }
        catch (Exception e)
        {
            await AnswerAsync(context, e).ConfigureAwait(false);
        }
        LogLine(context, Stopwatch.GetElapsedTime(start));
    }

    private async Task AnswerAsync(HttpContext context, Exception exception)
    {
        var error = ApiError.Of(exception);
        if (error is null)
            LogFault(logger, context.TraceIdentifier, exception);
        if (!context.Response.HasStarted)
            await WriteErrorAsync(context, error ?? ApiError.Internal).ConfigureAwait(false);
    }

    private static async Task WriteErrorAsync(HttpContext context, ApiError error)
    {
        var body = Dialect.ErrorBody(context.Request.Path, error, context.TraceIdentifier);
        context.Response.StatusCode = error.Status;
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = HttpMethods.IsHead(context.Request.Method) ? null : body.Length;
        if (error.RetryAfterSeconds is { } seconds)
            context.Response.Headers.RetryAfter = seconds.ToString(System.Globalization.CultureInfo.InvariantCulture);
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

    private void LogLine(HttpContext context, TimeSpan elapsed)
    {
        var log = RequestLog.Of(context);
        var route = RouteOf(context);
        // A page of health checks a minute says nothing.
        var level = context.Request.Path == "/health" ? LogLevel.Debug : LogLevel.Information;
        LogRequest(logger, level, context.TraceIdentifier, context.Request.Method, route, log.Model ?? "-", context.Response.StatusCode,
            log.Usage?.PromptTokens ?? 0, log.Usage?.CachedTokens ?? 0, log.Usage?.CompletionTokens ?? 0, elapsed.TotalMilliseconds);
    }

    // Escaped as in a URL: what a client sends could forge a line of the log.
    private static string RouteOf(HttpContext context) => context.Request.Path.ToUriComponent();

    [LoggerMessage("{RequestId} {Method} {Route} {Model} {Status}: {PromptTokens} prompt tokens ({CachedTokens} cached), {CompletionTokens} generated, {Milliseconds:F0} ms")]
    private static partial void LogRequest(ILogger logger, LogLevel level, string requestId, string method, string route, string model, int status,
        int promptTokens, int cachedTokens, int completionTokens, double milliseconds);

    [LoggerMessage(LogLevel.Warning, "{RequestId} {Method} {Route} {Model} broke off after {Milliseconds:F0} ms: {Reason}")]
    private static partial void LogBroken(
        ILogger logger, string requestId, string method, string route, string model, double milliseconds, string reason);

    [LoggerMessage(LogLevel.Information, "{RequestId} the client left ({Exception})")]
    private static partial void LogGone(ILogger logger, string requestId, string exception);

    [LoggerMessage(LogLevel.Error, "{RequestId} failed")]
    private static partial void LogFault(ILogger logger, string requestId, Exception exception);
}
