using System.Net;
using Microsoft.AspNetCore.Http;
using Shimmy.Http;

namespace Shimmy.Server;

/// <summary>
/// Check of the Host header against DNS rebinding: on a loopback connection it must name this machine. To the browser, a web page whose
/// name was pointed at 127.0.0.1 has the same origin as the server, and only this header gives it away.
/// </summary>
internal static class HostCheckMiddleware
{
    /// <summary>Lets the request through, or throws <see cref="ApiException"/> (403).</summary>
    public static Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        var host = context.Request.Host.Host;
        if (context.Connection.LocalIpAddress is { } local && IPAddress.IsLoopback(local) && !IsOurs(host))
            throw new ApiException(403, $"the Host header names '{host}', which is not this machine", "host_not_allowed");
        return next(context);
    }

    private static bool IsOurs(string host) =>
        host.Length == 0
        || host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || host.EndsWith(".localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address));
}
