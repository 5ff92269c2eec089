using Microsoft.AspNetCore.Http;

namespace Shimmy.Api;

/// <summary>Remembers why a stream broke off, for the request's line in the log: its status is 200 all the same.</summary>
internal static class StreamFailure
{
    private static readonly object Key = new();

    public static void Note(HttpContext context, Exception exception) => context.Items[Key] = exception.Message;

    public static string? Of(HttpContext context) => context.Items.TryGetValue(Key, out var message) ? (string?)message : null;
}
