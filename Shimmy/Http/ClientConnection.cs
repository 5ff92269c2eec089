using Microsoft.AspNetCore.Http;

namespace Shimmy.Http;

/// <summary>
/// Tells a client that left from a server that stops: <see cref="HttpContext.RequestAborted"/> ends with either, so that generations do,
/// but in the second case somebody is still there to be told.
/// </summary>
internal static class ClientConnection
{
    private static readonly object Key = new();

    /// <summary>Ends when the client is gone.</summary>
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
