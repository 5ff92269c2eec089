using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Shimmy.Chat.Output;
using Shimmy.Observability;

namespace Shimmy.Http;

/// <summary>
/// The record of a request that has ended: its line in the log, the metrics, its trace, and the tokens that its API key is charged.
/// </summary>
internal sealed partial class AccessLog(ILogger logger, RequestMetrics metrics, LiveRequests live,
    Action<RequestSummary>? export = null)
{
    /// <summary>Counts a request as running.</summary>
    public void Begin(HttpContext context)
    {
        metrics.Begin();
        live.Begin(context);
    }

    /// <summary>Records the end of a request that <see cref="Begin"/> counted.</summary>
    public void End(RequestSummary request, RequestContext record)
    {
        metrics.End();
        live.End(record, request);
        metrics.Observe(request);
        if (request.Cache != "hit")
            record.Client?.Charge(new Usage(request.PromptTokens, request.CachedTokens, request.GeneratedTokens));
        export?.Invoke(request);
        Log(request, request.BrokenBy is not null ? LogLevel.Warning : LogLevel.Information);
    }

    /// <summary>
    /// Logs the end of a request that is polled all the time (<see cref="RoutePolicy.Quiet"/>), at debug level and without metrics.
    /// </summary>
    public void EndQuietly(RequestSummary request) => Log(request, LogLevel.Debug);

    private void Log(RequestSummary request, LogLevel level)
    {
        var trace = request.Trace.IsKnown ? request.Trace.TraceId : "-";
        var why = request.BrokenBy is { } broken ? $", broke off: {broken}" : request.Refusal is { } refusal ? $": {refusal}" : "";
        if (request is { Answers.Count: 0, PromptTokens: 0, GeneratedTokens: 0 })
        {
            LogOther(
                logger, level, request.Id, request.Method, request.Path, request.Model ?? request.RequestedModel ?? "-", request.Status,
                request.Elapsed.TotalMilliseconds, request.Key ?? "-", trace, why);
            return;
        }

        var queued = request.Answers.Count == 0 ? 0 : request.Answers.Max(answer => answer.QueueMilliseconds);
        LogRequest(logger, level, request.Id, request.Method, request.Path, request.Model ?? "-", request.Status,
            request.PromptTokens, request.CachedTokens, request.GeneratedTokens, queued, request.ToFirstToken?.TotalMilliseconds ?? 0,
            request.Elapsed.TotalMilliseconds, request.Cache ?? "-", request.Key ?? "-", trace, why);
    }

    [LoggerMessage("{RequestId} {Method} {Route} {Model} {Status}: {PromptTokens} prompt tokens ({CachedTokens} cached), " +
        "{CompletionTokens} generated, {QueueMilliseconds:F0} ms queued, {FirstTokenMilliseconds:F0} ms to the first token, {Milliseconds:F0} ms, response cache {Cache}, key {Key}, trace {TraceId}{Reason}")]
    private static partial void LogRequest(ILogger logger, LogLevel level, string requestId, string method, string route, string model,
        int status, int promptTokens, int cachedTokens, int completionTokens, double queueMilliseconds,
        double firstTokenMilliseconds, double milliseconds,
        string cache, string key, string traceId, string reason);

    // Of a request that generates nothing: lists, health, refusals.
    [LoggerMessage("{RequestId} {Method} {Route} {Model} {Status}: {Milliseconds:F0} ms, key {Key}, trace {TraceId}{Reason}")]
    private static partial void LogOther(ILogger logger, LogLevel level, string requestId, string method, string route, string model,
        int status, double milliseconds, string key, string traceId, string reason);
}
