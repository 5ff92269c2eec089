using System.Runtime.InteropServices;

namespace Shimmy.Worker.Native;

// Layouts of llama.cpp v0.4.0 (llama.h, ggml-backend.h, ggml-cpu.h). Field order is the header's; C's _Bool is one byte. Two of them, the
// parameters of models and contexts, are other ones in other builds: RuntimeLayout gives those what stands in these.
// StructLayoutTests holds every offset and size against the numbers a C compiler printed.

/// <summary><c>struct llama_model_params</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct LlamaModelParams
{
    public nint* Devices;
    public LlamaTensorBuftOverride* TensorBuftOverrides;
    public int GpuLayers;
    public int SplitMode;
    public int LoadMode;
    public int LazyMode;
    public int MainGpu;
    public float* TensorSplit;
    public delegate* unmanaged[Cdecl]<float, void*, byte> ProgressCallback;
    public void* ProgressCallbackUserData;
    public LlamaModelKvOverride* KvOverrides;
    public byte VocabOnly;
    public byte CheckTensors;
    public byte UseExtraBufts;
    public byte NoHost;
    public byte NoAlloc;
    public byte LoadMtp;
}

/// <summary><c>struct llama_model_tensor_buft_override</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct LlamaTensorBuftOverride
{
    public byte* Pattern;
    public nint BufferType;
}

/// <summary><c>struct llama_model_kv_override</c>; its value is a union.</summary>
[StructLayout(LayoutKind.Explicit, Size = 264)]
internal unsafe struct LlamaModelKvOverride
{
    [FieldOffset(0)] public int Tag;
    [FieldOffset(4)] public fixed byte Key[128];
    [FieldOffset(136)] public long Integer;
    [FieldOffset(136)] public double Real;
    [FieldOffset(136)] public fixed byte Text[128];
}

/// <summary><c>struct llama_context_params</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct LlamaContextParams
{
    public uint ContextLength;
    public uint BatchSize;
    public uint MicroBatchSize;
    public uint MaxSequences;
    public uint RecurrentSnapshots;
    public uint MaxOutputs;
    public uint MaxOutputsPerSequence;
    public int Threads;
    public int ThreadsBatch;
    public int ContextType;
    public int RopeScalingType;
    public int PoolingType;
    public int AttentionType;
    public int FlashAttentionType;
    public float RopeFrequencyBase;
    public float RopeFrequencyScale;
    public float YarnExtFactor;
    public float YarnAttnFactor;
    public float YarnBetaFast;
    public float YarnBetaSlow;
    public uint YarnOriginalContext;
    public float DefragThreshold;
    public void* EvalCallback;
    public void* EvalCallbackUserData;
    public int TypeK;
    public int TypeV;
    public void* AbortCallback;
    public void* AbortCallbackData;
    public byte Embeddings;
    public byte OffloadKqv;
    public byte NoPerf;
    public byte OpOffload;
    public byte SwaFull;
    public byte KvUnified;
    public void* Samplers;
    public nuint SamplerCount;
    public nint OtherContext;
}

/// <summary><c>struct llama_batch</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct LlamaBatch
{
    public int TokenCount;
    public int* Tokens;
    public float* Embeddings;
    public int* Positions;
    public int* SequenceIdCounts;
    public int** SequenceIds;
    public sbyte* Logits;
}

/// <summary><c>struct llama_token_data</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LlamaTokenData
{
    public int Id;
    public float Logit;
    public float Probability;
}

/// <summary><c>struct llama_token_data_array</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct LlamaTokenDataArray
{
    public LlamaTokenData* Data;
    public nuint Size;
    public long Selected;
    public byte Sorted;
}

/// <summary><c>struct llama_sampler_chain_params</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LlamaSamplerChainParams
{
    public byte NoPerf;
}

/// <summary><c>struct ggml_backend_dev_caps</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct GgmlDeviceCaps
{
    public byte Async;
    public byte HostBuffer;
    public byte BufferFromHostPointer;
    public byte Events;
    public byte MmapSupport;
}

/// <summary><c>struct ggml_backend_dev_props</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct GgmlDeviceProps
{
    public byte* Name;
    public byte* Description;
    public nuint MemoryFree;
    public nuint MemoryTotal;
    public int Type;
    public byte* DeviceId;
    public GgmlDeviceCaps Caps;
}

/// <summary><c>struct ggml_threadpool_params</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct GgmlThreadpoolParams
{
    public fixed byte CpuMask[512];
    public int Threads;
    public int Priority;
    public uint Poll;
    public byte StrictCpu;
    public byte Paused;
}
