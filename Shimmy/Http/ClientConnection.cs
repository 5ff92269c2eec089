using Microsoft.AspNetCore.Http;

namespace Shimmy.Http;

/// <summary>
/// The client's end of a connection. <see cref="HttpContext.RequestAborted"/> is cancelled when the client leaves, but also when the server
/// stops or a deadline passes; in those cases the client can still be sent an error.
/// </summary>
internal static class ClientConnection
{
    private static readonly object Key = new();
    private static readonly object EndKey = new();

    /// <summary>Cancelled when the client is gone.</summary>
    public static CancellationToken Token(HttpContext context) =>
        context.Items.TryGetValue(Key, out var token) ? (CancellationToken)token! : context.RequestAborted;

    /// <summary>Whether the client is gone.</summary>
    public static bool IsGone(HttpContext context) => Token(context).IsCancellationRequested;

    /// <summary>Cancelled when the server ends the request, at its deadline or its own end, whether the client is there or not.</summary>
    public static CancellationToken ServersEnd(HttpContext context) =>
        context.Items.TryGetValue(EndKey, out var token) ? (CancellationToken)token! : default;

    /// <summary>Lets the request end with the server's tokens as well; the client's own stays known.</summary>
    /// <param name="context">The request.</param>
    /// <param name="either">The client's token and the server's.</param>
    /// <param name="server">The server's alone.</param>
    public static void EndWith(HttpContext context, CancellationToken either, CancellationToken server)
    {
        context.Items[Key] = context.RequestAborted;
        context.Items[EndKey] = server;
        context.RequestAborted = either;
    }
}
