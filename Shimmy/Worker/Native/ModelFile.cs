using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Shimmy.Engine;
using Shimmy.Engine.Memory;
using Shimmy.Gguf;

namespace Shimmy.Worker.Native;

/// <summary>Loads a model's file with llama.cpp: devices, splits and overrides as native arrays that live during the load only.</summary>
internal static unsafe class ModelFile
{
    private const int OverrideText = 128;

    /// <summary>Loads; the handle is invalid where llama.cpp could not, which its log explains.</summary>
    /// <param name="spec">What to load.</param>
    /// <param name="choice">The devices to use.</param>
    /// <param name="gpuLayers">Layers on them, the output layer counted as one.</param>
    /// <param name="modelLayers">Layers that the model has, without the output layer.</param>
    /// <param name="plain">The pattern of tensors that the CPU backend may not bring into a layout of its own; null for none.</param>
    /// <param name="progress">Gets 0 to 1.</param>
    public static ModelHandle Load(ModelSpec spec, DeviceChoice choice, int gpuLayers, int modelLayers, string? plain,
        Action<float> progress)
    {
        var tuning = spec.Tuning;
        var parameters = RuntimeLayout.Loaded.DefaultModelParams();
        parameters.GpuLayers = gpuLayers;
        parameters.LoadMode = LoadMode(tuning, parameters.LoadMode);
        if (tuning.SplitMode is { } mode)
            parameters.SplitMode = (int)mode;
        parameters.MainGpu = tuning.MainGpu ?? 0;
        var patterns = ExpertTensors.Patterns(tuning.CpuExpertLayers ?? 0, modelLayers).ToList();
        if (plain is not null)
            patterns.Add(plain);
        var devices = stackalloc nint[choice.Handles.Count + 1];
        for (var i = 0; i < choice.Handles.Count; i++)
            devices[i] = choice.Handles[i];
        devices[choice.Handles.Count] = 0;
        parameters.Devices = devices;
        var shares = stackalloc float[(int)LlamaApi.llama_max_devices()];
        if (tuning.TensorSplit.Count > 0)
        {
            new Span<float>(shares, (int)LlamaApi.llama_max_devices()).Clear();
            for (var i = 0; i < tuning.TensorSplit.Count; i++)
                shares[i] = tuning.TensorSplit[i];
            parameters.TensorSplit = shares;
        }
        var buffers = new LlamaTensorBuftOverride[patterns.Count + 1];
        var cpu = GgmlApi.ggml_backend_cpu_buffer_type();
        var metadata = new LlamaModelKvOverride[tuning.MetadataOverrides.Count + 1];
        for (var i = 0; i < tuning.MetadataOverrides.Count; i++)
            Fill(ref metadata[i], tuning.MetadataOverrides[i]);
        var place = PlaceOf(spec.Path);
        var stream = place is { IsPart: true } ? Posix.OpenAt(place.Path, place.Offset) : 0;
        var callback = GCHandle.Alloc(progress);
        try
        {
            for (var i = 0; i < patterns.Count; i++)
            {
                buffers[i] =
                    new()
                    {
                        Pattern = (byte*)Marshal.StringToCoTaskMemUTF8(patterns[i]),
                        BufferType = patterns[i] == plain ? Backends.PlainBuffers : cpu,
                    };
            }

            fixed (LlamaTensorBuftOverride* bufferList = buffers)
            fixed (LlamaModelKvOverride* metadataList = metadata)
            {
                parameters.TensorBuftOverrides = patterns.Count > 0 ? bufferList : null;
                parameters.KvOverrides = tuning.MetadataOverrides.Count > 0 ? metadataList : null;
                parameters.ProgressCallback = &OnProgress;
                parameters.ProgressCallbackUserData = (void*)GCHandle.ToIntPtr(callback);
                return new ModelHandle(RuntimeLayout.Loaded.LoadModel(Shards(spec.Path) ?? [spec.Path], parameters, stream));
            }
        }
        finally
        {
            // What is mapped stays.
            if (stream != 0)
                _ = Posix.Close(stream);
            callback.Free();
            foreach (var buffer in buffers)
                Marshal.FreeCoTaskMem((nint)buffer.Pattern);
        }
    }

    // Null where it cannot be read: llama.cpp says what is wrong with the file.
    private static GgufPlace? PlaceOf(string path)
    {
        try
        {
            return GgufPlace.Of(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    // llama.cpp finds the shards of a file by itself, but only where they end in small letters.
    private static string[]? Shards(string path)
    {
        var name = ModelFileName.Parse(Path.GetFileName(path));
        return name.ShardCount < 2 || path.EndsWith(".gguf", StringComparison.Ordinal)
            ? null
            : [.. Enumerable.Range(1, name.ShardCount).Select(number => Path.Join(Path.GetDirectoryName(path), name.OfShard(number)))];
    }

    // enum llama_load_mode: 0 reads, 1 maps, 2 reads and locks, 3 maps and locks. As in llama.cpp, locking alone maps too.
    private static int LoadMode(LoadTuning tuning, int given) => (tuning.MemoryMap, tuning.MemoryLock == true) switch
    {
        (null, false) => given,
        (false, false) => 0,
        (true, false) => 1,
        (false, true) => 2,
        _ => 3,
    };

    private static void Fill(ref LlamaModelKvOverride entry, MetadataOverride wanted)
    {
        fixed (byte* key = entry.Key)
            Encoding.UTF8.GetBytes(wanted.Key, new Span<byte>(key, OverrideText - 1));
        switch (wanted.Type)
        {
            case "int":
                entry.Tag = 0;
                entry.Integer = long.Parse(wanted.Value, CultureInfo.InvariantCulture);
                break;
            case "float":
                entry.Tag = 1;
                entry.Real = double.Parse(wanted.Value, CultureInfo.InvariantCulture);
                break;
            case "bool":
                entry.Tag = 2;
                entry.Integer = wanted.Value == "true" ? 1 : 0;
                break;
            default:
                entry.Tag = 3;
                fixed (byte* text = entry.Text)
                    Encoding.UTF8.GetBytes(wanted.Value, new Span<byte>(text, OverrideText - 1));
                break;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static byte OnProgress(float share, void* userData)
    {
        try
        {
            ((Action<float>)GCHandle.FromIntPtr((nint)userData).Target!)(share);
            return 1;
        }
        catch (Exception)
        {
            // Zero makes llama.cpp give up the load; the exception itself may not pass its frames.
            return 0;
        }
    }
}
