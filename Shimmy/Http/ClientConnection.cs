using Microsoft.AspNetCore.Http;

namespace Shimmy.Http;

/// <summary>
/// The client's end of a connection. <see cref="HttpContext.RequestAborted"/> is cancelled when the client leaves, but also when the server
/// stops or a deadline passes; in those cases the client can still be sent an error.
/// </summary>
internal static class ClientConnection
{
    private static readonly object Key = new();

    /// <summary>Cancelled when the client is gone.</summary>
    public static CancellationToken Token(HttpContext context) =>
        context.Items.TryGetValue(Key, out var token) ? (CancellationToken)token! : context.RequestAborted;

    /// <summary>Whether the client is gone.</summary>
    public static bool IsGone(HttpContext context) => Token(context).IsCancellationRequested;

    /// <summary>Lets the request end with another token as well; the client's own stays known.</summary>
    public static void EndWith(HttpContext context, CancellationToken either)
    {
        context.Items[Key] = context.RequestAborted;
        context.RequestAborted = either;
    }
}
