using Microsoft.AspNetCore.Http;
using Shimmy.Api.Native;
using Shimmy.Api.OpenAI;
using Shimmy.Http;

namespace Shimmy.Server;

/// <summary>
/// Checks the API key in <c>Authorization: Bearer</c> or <c>x-api-key</c>; of both, one must be right, since some clients fill in the other
/// by themselves. Without configured keys any is accepted, since clients insist on sending one. Comparing takes the same time wherever keys
/// differ.
/// </summary>
/// <param name="keys">The keys of clients.</param>
/// <param name="ofMetrics">Keys that open <c>/metrics</c> alone, for scrapers.</param>
internal sealed class ApiKeysMiddleware(IReadOnlyList<ApiKey> keys, IReadOnlyList<ApiKey> ofMetrics)
{
    /// <summary>
    /// Lets the request through, or throws <see cref="ApiException"/> (401). Routes that are <see cref="RoutePolicy.Open"/> need no key.
    /// </summary>
    public Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        var log = RequestContext.Of(context);
        var isScrape = log.Match!.Pattern == Metrics.Path;
        if (context.Features.Get<MetricsListener>() is not null)
        {
            return isScrape || log.Match.Pattern is Health.Path or ModelList.Path
                ? next(context)
                : throw new ApiException(404,
                    $"this address (--metrics-bind) answers GET {Metrics.Path}, {ModelList.Path} and {Health.Path} alone",
                    "route_not_found");
        }
        if (log.Match.Is(RoutePolicy.Open) || keys.Count + (isScrape ? ofMetrics.Count : 0) == 0)
            return next(context);
        string[] given = [.. ApiKey.GivenIn(context.Request.Headers)];
        if (given.Length == 0)
        {
            throw new ApiException(401, "an API key is required: send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'",
                "missing_api_key");
        }

        if (isScrape && Find(given, ofMetrics) is not null)
            return next(context);
        log.Client = Find(given, keys) ?? throw new ApiException(401, "the API key is not valid", "invalid_api_key");
        return next(context);
    }

    // All are compared, whichever it is.
    private static ApiKey? Find(IEnumerable<string> given, IReadOnlyList<ApiKey> keys)
    {
        ApiKey? found = null;
        foreach (var hash in given.Select(ApiKey.HashOf))
        {
            foreach (var one in keys)
                found = one.IsThis(hash) ? found ?? one : found;
        }
        return found;
    }
}

/// <summary>
/// Marks the connections of the listener that is for scrapers (<c>serve --metrics-bind</c>): those of routers read the models, too.
/// </summary>
internal sealed class MetricsListener
{
    private MetricsListener()
    {
    }

    /// <summary>The one instance; it has no state.</summary>
    public static MetricsListener Instance { get; } = new();
}
