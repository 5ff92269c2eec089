using Microsoft.Extensions.Logging;
using Shimmy.Engine.Protocol;
using Shimmy.Engine.Runtimes;
using Shimmy.Gguf;
using Shimmy.SafeTensors;
using Shimmy.SafeTensors.Files;

namespace Shimmy.Engine.Workers;

/// <summary>
/// Runs models through llama.cpp, each in a worker process of its own: GGUF files as they are, Hugging Face folders converted into one.
/// </summary>
internal sealed partial class WorkerEngine : IInferenceEngine
{
    // Down to a sixteenth of the layers that would fit: a load that still fails then has another cause.
    private const int MostHalvings = 4;

    private readonly ILogger _logger;
    private readonly ILogger _ours;
    private readonly string _executable;
    private readonly ConversionCache? _conversions;
    private readonly ICellListener? _cells;

    /// <summary>
    /// <paramref name="executable"/> is what is started with the command <c>worker</c>; by default this program itself.
    /// <paramref name="conversions"/> keeps what folders are converted into; without it, folders are not loaded.
    /// <paramref name="cells"/> receives what models hold whose specs ask for that.
    /// </summary>
    public WorkerEngine(
        ILoggerFactory loggers, string? executable = null, ConversionCache? conversions = null, ICellListener? cells = null)
    {
        _cells = cells;
        _conversions = conversions;
        _logger = loggers.CreateLogger("llama.cpp");
        _ours = loggers.CreateLogger("shimmy");
        _executable = executable ?? ThisProgram;
    }

    /// <summary>The path of this program, which is also what a worker runs.</summary>
    public static string ThisProgram => Environment.ProcessPath
        ?? throw new InvalidOperationException("The path of this program is unknown, so no worker can be started.");

    ConversionState? IInferenceEngine.ConversionOf(string path) => _conversions?.StateOf(path);

