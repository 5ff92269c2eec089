using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;
using Shimmy.Http;

namespace Shimmy.Server;

/// <summary>
/// Which web pages may call (WHATWG Fetch, CORS protocol): those of this machine by default, one origin or all if the user says so.
/// A request without an Origin header is no page's and passes untouched. What another page sends is refused: leaving out the header
/// would only hide the answer from it, and a WebSocket's not even that.
/// </summary>
internal sealed class CorsMiddleware(string? allowedOrigin)
{
    /// <summary>
    /// Answers a preflight, or lets the request through with the header that lets the page read the answer. Throws
    /// <see cref="ApiException"/> (403) for a page that may not call.
    /// </summary>
    public Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        var origin = context.Request.Headers.Origin;
        if (StringValues.IsNullOrEmpty(origin))
            return next(context);
        var headers = context.Response.Headers;
        headers.Vary = "Origin";
        var allowed = IsAllowed(origin.ToString());
        if (allowed)
        {
            headers.AccessControlAllowOrigin = allowedOrigin == "*" ? "*" : origin;
            headers.AccessControlExposeHeaders = "x-request-id, retry-after, x-shimmy-cache";
        }
        if (!HttpMethods.IsOptions(context.Request.Method) || !context.Request.Headers.ContainsKey("Access-Control-Request-Method"))
        {
            return allowed
                ? next(context)
                : throw new ApiException(403, $"pages of {RequestFields.Quote(origin.ToString())} may not call this server; --cors allows an origin", "origin_not_allowed");
        }
        if (allowed)
        {
            headers.AccessControlAllowMethods = "GET, POST, DELETE, OPTIONS";
            headers.AccessControlAllowHeaders = context.Request.Headers.AccessControlRequestHeaders is { Count: > 0 } asked
                ? asked : "authorization, content-type, x-api-key";
            headers.AccessControlMaxAge = "600";
        }
        context.Response.StatusCode = StatusCodes.Status204NoContent;
        return Task.CompletedTask;
    }

    /// <summary>Whether pages of this origin may call.</summary>
    public bool IsAllowed(string origin) => allowedOrigin switch
    {
        "*" => true,
        null => Uri.TryCreate(origin, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" && uri.IsLoopback,
        _ => string.Equals(origin, allowedOrigin.TrimEnd('/'), StringComparison.OrdinalIgnoreCase),
    };
}
