using System.Net;
using Microsoft.AspNetCore.Http;
using Shimmy.Http;

namespace Shimmy.Server;

/// <summary>
/// On a loopback connection the Host header must name this machine. A web page whose name was pointed at 127.0.0.1 (DNS rebinding) is of
/// the same origin as we are to the browser, and only this header gives it away.
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
