using System.Runtime.InteropServices;
using LLama.Native;
using Shimmy.Engine;
using Shimmy.Engine.Runtimes;

namespace Shimmy.Worker.Native;

/// <summary>
/// Loads the libraries of one runtime, where .NET's own probing does not look, and finds out which llama.cpp they are.
/// </summary>
internal static unsafe class RuntimeLibraries
{
    // GNU's library of OpenMP, which LLamaSharp's libraries for Linux are linked with.
    private const string OpenMp = "libgomp.so.1";

    // Of a runtime whose backends are linked in: each refers to those before it. Loaded by path, they are found by name from then on.
    private static readonly string[] LinkedInOrder = [GgmlApi.BaseLibrary, "ggml-cpu", "ggml-blas", "ggml-metal", GgmlApi.Library];

    private static readonly string[] StateFunctions =
    [
        nameof(LlamaApi.llama_state_seq_get_size_ext), nameof(LlamaApi.llama_state_seq_get_data_ext),
        nameof(LlamaApi.llama_state_seq_set_data_ext),
    ];

    private static readonly Lock Gate = new();
    private static LlamaRuntime? _runtime;
    private static LlamaRuntime? _resolved;

    /// <summary>The loaded runtime, once <see cref="Load"/> has run.</summary>
    public static LlamaRuntime Runtime => _runtime ?? throw new InvalidOperationException("The native libraries are not loaded.");

    /// <summary>Full path of the folder the libraries come from, once <see cref="Load"/> has run.</summary>
    public static string Directory => Runtime.Directory;

    /// <summary>The handle of libllama, for what it exports beside its API.</summary>
    public static nint Llama { get; private set; }

    /// <summary>Version of the loaded library; where it has none, the package that it comes from and its commit.</summary>
    public static string Version { get; private set; } = "";

    /// <summary>The commit that the loaded library was built from, and its size: builds of one version may compute otherwise.</summary>
    public static string Commit { get; private set; } = "";

    /// <summary>Whether the library can write down the state of a sequence, whole or in part.</summary>
    public static bool HasStates { get; private set; }

    /// <summary>
    /// Loads the libraries and the backend for the CPU, once a process; those for GPUs are <see cref="Backends"/>.
    /// Throws <see cref="EngineException"/> (<see cref="EngineFailure.LoadFailed"/>) where they are missing or of an unknown layout.
    /// </summary>
    public static void Load()
    {
        lock (Gate)
        {
            if (_runtime is not null)
                return;
            var runtime = RuntimeChoice.ForNone()[0].Runtime;
            if (runtime.Find(LlamaApi.Library) is not { } file)
                throw Failure($"the runtime {runtime.Name} is missing: {runtime.Directory} holds no llama library");
            try
            {
                if (runtime.IsLinked)
                    LoadLinked(runtime);
                Llama = NativeLibrary.Load(file);
            }
            catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
            {
                throw Failure(Missing(runtime, e.Message), e);
            }
            if (_resolved is null)
            {
                NativeLibrary.SetDllImportResolver(typeof(LlamaApi).Assembly, (name, _, _) => Resolve(name));
                NativeLibrary.SetDllImportResolver(typeof(LLamaModelParams).Assembly, (name, _, _) => Resolve(name));
            }
            _resolved = runtime;
            FindLayout(runtime);
            NativeLog.Attach();
            LlamaApi.llama_backend_init();
            Backends.LoadCpu(runtime.Directory);
            _runtime = runtime;
        }
    }

    /// <summary>Sets how threads and memory spread over NUMA nodes; once a process, before a model is loaded.</summary>
    public static void UseNuma(NumaStrategy strategy) => LlamaApi.llama_numa_init((int)strategy);

    private static void LoadLinked(LlamaRuntime runtime)
    {
        // The system's before the one that lies beside: that one is of the builder's system, and may need a newer C library.
        if (OperatingSystem.IsLinux())
            NativeLibrary.TryLoad(OpenMp, out _);
        foreach (var name in LinkedInOrder)
        {
            if (runtime.Find(name) is { } file)
                NativeLibrary.Load(file);
        }
    }

    private static nint Resolve(string name) =>
        name is LlamaApi.Library or GgmlApi.Library or GgmlApi.BaseLibrary or MtmdApi.Library && _resolved!.Find(name) is { } file
            ? NativeLibrary.Load(file)
            : 0;

    private static string Missing(LlamaRuntime runtime, string why) => why.Contains(OpenMp, StringComparison.Ordinal)
        ? $"the runtime {runtime.Name} needs {OpenMp}, which is missing: install GNU's OpenMP library "
            + "(Debian and Ubuntu: libgomp1; Fedora, Arch and Alpine: libgomp)"
        : why.Contains("VCOMP140", StringComparison.OrdinalIgnoreCase)
            ? $"the runtime {runtime.Name} needs VCOMP140.DLL, which is missing: install Microsoft's Visual C++ redistributable"
            : $"the runtime {runtime.Name} cannot be loaded from {runtime.Directory}: {why.ReplaceLineEndings(" ").Trim()}";

    private static void FindLayout(LlamaRuntime runtime)
    {
        string? version = null;
        string commit;
        RuntimeLayout? layout;
        string reason;
        try
        {
            if (NativeLibrary.TryGetExport(Llama, nameof(LlamaApi.llama_version), out _))
                version = Marshal.PtrToStringUTF8((nint)LlamaApi.llama_version());
            commit = Marshal.PtrToStringUTF8((nint)GgmlApi.ggml_commit()) ?? "";
            layout = RuntimeLayout.Find(version, commit, runtime.Name == LlamaRuntime.LLamaSharp, out reason);
        }
        catch (Exception e) when (e is EntryPointNotFoundException or DllNotFoundException or BadImageFormatException)
        {
            throw Failure($"the llama.cpp library in {runtime.Directory} is of a version that Shimmy does not support: {e.Message}", e);
        }
        if (layout is null)
        {
            throw Failure($"the llama.cpp library in {runtime.Directory} {reason}; known are "
                + string.Join(" and ", RuntimeLayout.Known.Select(known => known.Builds)));
        }
        RuntimeLayout.Loaded = layout;
        HasStates = Array.TrueForAll(StateFunctions, name => NativeLibrary.TryGetExport(Llama, name, out _));
        Version = version ?? layout.Builds;
        Commit = $"{commit} {(runtime.Find(LlamaApi.Library) is { } file ? new FileInfo(file).Length : 0)}";
    }

    private static EngineException Failure(string message, Exception? inner = null) =>
        new(EngineFailure.LoadFailed, message, inner) { Fault = RuntimeFault.Unusable };
}
