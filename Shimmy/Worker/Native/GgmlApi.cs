using System.Runtime.InteropServices;
using Shimmy.Engine;

namespace Shimmy.Worker.Native;

/// <summary>libggml and libggml-base: backends, devices, thread pools. C names verbatim, the same in every build that is known.</summary>
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

    // Quantization

    [LibraryImport(BaseLibrary)] public static partial long ggml_blck_size(int type);
    [LibraryImport(BaseLibrary)] public static partial nuint ggml_row_size(int type, long elements);

    [LibraryImport(BaseLibrary)]
    public static partial nuint ggml_quantize_chunk(
        int type, float* source, void* destination, long start, long rows, long width, float* importance);

    [LibraryImport(BaseLibrary)]
    [return: MarshalAs(UnmanagedType.U1)]
    public static partial bool ggml_validate_row_data(int type, void* data, nuint bytes);
}

/// <summary>Rows of floats as blocks of a quantized type, by ggml's own quantizer, on all processors.</summary>
internal static unsafe class RowBlocks
{
    /// <summary>The blocks. Throws <see cref="EngineException"/> for values that no block can hold.</summary>
    public static byte[] Quantize(int type, int width, ReadOnlySpan<float> values)
    {
        if (width <= 0 || values.Length % width != 0 || width % GgmlApi.ggml_blck_size(type) != 0)
            throw new InvalidDataException($"{values.Length} values are no rows of {width} in whole blocks");

        var rows = values.Length / width;
        var rowBytes = (int)GgmlApi.ggml_row_size(type, width);
        var blocks = GC.AllocateUninitializedArray<byte>(checked(rowBytes * rows));
        var share = Math.Max(1, (rows + Environment.ProcessorCount - 1) / Environment.ProcessorCount);
        fixed (float* source = values)
        fixed (byte* target = blocks)
        {
            var (from, to) = ((nint)source, (nint)target);
            Parallel.For(0, (rows + share - 1) / share, part =>
            {
                var first = part * share;
                GgmlApi.ggml_quantize_chunk(
                    type, (float*)from, (void*)to, (long)first * width, Math.Min(share, rows - first), width, null);
            });
            return GgmlApi.ggml_validate_row_data(type, target, (nuint)blocks.Length)
                ? blocks
                : throw new EngineException(EngineFailure.InvalidRequest, "the weights hold values that are not finite");
        }
    }
}
