using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Engine.Memory;
using Shimmy.Engine.Workers;
using Shimmy.Models.Configuration;
using Shimmy.Models.Pull;
using Shimmy.Models.Registry;
using Shimmy.Models.Residency;
using Shimmy.Observability;
using Shimmy.Server;

namespace Shimmy.Cli.Commands;

/// <summary>A server in this process with all that it is made of: registry, engine, residency. Its disposal stops it at once.</summary>
internal sealed partial class Serving : IAsyncDisposable
{
    private readonly LogTail _tail;
    private readonly PullService? _pulls;
    private readonly KvEvents? _events;

    private Serving(
        ModelContext models, Task scan, ModelResidency residency, ModelConfigWatch? config, ShimmyServer server, LogTail tail,
        PullService? pulls, KvEvents? events)
    {
        (_tail, _pulls, _events) = (tail, pulls, events);
        Models = models;
        Scan = scan;
        Residency = residency;
        Config = config;
        Server = server;
    }

    /// <summary>The models.</summary>
    public ModelContext Models { get; }

    /// <summary>The first scan.</summary>
    public Task Scan { get; }

    /// <summary>The models in memory.</summary>
    public ModelResidency Residency { get; }

    /// <summary>Follows the configuration file; null where there is none.</summary>
    public ModelConfigWatch? Config { get; }

    /// <summary>The server.</summary>
    public ShimmyServer Server { get; }

    /// <summary>
    /// Starts it: it listens while the scan runs, and a request for a name that is unknown so far waits for the end of the scan. Throws
    /// <see cref="UsageException"/> for a wrong address, <see cref="CommandException"/> where none can be bound.
    /// </summary>
    public static async Task<Serving> StartAsync(CommandOptions options, ILoggerFactory loggers, CancellationToken cancellation)
    {
        // Each request has an id: without random numbers it is better not to start.
        _ = Guid.NewGuid();
        var logger = loggers.CreateLogger("shimmy");
        var tail = new LogTail();
        loggers.AddProvider(tail);
        var models = ModelContext.Create(options);
        var scan = models.Registry.RefreshAsync(cancellation);
        var events = EventsOf(options, models);
        var engine = new WorkerEngine(loggers, conversions: models.Conversions, cells: events);
        var backends = new BackendProbe(engine.ReportBackendsAsync);
        var memory = new HostMemory(backends);
        var residency = new ModelResidency([engine], models.SpecOf, MonotonicTimeProvider.Instance,
            options.Residency with
            {
                MemoryBudget = models.MemoryBudget,
                Need = (entry, spec, budget, token) => memory.NeedOfAsync(spec, entry.SizeBytes, budget, token),
            });
        ModelConfigWatch? config = null;
        try
        {
            config = models.WatchConfig(text => LogConfig(logger, text), bytes => residency.MemoryBudget = bytes);
            var pulls = options.Server.LlamaServer is null ? PullsOf(models, options, text => LogPull(logger, text)) : null;
            var limits = options.Server with
            {
                Pulls = pulls,
                Limits = [.. OptionTable.LimitsOf(options), ("memory_budget_bytes", models.MemoryBudget)],
                LogTail = tail,
                DigestFile = models.Host.Join(models.Host.CacheFolder(), "shimmy", "digests.tsv"),
            };
            var server = await ShimmyServer.StartAsync(limits, models.Registry, residency, loggers, cancellation, backends);
            return new Serving(models, scan, residency, config, server, tail, pulls, events);
        }
        catch (Exception e)
        {
            config?.Dispose();
            tail.Dispose();
            await residency.DisposeAsync();
            events?.Dispose();
            throw e switch
            {
                FormatException => new UsageException(e.Message),
                IOException or UnauthorizedAccessException => new CommandException(ExitCode.Failed, e.Message),
                _ => e,
            };
        }
    }

    private static KvEvents? EventsOf(CommandOptions options, ModelContext models)
    {
        if (options.KvEvents is not { } asked)
            return null;
        for (var choice = BindAddress.Parse(asked.Source, [asked.Address]); ;)
        {
            try
            {
                return new KvEvents(
                    new ZmtpPublisher([.. choice.Endpoints.OfType<IPEndPoint>()]), options.KvEventsPod, TimeProvider.System,
                    (model, adapter) => AdapterModel.NameOf(
                        AdapterModel.Of(models.Registry, models.Registry.Entries, entry => models.SpecOf(entry).Loras), model, adapter));
            }
            catch (SocketException e)
            {
                // As for the HTTP listeners: ::1 is left out where the machine has none, and not where its port is taken.
                choice = (e.SocketErrorCode == SocketError.AddressAlreadyInUse ? null : choice.WithoutIPv6()) ?? throw new CommandException(
                    ExitCode.Failed, $"{asked.Source}: cannot listen on {string.Join(", ", choice.Endpoints)}: {e.Message}");
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        if (_pulls is not null)
            await _pulls.DisposeAsync();
        Config?.Dispose();
        await Residency.DisposeAsync();
        _events?.Dispose();
        _tail.Dispose();
    }

    private static PullService PullsOf(ModelContext models, CommandOptions options, Action<string> log) =>
        new(models.PullerOf(options), models.Host, models.Registry, options.PullsMissing, log);

    [LoggerMessage(LogLevel.Information, "{Text}")]
    private static partial void LogPull(ILogger logger, string text);

    [LoggerMessage(LogLevel.Warning, "{Text}")]
    private static partial void LogConfig(ILogger logger, string text);
}
