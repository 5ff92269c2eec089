using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;
using Shimmy.Http;

namespace Shimmy.Server;

/// <summary>
/// CORS (WHATWG Fetch): pages of loopback origins may call by default, of one origin or of all with <c>--cors</c>. A request without an
/// Origin header is not from a page and passes untouched. A request from any other page is refused: leaving out the header would only hide
/// the answer from the page, and that of a WebSocket not even that.
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
                : throw new ApiException(403,
                    $"the origin {RequestFields.Quote(origin.ToString())} is not allowed (CORS); --cors allows an origin",
                        "origin_not_allowed");
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
