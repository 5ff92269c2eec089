using System.Diagnostics.Metrics;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Shimmy.Server;

/// <summary>
/// Takes what <see cref="WebHostBuilderKestrelExtensions.UseKestrelCore"/> registers. That is the only way to a Kestrel without TLS: the
/// public constructor of <see cref="Microsoft.AspNetCore.Server.Kestrel.Core.KestrelServer"/> brings it along.
/// </summary>
internal sealed class KestrelParts(IServiceCollection services) : IWebHostBuilder
{
    /// <inheritdoc/>
    public IWebHostBuilder ConfigureServices(Action<IServiceCollection> configureServices)
    {
        configureServices(services);
        return this;
    }

    /// <inheritdoc/>
    public IWebHostBuilder ConfigureServices(Action<WebHostBuilderContext, IServiceCollection> configureServices)
    {
        configureServices(new WebHostBuilderContext(), services);
        return this;
    }

    /// <inheritdoc/>
    public IWebHostBuilder ConfigureAppConfiguration(Action<WebHostBuilderContext, IConfigurationBuilder> configureDelegate) => this;

    /// <inheritdoc/>
    public string? GetSetting(string key) => null;

    /// <inheritdoc/>
    public IWebHostBuilder UseSetting(string key, string? value) => this;

#pragma warning disable ASPDEPR008 // The interface asks for it.
    /// <inheritdoc/>
    public IWebHost Build() => throw new NotSupportedException("nothing is built here; the parts go into the services");
#pragma warning restore ASPDEPR008
}

/// <summary>
/// The application that Kestrel calls for each request. The web host would do the same, and bring configuration, dependency injection,
/// error pages and routing that nothing here uses: half a megabyte of an executable that is to be small.
/// </summary>
internal sealed class HttpPipeline(RequestDelegate first, IServiceProvider services, string basePath = "") : IHttpApplication<HttpContext>
{
    /// <inheritdoc/>
    public HttpContext CreateContext(IFeatureCollection contextFeatures) =>
        new DefaultHttpContext(contextFeatures) { RequestServices = services };

    /// <inheritdoc/>
    public Task ProcessRequestAsync(HttpContext context)
    {
        // Without it, too: some proxies take it off.
        if (basePath.Length > 0 && context.Request.Path.StartsWithSegments(basePath, out var rest))
        {
            context.Request.PathBase = basePath;
            context.Request.Path = rest.HasValue ? rest : "/";
        }

        return first(context);
    }

    /// <inheritdoc/>
    public void DisposeContext(HttpContext context, Exception? exception)
    {
    }
}

/// <summary>
/// A meter factory whose meters nobody reads: .NET's own metrics are switched off (see the project file), Kestrel asks for a factory all
/// the same.
/// </summary>
internal sealed class NullMeterFactory : IMeterFactory
{
    /// <inheritdoc/>
    public Meter Create(MeterOptions options) => new(options);

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
