using System.Runtime.InteropServices;
using Shimmy.Engine;
using Shimmy.Engine.Memory;

namespace Shimmy.Worker.Native;

/// <summary>
/// Memory that a load allocated, by device. Tensors are counted one by one, by the buffer that they lie in. Sizes of caches and compute
/// buffers come from llama.cpp's log (<see cref="LoadLog"/>): no function of its API returns them.
/// </summary>
internal sealed unsafe class MemoryUse(LoadLog log)
{
    private const string Cpu = LoadLog.Cpu;

    // std::pair<std::string, ggml_tensor *> of libstdc++ and of libc++: the string takes 32 and 24 bytes, the pointer follows.
    private static readonly (string Export, int Stride)[] TensorMaps =
        [("_Z29llama_internal_get_tensor_mapB5cxx11PK11llama_model", 40), ("_Z29llama_internal_get_tensor_mapPK11llama_model", 32)];

    // ggml_tensor: after its type comes the buffer that it lies in.
    private const int BufferOffset = 8;

    /// <summary>All devices that hold something of the model, in ggml's order with the CPU last.</summary>
    /// <param name="model">The model.</param>
    /// <param name="gpus">Names of the GPUs that it was given.</param>
    public IReadOnlyList<DeviceMemory> Of(ModelHandle model, IReadOnlyList<string> gpus)
    {
        var devices = new Dictionary<string, DeviceMemory>(log.Buffers, StringComparer.Ordinal);
        var exact = CountTensors(model, devices);
        return [.. devices.Values
            .Select(device => device.Device == LoadLog.Together ? OfAll(device, gpus) : device)
            .Select(device => exact ? device : device with { TensorBytes = device.BufferBytes })
            .OrderBy(device => device.Device == Cpu).ThenBy(device => device.Device, StringComparer.Ordinal)];
    }

    private static DeviceMemory OfAll(DeviceMemory each, IReadOnlyList<string> gpus) => each with
    {
        Device = string.Join('+', gpus),
        BufferBytes = each.BufferBytes * gpus.Count,
        CacheBytes = each.CacheBytes * gpus.Count,
        ComputeBytes = each.ComputeBytes * gpus.Count,
    };

    // False where this build of llama.cpp does not export its list of tensors (Windows): then the sizes of the buffers stand in.
    private static bool CountTensors(ModelHandle model, Dictionary<string, DeviceMemory> devices)
    {
        var seen = new HashSet<(nint Buffer, nint Data)>();
        foreach (var (export, stride) in TensorMaps)
        {
            if (!NativeLibrary.TryGetExport(RuntimeLibraries.Llama, export, out var function))
                continue;
            var vector = ((delegate* unmanaged[Cdecl]<nint, nint*>)function)(model.DangerousGetHandle());
            for (var entry = vector[0]; entry < vector[1]; entry += stride)
            {
                var tensor = *(nint*)(entry + stride - sizeof(nint));
                var buffer = *(nint*)(tensor + BufferOffset);
                if (buffer == 0)
                    continue;
                var device = DeviceOf(GgmlApi.ggml_backend_buffer_get_type(buffer));
                // An output that shares the memory of the embeddings is in the list twice. In a buffer of several devices no tensor has an
                // address.
                if (!seen.Add((buffer, device == LoadLog.Together ? tensor : GgmlApi.ggml_get_data(tensor))))
                    continue;
                var bytes = (long)GgmlApi.ggml_nbytes(tensor);
                var isExpert = ExpertTensors.IsExpert(Marshal.PtrToStringUTF8((nint)GgmlApi.ggml_get_name(tensor)) ?? "");
                var had = devices.GetValueOrDefault(device) ?? new DeviceMemory { Device = device };
                devices[device] =
                    had with { TensorBytes = had.TensorBytes + bytes, ExpertBytes = had.ExpertBytes + (isExpert ? bytes : 0) };
            }
            return true;
        }
        return false;
    }

    private static string DeviceOf(nint bufferType)
    {
        var device = GgmlApi.ggml_backend_buft_get_device(bufferType);
        return device == 0 || GgmlApi.ggml_backend_buft_is_host(bufferType)
            || Devices.FactsOf(device) is not { Kind: "gpu" or "igpu" or "meta", Name: var name } ? Cpu : name;
    }
}
