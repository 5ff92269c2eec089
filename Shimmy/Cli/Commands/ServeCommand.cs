using Microsoft.Extensions.Logging;
using Shimmy.Api;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Engine.Memory;
using Shimmy.Engine.Workers;
using Shimmy.Models.Configuration;
using Shimmy.Models.Residency;
using Shimmy.Observability;
using Shimmy.Server;

namespace Shimmy.Cli.Commands;

/// <summary>The command <c>serve</c>: composes registry, engine, residency and server.</summary>
internal static partial class ServeCommand
{
    /// <summary>Runs the server until SIGINT or SIGTERM (<paramref name="cancellation"/>), then drains it.</summary>
    public static async Task RunAsync(CommandOptions options, CancellationToken cancellation)
    {
        // Before anything that takes long: a second signal ends the process at any point.
        using var again = new ForceQuit(() => Environment.Exit(ExitCode.Interrupted));
        using var loggers = ConsoleLog.Create(options.LogLevel, options.LogAsJson);
        using var tail = new LogTail();
        loggers.AddProvider(tail);
        // Each request has an id: without random numbers it is better not to start.
        _ = Guid.NewGuid();
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        cancellation = ending.Token;
        var models = ModelContext.Create(options);
        // The server listens while the scan runs; a request for a name that is unknown so far waits for the end of the scan.
        var scan = models.Registry.RefreshAsync(cancellation);
        var engine = new WorkerEngine(loggers, conversions: models.Conversions);
        var backends = new BackendProbe(engine.ReportBackendsAsync);
        var memory = new HostMemory(backends);
        await using var residency = new ModelResidency([engine], models.SpecOf, MonotonicTimeProvider.Instance,
            options.Residency with
            {
                MemoryBudget = models.MemoryBudget,
                Need = (entry, spec, room, token) => memory.NeedOfAsync(spec, entry.SizeBytes, room, token),
            });
        using var config = models.WatchConfig(text => LogConfig(loggers.CreateLogger("shimmy"), text),
            bytes => residency.SetMemoryBudget(bytes));
        await using var server = await StartAsync(WithLimits(options, models) with { LogTail = tail }, models, residency, loggers, backends,
            cancellation);
        Announce(server);
        var load = options.Server.LlamaServer is { } mode
            ? LoadGivenAsync(mode, scan, models, residency, ending)
            : Task.CompletedTask;
        var logged = LogScanAsync(loggers.CreateLogger("shimmy"), scan, models);
        using var hangups = new Hangups(() => _ = ReloadAsync(loggers.CreateLogger("shimmy"), models, config), ending.Cancel);

        await Task.Delay(Timeout.Infinite, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        Printer.Notice("serve", "stopping; running requests may end, a second signal ends them");
        await server.StopAsync();
        await logged;
        await load;
    }

    // As llama-server: the model is loaded before the first request, and the server ends where it cannot be.
    private static async Task LoadGivenAsync(
        LlamaServerMode mode, Task scan, ModelContext models, ModelResidency residency, CancellationTokenSource ending)
    {
        try
        {
            await scan.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            models.GiveFromCaches();
            using var lease = await residency.AcquireAsync(models.Registry.Default!, null, ending.Token);
            mode.Loading.TrySetResult();
        }
        catch (OperationCanceledException) when (ending.IsCancellationRequested)
        {
        }
        catch (Exception e) when (e is EngineException or CommandException)
        {
            Printer.Error("llama-server", e.Message);
            Environment.ExitCode = ExitCode.Failed;
            await ending.CancelAsync();
        }
    }

    private static async Task<ShimmyServer> StartAsync(
        ServerOptions options, ModelContext models, ModelResidency residency, ILoggerFactory loggers, BackendProbe backends,
        CancellationToken cancellation)
    {
        try
        {
            return await ShimmyServer.StartAsync(options, models.Registry, residency, loggers, cancellation, backends);
        }
        catch (FormatException e)
        {
            throw new UsageException(e.Message);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(ExitCode.Failed, e.Message);
        }
    }

    private static ServerOptions WithLimits(CommandOptions options, ModelContext models) =>
        options.Server with
        {
            ModelLimits = [.. OptionTable.LimitsOf(options), ("memory_budget_bytes", models.MemoryBudget)],
            DigestFile = models.Host.Join(models.Host.CacheFolder(), "shimmy", "digests.tsv"),
        };

    // A server goes on although nobody reads where it is.
    private static void Announce(ShimmyServer server)
    {
        try
        {
            foreach (var address in server.Addresses)
                Printer.Line($"shimmy listens on {address}");
            if (server.OllamaAddress is { } ollama)
                Printer.Line($"Ollama's clients are answered on {ollama}");
        }
        catch (OutputClosedException)
        {
        }
    }

    private static async Task ReloadAsync(ILogger logger, ModelContext models, ModelConfigWatch? config)
    {
        config?.Reload();
        await LogScanAsync(logger, models.Registry.RefreshAsync(), models);
    }

    private static async Task LogScanAsync(ILogger logger, Task scan, ModelContext models)
    {
        await scan.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (scan.Exception is { } fault)
        {
            LogScanFailed(logger, fault.InnerException);
        }
        else if (scan.IsCompletedSuccessfully && models.Registry is var registry)
        {
            LogFound(logger, registry.RegisteredCount, registry.DiscoveredCount, registry.LastScan.Elapsed.TotalMilliseconds);
            foreach (var complaint in models.Complaints())
                LogConfig(logger, complaint);
        }
    }

    [LoggerMessage(LogLevel.Information, "models: {Registered} registered, {Discovered} discovered in {Milliseconds:F0} ms")]
    private static partial void LogFound(ILogger logger, int registered, int discovered, double milliseconds);

    [LoggerMessage(LogLevel.Warning, "{Text}")]
    private static partial void LogConfig(ILogger logger, string text);

    [LoggerMessage(LogLevel.Error, "looking for models failed")]
    private static partial void LogScanFailed(ILogger logger, Exception? fault);
}
