using Microsoft.Extensions.Logging;
using Shimmy.Api;
using Shimmy.Cli.Options;
using Shimmy.Cli.Servers;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Models.Discovery;
using Shimmy.Server;

namespace Shimmy.Cli.Commands;

/// <summary>The command <c>serve</c>.</summary>
internal static partial class ServeCommand
{
    /// <summary>Runs the server until SIGINT or SIGTERM (<paramref name="cancellation"/>), then drains it.</summary>
    public static async Task RunAsync(CommandOptions options, CancellationToken cancellation)
    {
        // Before anything that takes long: a second signal, a second later, ends the process at any point.
        using var again = new ForceQuit(() => Environment.Exit(ExitCode.Interrupted), TimeProvider.System);
        using var loggers = ConsoleLog.Create(options.LogLevel, options.LogAsJson, options.LogFile);
        await using var serving = await Serving.StartAsync(options, loggers, cancellation);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var file = ServerFile.Write(HostEnvironment.Current(), serving.Server.Address, options.Server.BasePath);
        Announce(serving.Server);
        var load = options.Server.LlamaServer is { } mode ? LoadGivenAsync(mode, serving, ending) : Task.CompletedTask;
        var logged = LogScanAsync(loggers.CreateLogger("shimmy"), serving.Scan, serving.Models);
        using var sighup = new SighupHandler(() => _ = ReloadAsync(loggers.CreateLogger("shimmy"), serving), ending.Cancel);

        await Task.Delay(Timeout.Infinite, ending.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        Printer.Notice("serve", "stopping; running requests may end, a second signal ends them");
        await serving.Server.StopAsync();
        await logged;
        await load;
    }

    // As llama-server: the model is loaded before the first request, and the server ends where it cannot be.
    private static async Task LoadGivenAsync(LlamaServerMode mode, Serving serving, CancellationTokenSource ending)
    {
        try
        {
            await serving.Scan.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (mode.Routes)
            {
                mode.Loading.TrySetResult();
                return;
            }
            serving.Models.RegisterFromCaches();
            using var lease = await serving.Residency.AcquireAsync(serving.Models.Registry.Default!, null, ending.Token);
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

    // A server goes on although nobody reads where it is.
    private static void Announce(ShimmyServer server)
    {
        try
        {
            foreach (var address in server.Addresses)
                Printer.Line($"shimmy listens on {address}");
            if (server.OllamaAddress is { } ollama)
                Printer.Line($"Ollama's clients are answered on {ollama}");
            if (server.MetricsAddress is { } metrics)
                Printer.Line($"scrapers are answered on {metrics}");
        }
        catch (Exception e) when (e is OutputClosedException or CommandException)
        {
        }
    }

    private static async Task ReloadAsync(ILogger logger, Serving serving)
    {
        serving.Config?.Reload();
        await LogScanAsync(logger, serving.Models.Registry.RefreshAsync(), serving.Models);
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
            foreach (var warning in models.SetupWarnings())
                LogConfig(logger, warning);
        }
    }

    [LoggerMessage(LogLevel.Information, "models: {Registered} registered, {Discovered} discovered in {Milliseconds:F0} ms")]
    private static partial void LogFound(ILogger logger, int registered, int discovered, double milliseconds);

    [LoggerMessage(LogLevel.Warning, "{Text}")]
    private static partial void LogConfig(ILogger logger, string text);

    [LoggerMessage(LogLevel.Error, "model discovery failed")]
    private static partial void LogScanFailed(ILogger logger, Exception? fault);
}
