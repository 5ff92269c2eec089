using Microsoft.AspNetCore.Http;
using Shimmy.Chat.Output;

namespace Shimmy.Api;

/// <summary>What a request was about, for its line in the log; filled in by the endpoints.</summary>
internal sealed class RequestLog
{
    private static readonly object Key = new();

    /// <summary>The model that answered.</summary>
    public string? Model { get; set; }

    /// <summary>Tokens of the request.</summary>
    public Usage? Usage { get; set; }

    /// <summary>The log of this request.</summary>
    public static RequestLog Of(HttpContext context)
    {
        if (context.Items.TryGetValue(Key, out var known))
            return (RequestLog)known!;
        var log = new RequestLog();
        context.Items[Key] = log;
        return log;
    }
}
