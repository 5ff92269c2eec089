using System.Net;
using Microsoft.AspNetCore.Http;
using Shimmy.Http;
using Shimmy.Models;

namespace Shimmy.Server;

/// <summary>
/// Check of the Host header against DNS rebinding: on a loopback connection it must name this machine. To the browser, a web page whose
/// name was pointed at 127.0.0.1 has the same origin as the server, and only this header gives it away.
/// </summary>
/// <param name="allowed">Further names, with <c>*</c> and <c>?</c> as wildcards.</param>
internal sealed class HostCheckMiddleware(IReadOnlyList<string> allowed)
{
    // This machine's own name, and the names that containers have for the machine below them, which nobody else can point elsewhere.
    private static readonly string[] OwnNames =
    [
        "localhost", Environment.MachineName, Environment.MachineName + ".local", "host.docker.internal", "host.containers.internal",
    ];

    /// <summary>Lets the request through, or throws <see cref="ApiException"/> (403).</summary>
    public Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        var host = context.Request.Host.Host;
        if (context.Connection.LocalIpAddress is { } local && IPAddress.IsLoopback(local) && !IsAllowed(host))
        {
            throw new ApiException(403, $"the Host header names {RequestFields.Quote(host)}, which is not this machine; "
                + "--allow-host NAME allows a name", "host_not_allowed");
        }

        return next(context);
    }

    /// <summary>
    /// Whether a Host header names this machine in a way that nobody else can point here: an address, or a name that is its own or was
    /// allowed. A page of such a host is this server's own.
    /// </summary>
    public bool IsOwn(string host) => host.Length > 0 && (IsAllowed(host) || IPAddress.TryParse(host.Trim('[', ']'), out _));

    // A name may end in the dot of the DNS root.
    private bool IsAllowed(string host)
    {
        var name = host.TrimEnd('.');
        return host.Length == 0
            || OwnNames.Contains(name, StringComparer.OrdinalIgnoreCase)
            || name.EndsWith(".localhost", StringComparison.OrdinalIgnoreCase)
            || (IPAddress.TryParse(host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address))
            || allowed.Any(pattern => Wildcard.Matches(pattern, name));
    }
}
