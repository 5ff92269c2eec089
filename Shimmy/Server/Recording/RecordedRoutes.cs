using Microsoft.AspNetCore.Http;
using Shimmy.Http;

namespace Shimmy.Server.Recording;

/// <summary>
/// Which requests are recorded and replayed: all that models answer, and what clients ask around them. What tells of the server itself
/// (health, metrics, models on disk and in memory) is its own at any time.
/// </summary>
internal static class RecordedRoutes
{
    private static readonly string[] Below = ["/v1", "/tokenize", "/detokenize", "/apply-template", "/api/generate"];

    /// <summary>Whether the request is.</summary>
    public static bool Holds(HttpRequest request) => Below.Any(path => request.Path.StartsWithSegments(path));

    /// <summary>Whether it is a request for a WebSocket, whose many answers no line can hold.</summary>
    public static bool IsSocket(HttpRequest request) => request.Path.StartsWithSegments("/ws");

    /// <summary>Reads the whole body, and lets whoever comes next read it again. Throws <see cref="ApiException"/> (400) where that cannot be.</summary>
    public static async Task<byte[]> BodyAsync(HttpContext context)
    {
        var body = new MemoryStream();
        try
        {
            await context.Request.Body.CopyToAsync(body, context.RequestAborted).ConfigureAwait(false);
        }
        catch (IOException e) when (e is not BadHttpRequestException)
        {
            throw RequestFields.Unreadable(e);
        }
        context.Request.Body = new MemoryStream(body.GetBuffer(), 0, (int)body.Length, writable: false);
        return body.ToArray();
    }
}
