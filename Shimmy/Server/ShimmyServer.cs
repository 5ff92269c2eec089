using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebSockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Shimmy.Api;
using Shimmy.Api.LlamaServer;
using Shimmy.Api.Ollama;
using Shimmy.Api.OpenAI.Responses;
using Shimmy.Chat.Cache;
using Shimmy.Chat.Media;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Models;
using Shimmy.Models.Registry;
using Shimmy.Models.Residency;
using Shimmy.Observability;
using Shimmy.Server.Recording;

namespace Shimmy.Server;

/// <summary>
/// The HTTP server: bare Kestrel and the middleware in its order.
/// </summary>
internal sealed partial class ShimmyServer : IAsyncDisposable
{
    private readonly ServiceProvider _services;
    private readonly IServer _kestrel;
    private readonly RouteTable _routes;
    private readonly InFlightRequests _running;
    private readonly ServerOptions _options;
    private readonly IReadOnlyList<EndPoint> _endpoints;
    private readonly RecordingFile? _recording;

    private ShimmyServer(ServiceProvider services, IServer kestrel, RouteTable routes, InFlightRequests running, ServerOptions options,
        RecordingFile? recording, BindChoice bound)
    {
        _recording = recording;
        _services = services;
        _kestrel = kestrel;
        _routes = routes;
        _running = running;
        _options = options;
        _endpoints = [.. bound.All];
        Addresses = AddressesOf(kestrel, bound.Endpoints);
        var withOllama = AddressesOf(kestrel, [.. bound.Endpoints, .. bound.Ollama]);
        OllamaAddress = withOllama.Skip(Addresses.Count).FirstOrDefault();
        MetricsAddress = AddressesOf(kestrel, _endpoints).Skip(withOllama.Count).FirstOrDefault();
    }

    /// <summary>The first address that the server listens on.</summary>
    public Uri Address => Addresses[0];

    /// <summary>All addresses that were asked for; <c>::1</c> beside 127.0.0.1 is not among them.</summary>
    public IReadOnlyList<Uri> Addresses { get; }

    /// <summary>The address of the listener for Ollama's clients; null where there is none.</summary>
    public Uri? OllamaAddress { get; }

    /// <summary>The address of the listener for scrapers; null where there is none.</summary>
    public Uri? MetricsAddress { get; }

    /// <summary>The route table: the methods that each pattern takes.</summary>
    public IReadOnlyList<(IReadOnlyList<string> Methods, string Pattern)> Routes => _routes.Routes;

    /// <summary>
    /// Starts listening. Throws <see cref="FormatException"/> for an invalid address and <see cref="IOException"/> where no address
    /// can be bound, or a recording not be read or written.
    /// </summary>
    public static async Task<ShimmyServer> StartAsync(
        ServerOptions options, ModelRegistry registry, ModelResidency residency, ILoggerFactory loggers, CancellationToken cancellation,
        BackendProbe? backends = null)
    {
        var logger = loggers.CreateLogger("shimmy");
        var routes = Server.Routes.Create(options.LlamaServer, options.Page);
        IReadOnlyList<string> ignoredFields = [.. routes.Dialects.SelectMany(dialect => dialect.UnrecordedFields).Distinct()];
        var replayed = ReplayedBy(options, ignoredFields, logger);
        var recording = options.RecordFile is { } path ? new RecordingFile(path, logger) : null;
        IOException? taken = null;
        var ollama = options.Ollama is { } asked
            ? Free(asked.Source, BindAddress.ParseOllama(asked.Source, asked.Address),
                "; where Ollama runs, stop it, or take another address")
            : [];
        var metrics = options.MetricsBind is { } scraped
            ? Free(scraped.Source, BindAddress.Parse(scraped.Source, [scraped.Address]).Endpoints, "")
            : [];
        var choices = new Queue<BindChoice>(BindAddress.Candidates(options.Binds, Environment.GetEnvironmentVariable)
            .Select(choice => choice with { Ollama = ollama, Metrics = metrics }));
        while (choices.TryDequeue(out var choice))
        {
            var state = new ServerState
            {
                RequestTimeout = options.RequestTimeout,
                BodyLimit = options.BodyLimit,
                LogsPrompts = options.LogPrompts,
                Limits = LimitsOf(options),
                NamesMetricsAsVllm = options.MetricsAsVllm,
            };
            var running = new InFlightRequests(state);
            var recorder = recording is null ? null : new Recorder(recording, ignoredFields, logger);
            var (services, pipeline) =
                Build(options, choice, routes, registry, residency, state, running, backends, recorder, replayed, loggers,
                    logger);
            var kestrel = services.GetRequiredService<IServer>();
            try
            {
                foreach (var socket in choice.All.OfType<UnixDomainSocketEndPoint>())
                    UnixSocketFile.RemoveStale(socket);
                await kestrel.StartAsync(pipeline, cancellation).ConfigureAwait(false);
            }
            catch (Exception e) when (e is IOException or SocketException)
            {
                // IOException: the port is taken. SocketException: the system forbids the address or does not know it.
                taken = new IOException(e is IOException
                    ? $"{choice.Source}: {e.Message}"
                    : $"{choice.Source}: cannot listen on {string.Join(", ", choice.Endpoints)}: {e.Message}", e);
                if (e is SocketException && choice.WithoutIPv6() is { } less)
                    choices = new Queue<BindChoice>(choices.Prepend(less));
                await services.DisposeAsync().ConfigureAwait(false);
                running.Dispose();
                continue;
            }
            var server = new ShimmyServer(services, kestrel, routes, running, options, recording, choice);
            if (options.ReadyFile is { } file)
                WriteReadyFile(file, server.Address);
            if (options.Keys.Count == 0
                && choice.Endpoints.Concat(choice.Ollama).Any(one => one is IPEndPoint { Address: var own } && !IPAddress.IsLoopback(own)))
            {
                LogOpen(logger, server.Address);
            }

            return server;
        }
        recording?.Dispose();
        throw taken!;
    }

