using Microsoft.AspNetCore.Hosting;
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
