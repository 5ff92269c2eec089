using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Shimmy.Server;

/// <summary>
/// What Kestrel calls for each request. The web host would do the same, and bring configuration, dependency injection, error pages and
/// routing that nothing here uses: half a megabyte of an executable that is to be small.
/// </summary>
internal sealed class HttpPipeline(RequestDelegate first, IServiceProvider services) : IHttpApplication<HttpContext>
{
    /// <inheritdoc/>
    public HttpContext CreateContext(IFeatureCollection contextFeatures) => new DefaultHttpContext(contextFeatures) { RequestServices = services };

    /// <inheritdoc/>
    public Task ProcessRequestAsync(HttpContext context) => first(context);

    /// <inheritdoc/>
    public void DisposeContext(HttpContext context, Exception? exception)
    {
    }
}
