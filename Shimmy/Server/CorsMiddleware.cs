using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;
using Shimmy.Api.Ollama;
using Shimmy.Http;
using Shimmy.Models;

namespace Shimmy.Server;

/// <summary>
/// CORS (WHATWG Fetch): pages of loopback origins may call by default, those of other origins, or of all, with <c>--cors</c>. A request
/// without an Origin header is not from a page and passes untouched. A request from any other page is refused: leaving out the header would
/// only hide the answer from the page, and that of a WebSocket not even that. On the listener for Ollama's clients apps may call, too.
/// </summary>
/// <param name="allowed">Origins, with <c>*</c> and <c>?</c> as wildcards; none leaves it at those of this machine.</param>
/// <param name="hosts">Knows the hosts under which the server's own page may call, from wherever it was opened; null for none.</param>
/// <param name="asLlamaServer">Whether pages get credentials and headers allowed as llama-server allows them.</param>
internal sealed class CorsMiddleware(IReadOnlyList<string> allowed, HostCheckMiddleware? hosts = null, bool asLlamaServer = false)
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
        var isAllowed = IsAllowed(origin.ToString()) || IsOwnPage(context.Request)
            || (context.Features.Get<OllamaListener>() is not null
            && OllamaListener.Origins.Any(pattern => Wildcard.Matches(pattern, origin.ToString())));
        if (isAllowed)
        {
            headers.AccessControlAllowOrigin = allowed.Contains(All) && !asLlamaServer ? All : origin;
            if (asLlamaServer)
                headers.AccessControlAllowCredentials = "true";
            headers.AccessControlExposeHeaders = "x-request-id, retry-after, x-shimmy-cache";
        }
        if (!HttpMethods.IsOptions(context.Request.Method) || !context.Request.Headers.ContainsKey("Access-Control-Request-Method"))
        {
            return isAllowed
                ? next(context)
                : throw new ApiException(403,
                    $"the origin {RequestFields.Quote(origin.ToString())} is not allowed (CORS); --cors allows an origin",
                    "origin_not_allowed");
        }
        if (isAllowed)
        {
            headers.AccessControlAllowMethods = "GET, POST, DELETE, OPTIONS";
            headers.AccessControlAllowHeaders = asLlamaServer
                ? All
                : context.Request.Headers.AccessControlRequestHeaders is { Count: > 0 } asked
                ? asked : "authorization, content-type, x-api-key";
            headers.AccessControlMaxAge = "600";
            // A page of the internet that calls this machine asks for that beforehand (Private Network Access).
            if (context.Request.Headers.ContainsKey("Access-Control-Request-Private-Network"))
                headers["Access-Control-Allow-Private-Network"] = "true";
        }
        context.Response.StatusCode = asLlamaServer ? StatusCodes.Status200OK : StatusCodes.Status204NoContent;
        return Task.CompletedTask;
    }

    // The scheme makes no difference: before a proxy it is another.
    private bool IsOwnPage(HttpRequest request) =>
        Uri.TryCreate(request.Headers.Origin.ToString(), UriKind.Absolute, out var origin)
        && origin.Scheme is "http" or "https"
        && string.Equals(origin.Authority, request.Host.Value, StringComparison.OrdinalIgnoreCase)
        && hosts?.IsOwn(request.Host.Host) == true;

    /// <summary>Whether pages of this origin may call.</summary>
    public bool IsAllowed(string origin) => allowed.Count > 0
        ? allowed.Any(pattern => Wildcard.Matches(pattern, origin))
        : Uri.TryCreate(origin, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" && uri.IsLoopback;

    /// <summary>
    /// Whether a text may be an origin, or a pattern of them: <c>*</c>, <c>null</c> (pages of files, and of frames without rights), or
    /// <c>SCHEME://HOST</c> with any scheme, as the apps of desktops and browsers have.
    /// </summary>
    public static bool IsOrigin(string text)
    {
        if (text is All or "null")
            return true;
        var schemeEnd = text.IndexOf("://", StringComparison.Ordinal);
        return schemeEnd > 0
            && text[..schemeEnd].All(c => char.IsAsciiLetterOrDigit(c) || c is '+' or '-' or '.' or '*')
            && text.Length > schemeEnd + 3
            && text[(schemeEnd + 3)..].All(c => c > ' ' && c is not ('/' or '\\' or '?' or '#' or '@' or ','));
    }

    /// <summary>The origins of pages of this machine, which may call by default.</summary>
    public static IReadOnlyList<string> OwnOrigins { get; } =
    [
        .. from scheme in (string[])["http", "https"]
           from host in (string[])["localhost", "127.0.0.1", "[::1]"]
           from port in (string[])["", ":*"]
           select $"{scheme}://{host}{port}",
    ];

    private const string All = "*";
}
