using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Shimmy.Api;

/// <summary>Routes that only tell something.</summary>
internal static class ReadRoute
{
    private static readonly string[] Methods = [HttpMethods.Get, HttpMethods.Head];

    /// <summary>Maps GET, and HEAD with it, as RFC 9110 (9.1) asks of every server; Kestrel leaves out the body.</summary>
    public static void MapRead(this IEndpointRouteBuilder routes, string pattern, RequestDelegate handle) => routes.MapMethods(pattern, Methods, handle);
}
