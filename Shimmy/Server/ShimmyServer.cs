using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Shimmy.Api;
using Shimmy.Models;
using Shimmy.Models.Residency;

namespace Shimmy.Server;

/// <summary>
/// The HTTP server: Kestrel on the empty host builder (no configuration files, no features but those named here), and the order in which a
/// request meets what stands before its endpoint.
/// </summary>
internal sealed partial class ShimmyServer : IAsyncDisposable
{
    private readonly WebApplication _application;
    private readonly RunningRequests _running;
    private readonly ServerOptions _options;

    private ShimmyServer(WebApplication application, RunningRequests running, ServerOptions options, Uri address)
    {
        _application = application;
        _running = running;
        _options = options;
        Address = address;
    }

    /// <summary>Where it listens.</summary>
    public Uri Address { get; }

    /// <summary>The route table: the methods that each pattern takes.</summary>
    public IReadOnlyList<(IReadOnlyList<string> Methods, string Pattern)> Routes =>
    [
        .. _application.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>()
            .Select(route => (route.Metadata.GetRequiredMetadata<IHttpMethodMetadata>().HttpMethods, route.RoutePattern.RawText!)),
    ];

    /// <summary>
    /// Starts listening. Throws <see cref="FormatException"/> for an address that is none and <see cref="IOException"/> where no address
    /// can be bound.
    /// </summary>
    public static async Task<ShimmyServer> StartAsync(
        ServerOptions options, ModelRegistry registry, ModelResidency residency, ILoggerFactory loggers, CancellationToken cancellation)
    {
        var logger = loggers.CreateLogger("shimmy");
        IOException? taken = null;
        foreach (var endpoint in BindAddress.Candidates(options.Bind, Environment.GetEnvironmentVariable))
        {
            var state = new ServerState();
            var running = new RunningRequests(state);
            var application = Build(options, endpoint, registry, residency, state, running, loggers, logger);
            try
            {
                await application.StartAsync(cancellation).ConfigureAwait(false);
            }
            catch (Exception e) when (e is IOException or SocketException)
            {
                // A port that is taken comes as the one, what the system forbids or does not know as the other.
                taken = e as IOException ?? new IOException($"cannot listen on {endpoint}: {e.Message}", e);
                await application.DisposeAsync().ConfigureAwait(false);
                running.Dispose();
                continue;
            }
            var server = new ShimmyServer(application, running, options, AddressOf(application));
            if (options.ReadyFile is { } file)
                await WriteReadyFileAsync(file, server.Address, cancellation).ConfigureAwait(false);
            if (!IPAddress.IsLoopback(endpoint.Address) && options.ApiKeys.Count == 0)
                LogOpen(logger, server.Address);
            return server;
        }
        throw taken!;
    }

    /// <summary>Lets running requests end, at most for the drain time, then stops.</summary>
    public async Task StopAsync()
    {
        await _running.DrainAsync(_options.DrainTime).ConfigureAwait(false);
        using var now = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        await _application.StopAsync(now.Token).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _application.DisposeAsync().ConfigureAwait(false);
        _running.Dispose();
    }

    private static WebApplication Build(ServerOptions options, IPEndPoint endpoint, ModelRegistry registry, ModelResidency residency,
        ServerState state, RunningRequests running, ILoggerFactory loggers, ILogger logger)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = options.BodyLimit;
            kestrel.Listen(endpoint);
        });
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton<ILoggerFactory>(new FrameworkLog(loggers));
        builder.Services.AddSingleton(registry);
        builder.Services.AddSingleton(residency);
        builder.Services.AddSingleton(state);

        var application = builder.Build();
        application.Use(next => context => new RequestFrame(logger, running).InvokeAsync(context, next));
        var cors = new CorsRules(options.CorsOrigin);
        application.Use(next => context => cors.InvokeAsync(context, next));
        application.Use(next => context => HostCheck.InvokeAsync(context, next));
        var keys = new ApiKeys(options.ApiKeys);
        application.Use(next => context => keys.InvokeAsync(context, next));
        application.UseWebSockets();
        application.UseRouting();
        Server.Routes.Map(application);
        return application;
    }

    // The port that was asked for may have been 0; what was bound is known only now. An address for everybody is none to connect to.
    private static Uri AddressOf(WebApplication application) =>
        new(application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()
            .Replace("[::]", "[::1]", StringComparison.Ordinal).Replace("0.0.0.0", "127.0.0.1", StringComparison.Ordinal));

    // Moved into place, so that whoever waits for the file never reads half an address.
    private static async Task WriteReadyFileAsync(string file, Uri address, CancellationToken cancellation)
    {
        var part = file + ".part";
        await File.WriteAllTextAsync(part, address + "\n", cancellation).ConfigureAwait(false);
        File.Move(part, file, overwrite: true);
    }

    [LoggerMessage(LogLevel.Warning, "{Address} can be reached from other machines and no API key is set: everybody there can use the models")]
    private static partial void LogOpen(ILogger logger, Uri address);
}
