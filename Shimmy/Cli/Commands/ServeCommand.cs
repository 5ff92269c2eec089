using ConsoleAppFramework;
using Microsoft.Extensions.Logging;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Engine.Memory;
using Shimmy.Engine.Workers;
using Shimmy.Http;
using Shimmy.Models;
using Shimmy.Models.Residency;
using Shimmy.Server;

namespace Shimmy.Cli.Commands;

/// <summary>The command <c>serve</c>.</summary>
internal static partial class ServeCommand
{
    /// <summary>Serves models over HTTP until SIGINT or SIGTERM, then lets running requests end</summary>
    /// <param name="context">The parser's.</param>
    /// <param name="bind">ADDRESS — auto, PORT, HOST:PORT or unix:PATH; auto is SHIMMY_BIND_ADDRESS or the first free port from 11435 on this machine alone (default auto)</param>
    /// <param name="modelPath">FILE — A model to serve beside those found</param>
    /// <param name="alias">PATTERN=NAME — Another name for a model, with * and ? as wildcards; may be repeated</param>
    /// <param name="parallel">N — Requests that one model answers at once (default 4)</param>
    /// <param name="keepAlive">DURATION — How long an idle model stays in memory: seconds, or as 30s, 5m, 1h30m; 0 unloads at once, -1 is for ever (default 5m)</param>
    /// <param name="maxLoaded">N — Most models in memory at once; 0 sets no limit (default 0)</param>
    /// <param name="apiKey">KEY — A key that lets a client in, its hash as sha256:HEX, or @FILE with a line NAME KEY for each; may be repeated (default: everybody is let in)</param>
    /// <param name="cors">ORIGIN — Origin of web pages that may call, * for all (default: pages of this machine)</param>
    /// <param name="bodyLimit">BYTES — Most bytes of a request's body, or of a message on a WebSocket, as 512KiB, 64MiB (default 64MiB)</param>
    /// <param name="queue">N — Requests that may wait for one model; one more gets 429 (default 512)</param>
    /// <param name="requestTimeout">DURATION — How long a request may take: seconds, or as 30s, 5m; 0 sets no limit (default 0)</param>
    /// <param name="logPrompts">Log prompts as models read them</param>
    /// <param name="verbose">Log as with --log-level debug</param>
    /// <param name="responseCache">BYTES — Most bytes of answers kept for requests that would have them again, as 512KiB, 64MiB; 0 keeps none (default 64MiB)</param>
    /// <param name="record">FILE — Appends every exchange to this file, for --replay</param>
    /// <param name="replay">FILE — Answers what --record wrote, without a model</param>
    /// <param name="replayMiss">WHAT — fail refuses what was not recorded, pass asks the models (default fail)</param>
    /// <param name="readyFile">FILE — Gets the address once the server listens</param>
    /// <param name="cancellation">SIGINT or SIGTERM.</param>
    public static async Task RunAsync(
        ConsoleAppContext context,
        string? bind = null,
        string? modelPath = null,
        string? alias = null,
        string? parallel = null,
        string? keepAlive = null,
        string? maxLoaded = null,
        string? apiKey = null,
        string? cors = null,
        string? bodyLimit = null,
        string? queue = null,
        string? requestTimeout = null,
        bool logPrompts = false,
        bool verbose = false,
        string? responseCache = null,
        string? record = null,
        string? replay = null,
        string? replayMiss = null,
        string? readyFile = null,
        CancellationToken cancellation = default)
    {
        var reader = OptionReader.ForProcess;
        var options = CommandOptions.Read(context.GlobalOptions, reader, reader.Flag("--verbose", verbose) ? LogLevel.Debug : LogLevel.Information);
        options = options with
        {
            ModelPath = reader.Text("--model-path", modelPath),
            Aliases = [.. reader.Repeated("--alias", alias).Select(AliasOf)],
            Parallel = reader.Whole("--parallel", parallel, CommandOptions.ServerParallel, least: 1, most: CommandOptions.MostParallel),
            Queue = reader.Whole("--queue", queue, CommandOptions.DefaultQueue, least: 0),
            Residency = options.Residency with
            {
                KeepAlive = reader.Duration("--keep-alive", keepAlive, options.Residency.KeepAlive, Models.KeepAlive.Allowed),
                MaxLoaded = reader.Whole("--max-loaded", maxLoaded, options.Residency.MaxLoaded, least: 0),
            },
            Server = options.Server with
            {
                Bind = reader.Text("--bind", bind) ?? options.Server.Bind,
                Keys = KeysOf(reader.Repeated("--api-key", apiKey)),
                RequestTimeout = reader.Duration("--request-timeout", requestTimeout, TimeSpan.Zero, Models.KeepAlive.Forms + "; 0 is no limit") is { Ticks: > 0 } limit ? limit : null,
                LogPrompts = reader.Flag("--log-prompts", logPrompts),
                CorsOrigin = OriginOf(reader.Find("--cors", cors)),
                BodyLimit = reader.Bytes("--body-limit", bodyLimit, options.Server.BodyLimit, least: 1024, most: int.MaxValue),
                ResponseCacheBytes = reader.Bytes("--response-cache", responseCache, options.Server.ResponseCacheBytes),
                RecordFile = reader.Text("--record", record),
                ReplayFile = reader.Text("--replay", replay),
                ReplayPasses = reader.Choice("--replay-miss", replayMiss, false, ("fail", false), ("pass", true)),
                ReadyFile = reader.Text("--ready-file", readyFile),
            },
        };

        if (replayMiss is not null && options.Server.ReplayFile is null)
            throw new UsageException("--replay-miss: says what to do with what --replay does not have, and needs it");
        // First of all, so that a second signal ends whatever takes its time, to the very end.
        using var again = new ForceQuit(() => Environment.Exit(ExitCode.Interrupted));
        using var loggers = ConsoleLog.Create(options.LogLevel, options.LogAsJson);
        var models = ModelContext.Create(options, reader);
        // Scanning goes on while the server listens already; a request for a name that is unknown so far waits for its end.
        var scan = models.Registry.RefreshAsync(cancellation);
        var engine = new WorkerEngine(loggers);
        var backends = new BackendProbe(engine.ReportBackendsAsync);
        var memory = new HostMemory(backends);
        await using var residency = new ModelResidency([engine], models.SpecOf, MonotonicTimeProvider.Instance,
            options.Residency with
            {
                MemoryBudget = models.MemoryBudget,
                Estimate = (entry, spec, token) => memory.NeedOfAsync(spec, entry.SizeBytes, token),
            });
        using var config = models.WatchConfig(text => LogConfig(loggers.CreateLogger("shimmy"), text), bytes => residency.SetMemoryBudget(bytes));
        await using var server = await StartAsync(WithModelLimits(options, models), models, residency, loggers, backends, cancellation);
        Printer.Line($"shimmy listens on {server.Address}");
        var logged = LogScanAsync(loggers.CreateLogger("shimmy"), scan, models);

        await Task.Delay(Timeout.Infinite, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        Printer.Notice(context.CommandName, "stopping; running requests may end, a second signal ends them");
        await server.StopAsync();
        await logged;
    }

    private static async Task<ShimmyServer> StartAsync(
        ServerOptions options, ModelContext models, ModelResidency residency, ILoggerFactory loggers, BackendProbe backends, CancellationToken cancellation)
    {
        try
        {
            return await ShimmyServer.StartAsync(options, models.Registry, residency, loggers, cancellation, backends);
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

    private static ServerOptions WithModelLimits(CommandOptions options, ModelContext models) => options.Server with
    {
        ModelLimits =
        [
            ("parallel", options.Parallel),
            ("queue", options.Queue),
            ("max_loaded", options.Residency.MaxLoaded > 0 ? options.Residency.MaxLoaded : null),
            ("keep_alive_seconds", options.Residency.KeepAlive >= TimeSpan.Zero ? options.Residency.KeepAlive.TotalSeconds : null),
            ("memory_budget_bytes", models.MemoryBudget),
        ],
    };

    private static IReadOnlyList<ApiKey> KeysOf(IReadOnlyList<string> values)
    {
        try
        {
            return ApiKeyFile.Read(values);
        }
        catch (FormatException e)
        {
            throw new UsageException($"--api-key: {e.Message}");
        }
    }

    private static ModelAlias AliasOf(string text) => ModelAlias.Parse(text)
        ?? throw new UsageException($"--alias: '{text}' is not PATTERN=NAME, for example gpt-4*=llama-3-8b-instruct");

    private static string? OriginOf(OptionValue? origin)
    {
        if (origin is not { } given || given.Value == "*")
            return origin?.Value;
        return Uri.TryCreate(given.Value, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" && uri.PathAndQuery == "/"
            ? given.Value
            : throw given.Refuse("*, or an origin such as http://localhost:3000");
    }

    private static async Task LogScanAsync(ILogger logger, Task scan, ModelContext models)
    {
        await scan.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (scan.Exception is { } fault)
            LogScanFailed(logger, fault.InnerException);
        else if (scan.IsCompletedSuccessfully)
            LogFound(logger, models.Registry.RegisteredCount, models.Registry.DiscoveredCount, models.Registry.LastScan.Elapsed.TotalMilliseconds);
    }

    [LoggerMessage(LogLevel.Information, "models: {Registered} registered, {Discovered} discovered in {Milliseconds:F0} ms")]
    private static partial void LogFound(ILogger logger, int registered, int discovered, double milliseconds);

    [LoggerMessage(LogLevel.Warning, "{Text}")]
    private static partial void LogConfig(ILogger logger, string text);

    [LoggerMessage(LogLevel.Error, "looking for models failed")]
    private static partial void LogScanFailed(ILogger logger, Exception? fault);
}
