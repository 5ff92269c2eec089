using ConsoleAppFramework;
using Microsoft.Extensions.Logging;
using Shimmy.Engine.Workers;
using Shimmy.Models.Residency;
using Shimmy.Server;

namespace Shimmy.Cli;

/// <summary>The command <c>serve</c>.</summary>
internal static partial class ServeCommand
{
    /// <summary>Finds models and serves them over HTTP until it is told to stop, then drains</summary>
    /// <param name="context">The parser's.</param>
    /// <param name="bind">ADDRESS — auto, PORT or HOST:PORT (default auto: 127.0.0.1:11435, or the next free port)</param>
    /// <param name="modelPath">FILE — A model file to serve beside those found</param>
    /// <param name="parallel">N — Requests one model answers at once (default 4)</param>
    /// <param name="keepAlive">DURATION — How long an idle model stays loaded: 90, 30s, 5m, 1h30m; -1 is for ever (default 5m)</param>
    /// <param name="maxLoaded">N — Models in memory at once; 0 sets no limit (default 0)</param>
    /// <param name="apiKey">KEY — A key that lets clients in; may be given several times (default: everybody may)</param>
    /// <param name="cors">ORIGIN — Web pages that may call: an origin, or * for all (default: those of this machine)</param>
    /// <param name="readyFile">FILE — Gets the address once the server listens</param>
    /// <param name="cancellation">SIGINT or SIGTERM.</param>
    public static async Task<int> RunAsync(
        ConsoleAppContext context,
        string? bind = null,
        string? modelPath = null,
        string? parallel = null,
        string? keepAlive = null,
        string? maxLoaded = null,
        string? apiKey = null,
        string? cors = null,
        string? readyFile = null,
        CancellationToken cancellation = default)
    {
        const int defaultParallel = 4;
        var reader = OptionReader.ForProcess;
        var options = Options.Read(context.GlobalOptions, reader, LogLevel.Information);
        options = options with
        {
            Bind = reader.Text("--bind", bind) ?? options.Bind,
            ModelPath = reader.Text("--model-path", modelPath),
            Parallel = reader.Whole("--parallel", parallel, defaultParallel, least: 1, most: Options.MostParallel),
            KeepAlive = reader.Duration("--keep-alive", keepAlive, options.KeepAlive),
            MaxLoaded = reader.Whole("--max-loaded", maxLoaded, options.MaxLoaded, least: 0),
            ApiKeys = reader.Repeated("--api-key", apiKey),
            Cors = reader.Text("--cors", cors),
            ReadyFile = reader.Text("--ready-file", readyFile),
        };
        if (options.ApiKeys.Any(string.IsNullOrWhiteSpace))
            throw new UsageException("--api-key: a key may not be empty");

        using var loggers = ConsoleLog.Create(options.LogLevel, options.LogAsJson);
        var models = ModelAccess.Create(options, reader);
        await using var residency = new ModelResidency([new WorkerEngine(loggers)], models.SpecOf, TimeProvider.System,
            new ResidencyOptions { KeepAlive = options.KeepAlive, MaxLoaded = options.MaxLoaded });
        // Requests for a model that is not known yet wait for this scan; the start does not.
        var scan = models.Registry.RefreshAsync(cancellation);
        await using var server = await StartAsync(options, models, residency, loggers, cancellation);
        Printer.Line($"shimmy listens on {server.Address.AbsoluteUri.TrimEnd('/')}");
        await ReportScanAsync(scan, models, loggers.CreateLogger("shimmy"));
        await Task.Delay(Timeout.Infinite, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await server.StopAsync();
        return ExitCode.Success;
    }

    private static async Task<ShimmyServer> StartAsync(
        Options options, ModelAccess models, ModelResidency residency, ILoggerFactory loggers, CancellationToken cancellation)
    {
        var server = new ServerOptions
        {
            Bind = options.Bind,
            ApiKeys = options.ApiKeys,
            CorsOrigin = options.Cors,
            ReadyFile = options.ReadyFile,
        };
        try
        {
            return await ShimmyServer.StartAsync(server, models.Registry, residency, loggers, cancellation);
        }
        catch (FormatException e)
        {
            throw new UsageException($"--bind: {e.Message}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(ExitCode.Failed, e.Message);
        }
    }

    private static async Task ReportScanAsync(Task<int> scan, ModelAccess models, ILogger logger)
    {
        try
        {
            await scan;
            LogModels(logger, models.Registry.Entries.Count);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            LogScanFailed(logger, e);
        }
        catch (OperationCanceledException)
        {
            // Told to stop before the scan was over.
        }
    }

    [LoggerMessage(LogLevel.Information, "models that can be asked for: {Count}")]
    private static partial void LogModels(ILogger logger, int count);

    [LoggerMessage(LogLevel.Error, "looking for models failed")]
    private static partial void LogScanFailed(ILogger logger, Exception exception);
}
