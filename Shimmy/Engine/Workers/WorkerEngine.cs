using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace Shimmy.Engine.Workers;

/// <summary>Runs GGUF models through llama.cpp, each in a worker process of its own.</summary>
internal sealed partial class WorkerEngine : IInferenceEngine
{
    private readonly ILogger _logger;
    private readonly string _executable;

    /// <summary>
    /// <paramref name="executable"/> is what is started with the command <c>worker</c>; by default this program itself.
    /// </summary>
    public WorkerEngine(ILoggerFactory loggers, string? executable = null)
    {
        _logger = loggers.CreateLogger("llama.cpp");
        _executable = executable ?? Environment.ProcessPath
            ?? throw new InvalidOperationException("The path of this program is unknown, so no worker can be started.");
    }

    public bool CanLoad(ModelSpec spec) => spec.Path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) || HasMagic(spec.Path);

    public async Task<ILoadedModel> LoadAsync(ModelSpec spec, IProgress<float>? progress, CancellationToken cancellation)
    {
        var worker = WorkerProcess.Start(_executable, Log, share => progress?.Report(share));
        try
        {
            var request = JsonSerializer.SerializeToUtf8Bytes(spec, WorkerJson.Default.ModelSpec);
            var reply = await worker.AskAsync(FrameKind.Load, request, cancellation).ConfigureAwait(false);
            var facts = JsonSerializer.Deserialize(reply, WorkerJson.Default.ModelFacts)!;
            LogLoaded(_logger, spec.Name, facts.LoadMilliseconds, facts.ProcessId, facts.Threads, facts.BatchThreads, facts.Cells);
            var memory = string.Join("; ", facts.Memory.Select(device => device.Describe()));
            LogPlaced(_logger, spec.Name, facts.Backend, facts.GpuLayers, facts.Layers, memory);
            if (spec.Tuning.GpuLayers is { Number: > 0 and var asked } && facts.Backend == "cpu")
                LogNoGpu(_logger, spec.Name, asked);
            if (facts.LayerReason is { } reason)
                LogLayers(_logger, spec.Name, reason);
            return new WorkerModel(worker, spec, facts);
        }
        catch (Exception e)
        {
            await worker.DisposeAsync().ConfigureAwait(false);
            // A worker that dies while it loads has failed to load, whatever it died of.
            if (e is EngineException { Failure: EngineFailure.WorkerLost } lost)
                throw new EngineException(EngineFailure.LoadFailed, $"cannot load {spec.Path}: {lost.Message}", lost);
            throw;
        }
    }

    /// <summary>What the native libraries offer on this machine; asked of a worker, so that a broken driver harms nobody.</summary>
    public async Task<BackendReport> ReportBackendsAsync(CancellationToken cancellation)
    {
        await using var worker = WorkerProcess.Start(_executable, Log, _ => { });
        var reply = await worker.AskAsync(FrameKind.ReportBackends, [], cancellation).ConfigureAwait(false);
        return JsonSerializer.Deserialize(reply, WorkerJson.Default.BackendReport)!;
    }

    private static bool HasMagic(string path)
    {
        try
        {
            using var file = File.OpenRead(path);
            Span<byte> magic = stackalloc byte[4];
            return file.ReadAtLeast(magic, magic.Length, throwOnEndOfStream: false) == magic.Length && magic.SequenceEqual("GGUF"u8);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    // llama.cpp tells a great deal at its info level that only its developers need.
    private void Log(int level, string line)
    {
        switch (level)
        {
            case 4:
                LogNativeError(_logger, line);
                break;
            case 3:
                LogNativeWarning(_logger, line);
                break;
            default:
                LogNative(_logger, line);
                break;
        }
    }

    [LoggerMessage(LogLevel.Information,
        "loaded {Model} in {Milliseconds:F0} ms (worker {Pid}, {Threads} threads, {BatchThreads} for prompts, {Cells} KV cells)")]
    private static partial void LogLoaded(
        ILogger logger, string model, double milliseconds, int pid, int threads, int batchThreads, int cells);

    [LoggerMessage(LogLevel.Information, "{Model} runs on {Backend}, {GpuLayers} of {Layers} layers on GPUs; {Memory}")]
    private static partial void LogPlaced(ILogger logger, string model, string backend, int gpuLayers, int layers, string memory);

    [LoggerMessage(LogLevel.Warning, "{Model} was to have {Layers} layers on a GPU, but there is none that a backend can use (shimmy gpu-info says why): all are on the CPU")]
    private static partial void LogNoGpu(ILogger logger, string model, int layers);

    [LoggerMessage(LogLevel.Information, "layers of {Model} on GPUs: {Reason}")]
    private static partial void LogLayers(ILogger logger, string model, string reason);

    [LoggerMessage(LogLevel.Error, "{Line}")]
    private static partial void LogNativeError(ILogger logger, string line);

    [LoggerMessage(LogLevel.Debug, "{Line}")]
    private static partial void LogNativeWarning(ILogger logger, string line);

    [LoggerMessage(LogLevel.Trace, "{Line}")]
    private static partial void LogNative(ILogger logger, string line);
}
