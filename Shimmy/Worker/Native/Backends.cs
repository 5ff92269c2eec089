using System.Runtime.InteropServices;
using Shimmy.Engine;
using Shimmy.Engine.Runtimes;

namespace Shimmy.Worker.Native;

/// <summary>
/// Loads backends into this process: the best variant of the CPU backend, and on demand GPU plug-ins, each at most once. ggml's own loader
/// loads every file of the folder and skips failures silently; here an unused plug-in costs nothing, and a failure has a reason.
/// </summary>
internal static unsafe class Backends
{
    private const int Cpu = 0; // GGML_BACKEND_DEVICE_TYPE_CPU

    private static readonly Dictionary<GpuBackend, Plugin> Loaded = [];
    private static readonly nint[] None = [];

    /// <summary>
    /// Whether the CPU backend multiplies with AMX's tiles. Weights then lie in a layout that its other kernels cannot read, and llama.cpp
    /// (seen in v0.4.0, and in 0.7.0) turns to those where activations have a third dimension, as those of several sequences in a
    /// recurrent layer do: LFM2 gave NaN for all, from the first batch of two sequences on.
    /// </summary>
    public static bool UsesTiles { get; private set; }

    /// <summary>
    /// Loads the variant of the CPU backend that suits this processor best, by ggml's own score; one that is linked in is there already.
    /// Throws <see cref="EngineException"/> where the folder holds none.
    /// </summary>
    public static void LoadCpu(string directory)
    {
        var variants = RuntimeDirectory.Libraries(directory, "ggml-cpu*");
        if (GgmlApi.ggml_backend_dev_by_type(Cpu) != 0)
        {
            UsesTiles = variants.Any(HasTiles);
            return;
        }
        var best = variants.Select(file => (File: file, Score: ScoreOf(file))).OrderByDescending(variant => variant.Score).FirstOrDefault();
        if (best.File is null || best.Score == 0 || GgmlApi.ggml_backend_load(best.File) == 0)
        {
            throw new EngineException(EngineFailure.LoadFailed,
                $"llama.cpp's CPU backend is missing: {directory} holds no ggml-cpu library for this processor. {NativeLog.TakeErrors()}"
                    .TrimEnd())
            { Fault = RuntimeFault.Unusable };
        }
        UsesTiles = HasTiles(best.File);
        // Accelerate on macOS; a helper of the CPU backend rather than a choice beside it.
        if (RuntimeDirectory.Libraries(directory, "ggml-blas*").FirstOrDefault() is { } blas)
            GgmlApi.ggml_backend_load(blas);
    }

    /// <summary>
    /// The CPU's type of buffers, at an address of its own. Of a tensor that is to lie in the CPU's own type llama.cpp
    /// (llama-model-loader.cpp) asks once more whether another layout suits it; it knows this one only as somebody else's.
    /// </summary>
    public static nint PlainBuffers { get; } = CopyOf(GgmlApi.ggml_backend_cpu_buffer_type());

    // struct ggml_backend_buffer_type: six functions, the device and a context. It lives as long as the process, as ggml's do.
    private static nint CopyOf(nint type)
    {
        const int size = 8;
        var copy = (nint*)NativeMemory.Alloc(size, (nuint)sizeof(nint));
        new ReadOnlySpan<nint>((void*)type, size).CopyTo(new Span<nint>(copy, size));
        return (nint)copy;
    }

    /// <summary>Loads a plug-in; the result says why it cannot be used. Never throws.</summary>
    public static Plugin Load(GpuBackend backend)
    {
        if (!Loaded.TryGetValue(backend, out var plugin))
            Loaded.Add(backend, plugin = Open(backend));
        return plugin;
    }

    /// <summary>ggml's handles of a plug-in's GPUs. As in llama.cpp, integrated GPUs only where there are no others.</summary>
    public static IReadOnlyList<nint> GpusOf(Plugin plugin)
    {
        if (plugin.Registration == 0)
            return None;
        var all = new List<(nint Device, DeviceFacts Facts)>();
        for (nuint i = 0; i < GgmlApi.ggml_backend_reg_dev_count(plugin.Registration); i++)
        {
            var device = GgmlApi.ggml_backend_reg_dev_get(plugin.Registration, i);
            all.Add((device, Devices.FactsOf(device)));
        }
        var own = all.Where(device => device.Facts.Kind == "gpu").Select(device => device.Device).ToList();
        return own.Count > 0 ? own : [.. all.Where(device => device.Facts.Kind == "igpu").Select(device => device.Device)];
    }

