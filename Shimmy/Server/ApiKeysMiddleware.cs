using Microsoft.AspNetCore.Http;
using Shimmy.Http;

namespace Shimmy.Server;

/// <summary>
/// Checks the API key in <c>Authorization: Bearer</c> or <c>x-api-key</c>; of both, one must be right, since some clients fill in the other
/// by themselves. Without configured keys any is accepted, since clients insist on sending one. Comparing takes the same time wherever keys
/// differ.
/// </summary>
internal sealed class ApiKeysMiddleware(IReadOnlyList<ApiKey> keys)
{
    /// <summary>
    /// Lets the request through, or throws <see cref="ApiException"/> (401). Routes that are <see cref="RoutePolicy.Open"/> need no key.
    /// </summary>
    public Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        var log = RequestContext.Of(context);
        if (keys.Count == 0 || log.Match!.Is(RoutePolicy.Open))
            return next(context);
        string[] given = [.. ApiKey.GivenIn(context.Request.Headers)];
        if (given.Length == 0)
        {
            throw new ApiException(401, "an API key is required: send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'",
                "missing_api_key");
        }

        log.Client = Find(given) ?? throw new ApiException(401, "the API key is not valid", "invalid_api_key");
        return next(context);
    }

    // All are compared, whichever it is.
    private ApiKey? Find(IEnumerable<string> given)
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