    public bool CanLoad(ModelSpec spec) => Directory.Exists(spec.Path)
        ? _conversions is not null
        : spec.Path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) || HasMagic(spec.Path);

    public async Task<ILoadedModel> LoadAsync(ModelSpec spec, IProgress<float>? progress, CancellationToken cancellation)
    {
        var file = await FileOfAsync(spec, progress, cancellation).ConfigureAwait(false);
        var files = new LoadFiles(file, await AdaptersAsync(spec, file, cancellation).ConfigureAwait(false));
        var refusals = new List<(LlamaRuntime Runtime, EngineException Why)>();
        foreach (var candidate in RuntimeChoice.For(spec with { Path = file }))
        {
            try
            {
                var chosen = refusals.Count == 0 ? candidate : candidate with
                {
                    Reason = $"{candidate.Reason}; {string.Join("; ", refusals.Select(one => $"{one.Runtime.Name} was refused"))}",
                };
                return await LoadAsync(spec, files, chosen, progress, cancellation).ConfigureAwait(false);
            }
            catch (EngineException e) when (e.Fault is { } fault && (fault == RuntimeFault.UnknownModel || !candidate.IsNamed))
            {
                LogRefused(_logger, spec.Name, candidate.Runtime.Name, e.Message);
                refusals.Add((candidate.Runtime, e));
            }
        }
        // One that was not tried for the sake of the projector may be the one that knows the model.
        var untried = RuntimeChoice.WithoutMedia(spec);
        if (untried.Count == 0 && refusals is [var (_, only)])
            throw only;
        var reasons = string.Join("; ", refusals.Select(one => $"{one.Runtime.Name}: {one.Why.Message}"));
        foreach (var candidate in untried)
            reasons += $"; {candidate.Runtime.Name}: it has no libmtmd, which the projector needs (--mmproj none tries it)";
        throw new EngineException(EngineFailure.LoadFailed, $"no runtime can load {spec.Path}: {reasons}", refusals[^1].Why);
    }

    private async Task<ILoadedModel> LoadAsync(
        ModelSpec spec, LoadFiles files, RuntimeCandidate candidate, IProgress<float>? progress, CancellationToken cancellation)
    {
        var whole = spec;
        string? skipped = null;
        // Whether a worker died without the projector as well: then what it computes with is changed before the projector is left out.
        var isCleared = false;
        for (var tuning = spec.Tuning; ;)
        {
            try
            {
                return await LoadAsync(spec, files, candidate, tuning, skipped, progress, cancellation).ConfigureAwait(false);
            }
            catch (EngineException lost) when (lost.Failure == EngineFailure.WorkerLost)
            {
                // libmtmd trusts its file, and nobody asked for this one.
                var isSuspect = spec is { Projector: not null, ProjectorIsFound: true } && candidate.Runtime.HasMedia;
                // A worker that dies while it loads is a failed load, whatever the cause of death.
                var fallback = isSuspect && !isCleared
                    ? null
                    : await FallbackAsync(candidate.Runtime, spec.Tuning, tuning, cancellation).ConfigureAwait(false);
                if (fallback is null)
                {
                    if (!isSuspect)
                        throw new EngineException(EngineFailure.LoadFailed, $"cannot load {spec.Path}: {lost.Message}", lost);
                    skipped = lost.Message;
                    spec = spec with { Projector = null };
                    continue;
                }
                (tuning, isCleared, spec, skipped) = (fallback, true, whole, null);
                LogAgain(_logger, spec.Name, lost.Message, tuning.GpuLayers is { Halvings: > 0 }
                    ? "half as many layers"
                    : $"backend {RuntimeDirectory.PluginName(tuning.Backend ?? GpuBackend.Auto)}");
            }
        }
    }

    // The tuning to try after a worker died while it loaded: half as many layers, where the number is automatic; then the next backend,
    // where that is automatic. Null where nothing is left to try, or the options need a GPU.
    private async Task<LoadTuning?> FallbackAsync(LlamaRuntime runtime, LoadTuning asked, LoadTuning tried, CancellationToken cancellation)
    {
        if (tried.Backend == GpuBackend.Cpu || !runtime.HasGpu)
            return null;
        if (tried.GpuLayers is { Number: null, Halvings: < MostHalvings } layers)
            return tried with { GpuLayers = layers with { Halvings = layers.Halvings + 1 } };
        if (asked.Backend is not (null or GpuBackend.Auto))
            return null;
        var report = await ReportBackendsAsync(runtime, cancellation).ConfigureAwait(false);
        // A plug-in that ends its process did so before auto came to choose.
        var failed = tried.Backend is { } one and not GpuBackend.Auto ? RuntimeDirectory.PluginName(one)
            : report.Backends.Any(backend => backend.Crashed) ? null
            : report.Auto;
        var passed = failed is null;
        foreach (var backend in report.Backends)
        {
            if (passed && backend is { Loaded: true, Devices.Count: > 0 } && backend.Name != RuntimeDirectory.PluginName(GpuBackend.Cpu))
                return asked with { Backend = Enum.Parse<GpuBackend>(backend.Name, ignoreCase: true) };
            passed |= backend.Name == failed;
        }
        return asked is { Devices.Count: 0, TensorSplit.Count: 0, MainGpu: null, SplitMode: null }
            ? asked with { Backend = GpuBackend.Cpu, GpuLayers = null }
            : null;
    }

    // A folder's file is made at its first load; the progress of that comes before that of the load.
    private async Task<string> FileOfAsync(ModelSpec spec, IProgress<float>? progress, CancellationToken cancellation)
    {
        if (_conversions is null || !Directory.Exists(spec.Path))
            return spec.Path;
        try
        {
            return await _conversions.FileOfAsync(spec.Path, progress, WatchOf(spec.Name, spec.Path), cancellation).ConfigureAwait(false);
        }
        catch (SafeTensorsException refused)
        {
            throw new EngineException(EngineFailure.LoadFailed, $"cannot load {spec.Path}: {refused.Message}", refused);
        }
    }

    // What a load takes in place of folders.
    private sealed record LoadFiles(string Model, IReadOnlyList<LoraSetting> Loras);

    // Adapters in PEFT's form are converted for the model that they are to act on.
    private async Task<IReadOnlyList<LoraSetting>> AdaptersAsync(ModelSpec spec, string file, CancellationToken cancellation)
    {
        if (_conversions is null || !spec.Loras.Any(lora => Directory.Exists(lora.Path)))
            return spec.Loras;
        var loras = new List<LoraSetting>();
        foreach (var lora in spec.Loras)
        {
            try
            {
                loras.Add(!Directory.Exists(lora.Path) ? lora : lora with
                {
                    File = await _conversions.AdapterOfAsync(lora.Path, file, WatchOf(spec.Name, lora.Path), cancellation)
                        .ConfigureAwait(false),
                });
            }
            catch (GgufException refused) when (lora.Found)
            {
                LogFolder(_logger, spec.Name, $"the LoRA adapter {lora.Path} is left out: {refused.Message}");
            }
            catch (GgufException refused)
            {
                throw new EngineException(EngineFailure.LoadFailed,
                    $"cannot load the LoRA adapter {lora.Path}: {refused.Message}", refused);
            }
        }
        return loras;
    }

    private ConversionWatch WatchOf(string name, string folder) => new(
        () => LogConversion(_logger, folder, _conversions!.Folder), warning => LogFolder(_logger, name, warning),
        (bytes, time) => LogConverted(_logger, folder, ByteCount.Megabytes(bytes), time.TotalSeconds));

    private async Task<ILoadedModel> LoadAsync(ModelSpec spec, LoadFiles files, RuntimeCandidate candidate, LoadTuning tuning,
        string? skipped, IProgress<float>? progress, CancellationToken cancellation)
    {
        var worker = WorkerProcess.Start(_executable, candidate.Runtime, Log, share => progress?.Report(share),
            _cells is not { } cells || !spec.ReportsCells ? null : changes =>
            {
                if (changes is null)
                    cells.Gone(spec.Name);
                else
                    cells.Changed(spec.Name, changes);
            });
        try
        {
            var request =
                Wire.Write(spec with { Path = files.Model, Loras = files.Loras, Tuning = tuning }, WorkerRecords.Spec);
            var reply = await worker.AskAsync(FrameKind.Load, request, cancellation).ConfigureAwait(false);
            var facts = Wire.Read(reply, WorkerRecords.NoFacts, WorkerRecords.Facts) with
            {
                Runtime = candidate.Runtime.Name,
                RuntimeReason = candidate.Reason,
            };
            if (skipped is not null)
                facts = facts with { ProjectorSkipReason = skipped };
            LogRuntime(_logger, spec.Name, facts.Runtime, facts.LibraryVersion, facts.RuntimeReason);
            LogLoaded(_logger, spec.Name, facts.LoadMilliseconds, facts.ProcessId, facts.Threads, facts.BatchThreads, facts.Cells);
            var memory = string.Join("; ", facts.Memory.Select(device => device.Describe()));
            LogPlaced(_logger, spec.Name, facts.Backend, facts.GpuLayers, facts.Layers, memory);
            if (spec.Tuning.GpuLayers is { Number: > 0 and var asked } && facts.Backend == "cpu")
                LogNoGpu(_logger, spec.Name, asked);
            if (facts.ProjectorSkipReason is { } skipReason)
                LogProjectorSkipped(_logger, spec.Name, skipReason);
            if (facts.AudioUnsupportedReason is { } audioReason)
                LogAudioUnsupported(_logger, spec.Name, audioReason);
            if (facts.LayerReason is { } reason)
                LogLayers(_logger, spec.Name, reason);
            if (spec.ContextReason is { } shorter)
                LogContext(_logger, spec.Name, shorter);
            if (!facts.CanGenerate && facts.TrainedContextLength > 0 && spec.ContextLength > facts.TrainedContextLength)
                LogBeyondTraining(_logger, spec.Name, spec.ContextLength, facts.TrainedContextLength);
            return new WorkerModel(worker, spec, facts);
        }
        catch
        {
            await worker.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>
    /// The runtimes of this machine, and the backends and devices of the one that a model without special needs gets. Reported by workers,
    /// so that a broken driver cannot harm the server. Throws <see cref="EngineException"/> where no runtime can be loaded.
    /// </summary>
    public async Task<BackendReport> ReportBackendsAsync(CancellationToken cancellation)
    {
        BackendReport? report = null;
        var runtimes = new List<RuntimeFacts>();
        foreach (var (runtime, reason, isNamed) in RuntimeChoice.ForNone())
        {
            var facts = new RuntimeFacts
            {
                Name = runtime.Name,
                Directory = runtime.Directory,
                Media = runtime.HasMedia,
                Gpus = [.. RuntimeDirectory.GpuBackends.Where(runtime.HasBackend).Select(RuntimeDirectory.PluginName)],
            };
            try
            {
                // No backend is tried of a runtime that is not the one.
                var own = report is null
                    ? await ReportBackendsAsync(runtime, cancellation).ConfigureAwait(false)
                    : await ReportBackendsAsync(runtime, RuntimeDirectory.GpuBackends.ToDictionary(RuntimeDirectory.PluginName, _ => ""),
                        cancellation).ConfigureAwait(false);
                runtimes.Add(facts with { Version = own.LibraryVersion, Chosen = report is null, Reason = report is null ? reason : null });
                report ??= own;
            }
            catch (EngineException e) when (!isNamed && e.Failure is EngineFailure.LoadFailed or EngineFailure.WorkerLost)
            {
                runtimes.Add(facts with { Reason = e.Message });
            }
        }
        return report is null
            ? throw new EngineException(EngineFailure.LoadFailed, string.Join("; ", runtimes.Select(runtime => runtime.Reason)))
            : report with { Runtimes = runtimes };
    }

    // Where a plug-in crashes the worker, each is tried in a worker of its own, and the report names the one that crashes.
    private async Task<BackendReport> ReportBackendsAsync(LlamaRuntime runtime, CancellationToken cancellation)
    {
        try
        {
            return await ReportBackendsAsync(runtime, [], cancellation).ConfigureAwait(false);
        }
        catch (EngineException e) when (e.Failure == EngineFailure.WorkerLost)
        {
            var crashing = new Dictionary<string, string>();
            foreach (var backend in RuntimeDirectory.GpuBackends)
            {
                try
                {
                    var others = new Dictionary<string, string>();
                    foreach (var other in RuntimeDirectory.GpuBackends)
                    {
                        if (other != backend)
                            others[RuntimeDirectory.PluginName(other)] = "";
                    }
                    await ReportBackendsAsync(runtime, others, cancellation).ConfigureAwait(false);
                }
                catch (EngineException lost) when (lost.Failure == EngineFailure.WorkerLost)
                {
                    crashing[RuntimeDirectory.PluginName(backend)] = lost.Message;
                }
            }
            return await ReportBackendsAsync(runtime, crashing, cancellation).ConfigureAwait(false);
        }
    }

    private async Task<BackendReport> ReportBackendsAsync(
        LlamaRuntime runtime, Dictionary<string, string> crashing, CancellationToken cancellation)
    {
        await using var worker = WorkerProcess.Start(_executable, runtime, Log, _ => { });
        var request = Wire.Write<IReadOnlyDictionary<string, string>>(crashing, static (wire, map) => wire.TextMap(map));
        var reply = await worker.AskAsync(FrameKind.ReportBackends, request, cancellation).ConfigureAwait(false);
        return Wire.Read(reply, WorkerRecords.NoReport, WorkerRecords.Report);
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

    // llama.cpp's levels are lowered by two steps: most of its output is for its developers.
    private void Log(int level, string line)
    {
        switch (level)
        {
            case 4:
                LogNativeError(_logger, line);
                break;
            case Frame.LevelOfOwnWarning:
                LogWorkerWarning(_ours, line);
                break;
            case 3 when line.Contains("failed to mlock", StringComparison.Ordinal):
                LogNotLocked(_logger, line);
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

    [LoggerMessage(LogLevel.Information, "{Model}: the runtime {Runtime} (llama.cpp {Version}), because {Reason}")]
    private static partial void LogRuntime(ILogger logger, string model, string runtime, string version, string reason);

    [LoggerMessage(LogLevel.Warning, "{Model}: the runtime {Runtime} cannot load it, the next is tried: {Reason}")]
    private static partial void LogRefused(ILogger logger, string model, string runtime, string reason);

    [LoggerMessage(LogLevel.Information, "{Model} runs on {Backend}, {GpuLayers} of {Layers} layers on GPUs; {Memory}")]
    private static partial void LogPlaced(ILogger logger, string model, string backend, int gpuLayers, int layers, string memory);

    [LoggerMessage(LogLevel.Warning,
        "no usable GPU found (see shimmy gpu-info): {Model} was to have {Layers} layers on a GPU, all are on the CPU")]
    private static partial void LogNoGpu(ILogger logger, string model, int layers);

    [LoggerMessage(LogLevel.Warning, "the worker crashed while it loaded {Model} ({Reason}); trying again with {Less}")]
    private static partial void LogAgain(ILogger logger, string model, string reason, string less);

    [LoggerMessage(LogLevel.Warning,
        "{Model} is loaded without the projector that was found beside it, so it does not support image input: {Reason}")]
    private static partial void LogProjectorSkipped(ILogger logger, string model, string reason);

    [LoggerMessage(LogLevel.Warning, "{Model} does not support audio input: {Reason}")]
    private static partial void LogAudioUnsupported(ILogger logger, string model, string reason);

    [LoggerMessage(LogLevel.Information, "layers of {Model} on GPUs: {Reason}")]
    private static partial void LogLayers(ILogger logger, string model, string reason);

    [LoggerMessage(LogLevel.Information, "converted {Folder}: {Megabytes} MB in {Seconds:F1} s")]
    private static partial void LogConverted(ILogger logger, string folder, long megabytes, double seconds);

    [LoggerMessage(LogLevel.Information, "converting {Folder} into a GGUF in {Cache}, once")]
    private static partial void LogConversion(ILogger logger, string folder, string cache);

    [LoggerMessage(LogLevel.Warning, "{Model}: {Warning}")]
    private static partial void LogFolder(ILogger logger, string model, string warning);

    [LoggerMessage(LogLevel.Information, "context of {Model}: {Reason}")]
    private static partial void LogContext(ILogger logger, string model, string reason);

    [LoggerMessage(LogLevel.Warning,
        "--ctx: {Model} was to take texts of {Asked} tokens, but it was trained with {Trained} and has no positions for more")]
    private static partial void LogBeyondTraining(ILogger logger, string model, int asked, int trained);

    [LoggerMessage(LogLevel.Warning, "--mlock: the system does not let all of the model be locked, so it may be swapped out ({Line})")]
    private static partial void LogNotLocked(ILogger logger, string line);

    [LoggerMessage(LogLevel.Error, "{Line}")]
    private static partial void LogNativeError(ILogger logger, string line);

    [LoggerMessage(LogLevel.Warning, "{Line}")]
    private static partial void LogWorkerWarning(ILogger logger, string line);

    [LoggerMessage(LogLevel.Debug, "{Line}")]
    private static partial void LogNativeWarning(ILogger logger, string line);

    [LoggerMessage(LogLevel.Trace, "{Line}")]
    private static partial void LogNative(ILogger logger, string line);
}