    private static Plugin Open(GpuBackend backend)
    {
        var directory = RuntimeLibraries.Directory;
        var name = RuntimeDirectory.PluginName(backend);
        if (LinkedIn(backend) is not 0 and var linked)
            return new Plugin(PluginState.Loaded, null) { Registration = linked, Version = RuntimeLibraries.Version };
        if (RuntimeDirectory.PluginFile(directory, backend) is not { } file)
            return new Plugin(PluginState.Missing, $"its plug-in is missing: {directory} holds no {FileName(name)}; {HowToGet(backend)}");
        nint library;
        try
        {
            library = NativeLibrary.Load(file);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            return WhyNotLoaded(backend, file, LastLine(e.Message));
        }
        if (!NativeLibrary.TryGetExport(library, "ggml_backend_init", out var init))
        {
            return new Plugin(PluginState.OtherVersion,
                $"{file} is no plug-in of llama.cpp {RuntimeLibraries.Version}: it has no ggml_backend_init");
        }

        var belongs = PinnedPlugins.Belongs(file, RuntimeDirectory.FindFile(directory, GgmlApi.BaseLibrary)!, name);
        if (belongs == false)
        {
            return new Plugin(PluginState.OtherVersion,
                $"{file} is of another version or build than the libraries of llama.cpp {RuntimeLibraries.Version} beside it: it is not "
                + $"one of the plug-ins that were built with them; {HowToGet(backend)}");
        }

        NativeLog.TakeErrors();
        var registration = ((delegate* unmanaged[Cdecl]<nint>)init)();
        if (registration == 0)
            return new Plugin(PluginState.NoDriver, $"its driver did not start. {NativeLog.TakeErrors()}".TrimEnd());
        // The first field of a registration is the version of the interface that the plug-in was built for.
        var (theirs, ours) = (*(int*)registration, InterfaceVersion());
        if (theirs != ours)
        {
            return new Plugin(PluginState.OtherVersion,
                $"{file} is of another version: it was built for version {theirs} of ggml's interface for plug-ins, "
                + $"llama.cpp {RuntimeLibraries.Version} has version {ours}; {HowToGet(backend)}");
        }

        GgmlApi.ggml_backend_register(registration);
        return new Plugin(PluginState.Loaded, null)
        {
            Registration = registration,
            Version = belongs == true
            ? RuntimeLibraries.Version
            : null
        };
    }

    // ggml's handle of a backend that is part of the libraries themselves (Metal in LLamaSharp's, any in a user's own build), or 0.
    private static nint LinkedIn(GpuBackend backend)
    {
        for (nuint i = 0; i < GgmlApi.ggml_backend_dev_count(); i++)
        {
            var device = GgmlApi.ggml_backend_dev_get(i);
            var name = Devices.FactsOf(device).Backend;
            if (name.Equals(backend.ToString(), StringComparison.OrdinalIgnoreCase) || (backend == GpuBackend.Metal && name == "MTL"))
                return GgmlApi.ggml_backend_dev_backend_reg(device);
        }
        return 0;
    }

    // The message of dlopen says what is wrong: a library that the plug-in needs, a function that its version had, or that the file is
    // none.
    private static Plugin WhyNotLoaded(GpuBackend backend, string file, string why) =>
        why.Contains("undefined symbol", StringComparison.Ordinal) || why.Contains("Symbol not found", StringComparison.Ordinal)
            || NeedsOtherGgml(why)
            ? new Plugin(PluginState.OtherVersion,
                $"{file} is of another version than llama.cpp {RuntimeLibraries.Version}: {why}; {HowToGet(backend)}")
            : NeedsLibrary(file, why)
                ? new Plugin(PluginState.NoDriver, $"a library that its plug-in needs is missing ({why}); {WhatItNeeds(backend)}")
                : new Plugin(PluginState.OtherVersion, $"{file} cannot be loaded: {why}");

