using System.Runtime.InteropServices;

namespace Shimmy.Worker.Native;

/// <summary>libggml and libggml-base: backends, devices, thread pools. C names verbatim, the same in every build that Shimmy knows.</summary>
internal static unsafe partial class GgmlApi
{
    /// <summary>libggml: the registry of backends.</summary>
    public const string Library = "ggml";

    /// <summary>libggml-base: what backends share.</summary>
    public const string BaseLibrary = "ggml-base";

    /// <summary>The commit that the library was built from.</summary>
    [LibraryImport(BaseLibrary)] public static partial byte* ggml_commit();

    // Backends

    /// <summary>Loads and registers one plug-in; null, and a line of log, where that fails.</summary>
    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial nint ggml_backend_load(string path);

    [LibraryImport(Library)] public static partial void ggml_backend_register(nint registration);
    [LibraryImport(BaseLibrary)] public static partial byte* ggml_backend_reg_name(nint registration);
    [LibraryImport(BaseLibrary)] public static partial nuint ggml_backend_reg_dev_count(nint registration);
    [LibraryImport(BaseLibrary)] public static partial nint ggml_backend_reg_dev_get(nint registration, nuint index);

    [LibraryImport(BaseLibrary, StringMarshalling = StringMarshalling.Utf8)]
    public static partial void* ggml_backend_reg_get_proc_address(nint registration, string name);

    // Devices

    [LibraryImport(Library)] public static partial nuint ggml_backend_dev_count();
    [LibraryImport(Library)] public static partial nint ggml_backend_dev_get(nuint index);
    [LibraryImport(Library)] public static partial nint ggml_backend_dev_by_type(int type);
    [LibraryImport(BaseLibrary)] public static partial void ggml_backend_dev_get_props(nint device, GgmlDeviceProps* props);
    [LibraryImport(BaseLibrary)] public static partial nint ggml_backend_dev_backend_reg(nint device);

    // Buffers and tensors: where a tensor lies

    [LibraryImport(BaseLibrary)] public static partial nint ggml_backend_cpu_buffer_type();
    [LibraryImport(BaseLibrary)] public static partial nint ggml_backend_buffer_get_type(nint buffer);
    [LibraryImport(BaseLibrary)] public static partial nint ggml_backend_buft_get_device(nint bufferType);

    [LibraryImport(BaseLibrary)]
    [return: MarshalAs(UnmanagedType.U1)]
    public static partial bool ggml_backend_buft_is_host(nint bufferType);

    [LibraryImport(BaseLibrary)] public static partial nuint ggml_nbytes(nint tensor);
    [LibraryImport(BaseLibrary)] public static partial byte* ggml_get_name(nint tensor);
    [LibraryImport(BaseLibrary)] public static partial nint ggml_get_data(nint tensor);

    // Thread pools: made and freed by the CPU plug-in, so those two are asked for by name (see Threadpool)

    [LibraryImport(BaseLibrary)] public static partial void ggml_threadpool_params_init(GgmlThreadpoolParams* parameters, int threads);

    [LibraryImport(BaseLibrary)]
    public static partial void ggml_log_set(
        delegate* unmanaged[Cdecl]<int, byte*, void*, void> callback, void* userData);
}