    /// <summary>Lets running requests end, at most for the drain time, then stops.</summary>
    public async Task StopAsync()
    {
        await _running.DrainAsync(_options.DrainTime).ConfigureAwait(false);
        using var now = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        await _kestrel.StopAsync(now.Token).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        // Stops at once what has not stopped yet.
        await _kestrel.StopAsync(new CancellationToken(canceled: true)).ConfigureAwait(false);
        await _services.DisposeAsync().ConfigureAwait(false);
        _running.Dispose();
        foreach (var socket in _endpoints.OfType<UnixDomainSocketEndPoint>())
            UnixSocketFile.Remove(socket);
        _recording?.Dispose();
    }

    private static (ServiceProvider Services, HttpPipeline Pipeline) Build(ServerOptions options, BindChoice choice,
        RouteTable routes, ModelRegistry registry, ModelResidency residency, ServerState state, InFlightRequests running,
        BackendProbe? backends,
        Recorder? recorder, RecordingIndex? replayed, ILoggerFactory loggers, ILogger logger)
    {
        var log = new KestrelLogFilter(loggers);
        var metrics = new RequestMetrics();
        var traces = TraceExport.Of(Environment.GetEnvironmentVariable, ServerState.Version, logger);
        var live = new LiveRequests();
        var report = new AccessLog(logger, metrics, live, traces is null ? null : traces.Add);
        var parts = new ServiceCollection().AddOptions()
            .AddSingleton<ILoggerFactory>(log)
            .AddSingleton<IMeterFactory, NullMeterFactory>()
            .AddSingleton<DiagnosticSource>(new DiagnosticListener("Microsoft.AspNetCore"))
            .AddSingleton(registry)
            .AddSingleton(residency)
            .AddSingleton(state)
            .AddSingleton(metrics)
            .AddSingleton(new PickerMetrics(TimeProvider.System))
            .AddSingleton(new MetricsTextCache())
            .AddSingleton(live)
            .AddSingleton<LiveFigures>()
            .AddSingleton(report)
            .AddSingleton(_ => new FileDigests(options.DigestFile))
            .AddSingleton(new ResponseStore())
            .AddSingleton(new LastLoadFacts())
            .AddSingleton(new ConversationStreams(TimeProvider.System))
            .AddSingleton(new MediaLoader(options.MediaPixels, new MediaFetch(options.MediaHosts, folder: options.MediaFolder))
            {
                Refuses = options.LlamaServer is null ? null : LlamaServerMode.NoMedium,
            })
            .AddSingleton(new ResponseCache(options.ResponseCacheBytes, TimeProvider.System));
        if (options.LlamaServer is { } mode)
        {
            var totals = new LlamaTotals();
            residency.Unloading = totals.KeepAsync;
            parts.AddSingleton(mode).AddSingleton(totals);
        }
        if (backends is not null)
            parts.AddSingleton(backends);
        if (options.LogTail is { } tail)
            parts.AddSingleton(tail);
        if (options.Pulls is { } pulls)
            parts.AddSingleton(pulls);
        if (traces is not null)
            parts.AddSingleton(_ => traces);
        new KestrelParts(parts).UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = options.BodyLimit;
            kestrel.Limits.KeepAliveTimeout = options.IdleTimeout;
            kestrel.Limits.RequestHeadersTimeout = options.HeadersTimeout;
            var refusals = new RefusalBodies(routes);
            foreach (var endpoint in choice.Endpoints)
                kestrel.Listen(endpoint, connections => connections.Use(refusals.Around).Use(HalfCloseGrace.Around));
            foreach (var endpoint in choice.Ollama)
                Listen(endpoint, OllamaListener.Instance);
            foreach (var endpoint in choice.Metrics)
                Listen(endpoint, MetricsListener.Instance);

            void Listen<T>(EndPoint endpoint, T feature) => kestrel.Listen(endpoint, connections => connections.Use(refusals.Around)
                .Use(HalfCloseGrace.Around).Use(next => connection =>
                {
                    connection.Features.Set(feature);
                    return next(connection);
                }));
        });
        var services = parts.BuildServiceProvider();
        // Only a service that was resolved is disposed with the services, and its disposal sends the traces that wait.
        _ = services.GetService<TraceExport>();
        // Measures from the beginning.
        _ = services.GetService<LiveFigures>();

        // From the inside out.
        RequestDelegate next = new WebSocketMiddleware(routes.InvokeAsync, Options.Create(new WebSocketOptions()), log).Invoke;
        if (recorder is not null)
            next = With(recorder.InvokeAsync, next);
        if (replayed is not null)
            next = With(new Replayer(replayed, options.ReplayPasses).InvokeAsync, next);
        if (options.LlamaServer is { } loading)
        {
            // Its clients ask /health until the model is in memory.
            next = With((context, inner) => loading.Loading.Task.IsCompletedSuccessfully
                ? inner(context)
                : throw new ApiException(503, "Loading model", "loading") { RetryAfterSeconds = 1 }, next);
        }
        var keys = new ApiKeysMiddleware(options.Keys, options.MetricsKeys);
        var hosts = new HostCheckMiddleware(options.AllowedHosts);
        next = With(keys.InvokeAsync, next);
        next = With(hosts.InvokeAsync, next);
        next = With(new CorsMiddleware(options.CorsOrigins, hosts, options.LlamaServer is not null).InvokeAsync, next);
        next = With(new RequestMiddleware(logger, routes, running, report, traces is not null, options.BodyLimit).InvokeAsync, next);
        return (services, new HttpPipeline(next, services, options.BasePath));

        static RequestDelegate With(Func<HttpContext, RequestDelegate, Task> outer, RequestDelegate inner) =>
            context => outer(context, inner);
    }

    // Another program may be there. Kestrel would name no option, and the next port for Shimmy's own address would be tried.
    private static IReadOnlyList<EndPoint> Free(string source, IReadOnlyList<EndPoint> endpoints, string advice)
    {
        foreach (var endpoint in endpoints.OfType<IPEndPoint>().Where(endpoint => endpoint is not BindAddress.IPv6Loopback))
        {
            try
            {
                using var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
                socket.Bind(endpoint);
            }
            catch (SocketException e)
            {
                throw new IOException($"{source}: cannot listen on {endpoint}: {e.Message}{advice}", e);
            }
        }
        return endpoints;
    }

    private static IReadOnlyList<(string Name, double? Value)> LimitsOf(ServerOptions options) =>
    [
        ("drain_seconds", options.DrainTime.TotalSeconds),
        ("idle_connection_seconds", options.IdleTimeout.TotalSeconds),
        ("request_headers_seconds", options.HeadersTimeout.TotalSeconds),
        .. options.Limits,
    ];

    // A file that is recorded to and replayed from at once may begin empty: what it lacks is asked of the models and there the next time.
    private static RecordingIndex? ReplayedBy(ServerOptions options, IReadOnlyList<string> ignoredFields, ILogger logger)
    {
        if (options.ReplayFile is not { } path
            || (options.RecordFile is { } recorded && Path.GetFullPath(path) == Path.GetFullPath(recorded) && !File.Exists(path)))
        {
            return null;
        }

        var recording = RecordingIndex.Read(path, ignoredFields, logger);
        LogReplays(logger, recording.Count, path);
        return recording;
    }

    // The port that was asked for may have been 0; what was bound is known only now. Clients cannot connect to the wildcard address.
    private static IReadOnlyList<Uri> AddressesOf(IServer kestrel, IReadOnlyList<EndPoint> endpoints) =>
    [
        .. kestrel.Features.Get<IServerAddressesFeature>()!.Addresses.Zip(endpoints)
            .Where(pair => pair.Second is not BindAddress.IPv6Loopback)
            .Select(pair => pair.Second is UnixDomainSocketEndPoint socket
                ? new Uri($"unix:{socket}")
                : new Uri(pair.First.Replace("[::]", "[::1]", StringComparison.Ordinal)
                    .Replace("0.0.0.0", "127.0.0.1", StringComparison.Ordinal))),
    ];

    private static void WriteReadyFile(string file, Uri address)
    {
        try
        {
            SmallFile.Write(file, Encoding.UTF8.GetBytes(address + "\n"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"--ready-file {file}: {e.Message}", e);
        }
    }

    [LoggerMessage(LogLevel.Information, "{Exchanges} recorded exchanges are replayed from {Path}")]
    private static partial void LogReplays(ILogger logger, int exchanges, string path);

    [LoggerMessage(LogLevel.Warning, "{Address} can be reached from other machines and no API key is set: everybody there can use the models")]
    private static partial void LogOpen(ILogger logger, Uri address);
}