    // "libvulkan.so.1: cannot open shared object file" names another file than the plug-in itself.
    private static bool NeedsLibrary(string file, string why) => !NeedsOtherGgml(why)
        && (why.Contains("cannot open shared object", StringComparison.Ordinal)
            || why.Contains("Library not loaded", StringComparison.Ordinal)
            || why.Contains("0x8007007E", StringComparison.Ordinal)) && !why.StartsWith(file, StringComparison.Ordinal);

    // "libggml-base.so.0: cannot open shared object file": how other builds name ggml's own libraries.
    private static bool NeedsOtherGgml(string why) => why.StartsWith("libggml", StringComparison.Ordinal)
        || why.StartsWith("libllama", StringComparison.Ordinal);

    private static string WhatItNeeds(GpuBackend backend) => backend switch
    {
        GpuBackend.Cuda =>
            "CUDA needs NVIDIA's driver and the runtime of the CUDA version that the plug-in was built for (13; or publish with cuda12 for 12): "
            + "libcudart and libcublas",
        GpuBackend.Vulkan => "install the Vulkan driver of the GPU (Debian: libvulkan1 and mesa-vulkan-drivers, or NVIDIA's)",
        GpuBackend.OpenCl => "install the OpenCL driver of the GPU",
        _ => "it runs on macOS alone",
    };

    private static string HowToGet(GpuBackend backend) => backend switch
    {
        GpuBackend.Metal => "it comes with Shimmy for osx-arm64",
        _ when !PinnedPlugins.Exists(RuntimeDirectory.PortableRid, RuntimeDirectory.PluginName(backend)) =>
            "there is no prebuilt one: build it with all of llama.cpp v0.4 or v0.5, and name that folder in SHIMMY_RUNTIME_DIR",
        _ => $"publish with it (./publish.sh {RuntimeDirectory.PortableRid} {RuntimeDirectory.PluginName(backend)}), {(RuntimeLibraries.Runtime.IsLinked ? "" : "put it there, ")}or name another folder with all libraries in SHIMMY_RUNTIME_DIR",
    };

    private static int InterfaceVersion() => *(int*)GgmlApi.ggml_backend_dev_backend_reg(GgmlApi.ggml_backend_dev_by_type(Cpu));

    // Variants that this processor cannot run score 0; a build without variants has no score and is the only one.
    private static int ScoreOf(string file)
    {
        if (!NativeLibrary.TryLoad(file, out var library))
            return 0;
        var score = NativeLibrary.TryGetExport(library, "ggml_backend_score", out var function)
            ? ((delegate* unmanaged[Cdecl]<int>)function)()
            : 1;
        NativeLibrary.Free(library);
        return score;
    }

    private static bool HasTiles(string file)
    {
        if (!NativeLibrary.TryLoad(file, out var library))
            return false;
        var has = NativeLibrary.TryGetExport(library, "ggml_cpu_has_amx_int8", out var function)
            && ((delegate* unmanaged[Cdecl]<int>)function)() != 0;
        NativeLibrary.Free(library);
        return has;
    }

    private static string FileName(string name) => OperatingSystem.IsWindows() ? $"ggml-{name}.dll" : $"libggml-{name}.so";

    private static string LastLine(string text) =>
        text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).LastOrDefault() ?? text;
}

/// <summary>The result of loading a GPU plug-in.</summary>
/// <param name="State">How far loading got.</param>
/// <param name="Reason">Why it failed; null where it loaded.</param>
internal sealed record Plugin(PluginState State, string? Reason)
{
    /// <summary>ggml's handle; 0 where it did not load.</summary>
    public nint Registration { get; init; }

    /// <summary>The version of llama.cpp that it was built with; null where that is unknown.</summary>
    public string? Version { get; init; }
}

/// <summary>How far loading a plug-in got.</summary>
internal enum PluginState
{
    /// <summary>The file is missing.</summary>
    Missing,

    /// <summary>The file is not from this version of llama.cpp.</summary>
    OtherVersion,

    /// <summary>A driver or library that it needs is missing.</summary>
    NoDriver,

    /// <summary>It is loaded and registered; it may have no device.</summary>
    Loaded,
}
