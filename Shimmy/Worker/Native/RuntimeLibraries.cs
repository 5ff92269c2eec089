using System.Runtime.InteropServices;
using Shimmy.Engine;

namespace Shimmy.Worker.Native;

/// <summary>
/// Loads llama.cpp's libraries from <see cref="RuntimeDirectory"/>, where .NET's own probing does not look, and checks that they are the
/// version that this binding was written for.
/// </summary>
internal static unsafe class RuntimeLibraries
{
    /// <summary>The llama.cpp version whose headers <see cref="LlamaApi"/> was written from.</summary>
    public const string BoundVersion = "0.4.0";

    private static readonly Lock Gate = new();
    private static string? _directory;

    /// <summary>Full path of the folder the libraries come from, once <see cref="Load"/> has run.</summary>
    public static string Directory => _directory ?? throw new InvalidOperationException("The native libraries are not loaded.");

    /// <summary>The handle of libllama, for what it exports beside its API.</summary>
    public static nint Llama { get; private set; }

    /// <summary>Version the loaded library reports.</summary>
    public static string Version { get; private set; } = "";

    /// <summary>
    /// Loads the libraries and the backend for the CPU, once a process; those for GPUs are <see cref="Backends"/>.
    /// Throws <see cref="EngineException"/> (<see cref="EngineFailure.LoadFailed"/>) where they are missing or of another version.
    /// </summary>
    public static void Load()
    {
        lock (Gate)
        {
            if (_directory is not null)
                return;
            var directory = FindDirectory();
            NativeLibrary.SetDllImportResolver(typeof(LlamaApi).Assembly, (name, _, _) => Resolve(directory, name));
            CheckVersion(directory);
            NativeLog.Attach();
            LlamaApi.llama_backend_init();
            Llama = NativeLibrary.Load(FindFile(directory, LlamaApi.Library)!);
            Backends.LoadCpu(directory);
            _directory = directory;
        }
    }

    /// <summary>Sets how threads and memory spread over NUMA nodes; once a process, before a model is loaded.</summary>
    public static void UseNuma(NumaStrategy strategy) => LlamaApi.llama_numa_init((int)strategy);

    private static string FindDirectory()
    {
        var directory = RuntimeDirectory.FullPath;
        if (FindFile(directory, LlamaApi.Library) is not null)
            return directory;
        throw new EngineException(EngineFailure.LoadFailed, RuntimeDirectory.IsGiven
            ? $"llama.cpp's libraries are missing: SHIMMY_RUNTIME_DIR names {directory}, which holds none"
            : $"llama.cpp's libraries are missing: {directory} holds none; restore that folder or name one that has them in SHIMMY_RUNTIME_DIR");
    }

    private static nint Resolve(string directory, string name) =>
        name is LlamaApi.Library or GgmlApi.Library or GgmlApi.BaseLibrary or MtmdApi.Library && FindFile(directory, name) is { } file
            ? NativeLibrary.Load(file)
            : 0;

    /// <summary>
    /// The file of a library in a folder; null where there is none. The prebuilt ones carry the version in their names (libllama.v0.4.0.so,
    /// ggml.v0.4.0.dll), self-built ones do not.
    /// </summary>
    public static string? FindFile(string directory, string name)
    {
        if (!System.IO.Directory.Exists(directory))
            return null;
        var (prefix, suffix) = OperatingSystem.IsWindows() ? ("", ".dll") : OperatingSystem.IsMacOS() ? ("lib", ".dylib") : ("lib", ".so");
        var plain = Path.Combine(directory, prefix + name + suffix);
        return File.Exists(plain)
            ? plain
            : System.IO.Directory.EnumerateFiles(directory, $"{prefix}{name}.*{suffix}").Order(StringComparer.Ordinal).FirstOrDefault();
    }

    private static void CheckVersion(string directory)
    {
        string version;
        try
        {
            version = Marshal.PtrToStringUTF8((nint)LlamaApi.llama_version()) ?? "";
        }
        catch (Exception e) when (e is EntryPointNotFoundException or DllNotFoundException or BadImageFormatException)
        {
            throw new EngineException(EngineFailure.LoadFailed,
                $"the llama.cpp library in {directory} is not version {BoundVersion}, which Shimmy is bound to: {e.Message}", e);
        }
        // Builds between releases report "0.4.0-dev"; the struct defaults tell whether the layout is the one we know.
        if (version != BoundVersion && !version.StartsWith(BoundVersion + "-", StringComparison.Ordinal))
        {
            throw new EngineException(EngineFailure.LoadFailed,
                $"the llama.cpp library in {directory} is version {version}; Shimmy is bound to {BoundVersion}");
        }

        if (UnknownDefault() is { } field)
        {
            throw new EngineException(EngineFailure.LoadFailed,
                $"the llama.cpp library in {directory} calls itself {version} but its default of {field} is not the one of "
                + $"{BoundVersion}, so its structs have another layout");
        }

        Version = version;
    }

    // Defaults from llama.h of the bound version that a shifted layout would hardly reproduce.
    private static string? UnknownDefault()
    {
        var model = LlamaApi.llama_model_default_params();
        var context = LlamaApi.llama_context_default_params();
        return (model.GpuLayers, model.SplitMode, model.UseExtraBufts) != (-1, 1, 1) ? "llama_model_params"
            : (context.ContextLength, context.BatchSize, context.MicroBatchSize) != (512, 2048, 512) ? "llama_context_params.n_ctx"
            : (context.RopeScalingType, context.FlashAttentionType, context.YarnExtFactor) != (-1, -1, -1f) ? "llama_context_params.rope"
            : (context.TypeK, context.TypeV, context.OffloadKqv, context.SwaFull) != (1, 1, 1, 1) ? "llama_context_params.type_k"
            : null;
    }
}
