namespace Shimmy.Engine;

// The choices of tuning options. Enums that name one of llama.cpp have its numbers.

/// <summary>The backend that computes.</summary>
public enum GpuBackend
{
    /// <summary>The first of CUDA, Metal, Vulkan, OpenCL and the CPU that loads and has a device.</summary>
    Auto,

    /// <summary>The CPU alone; no plug-in is loaded.</summary>
    Cpu,

    /// <summary>CUDA, on NVIDIA's GPUs.</summary>
    Cuda,

    /// <summary>Vulkan, on GPUs of all vendors.</summary>
    Vulkan,

    /// <summary>OpenCL, mostly on Qualcomm's GPUs.</summary>
    OpenCl,

    /// <summary>Metal, on Apple's GPUs.</summary>
    Metal,
}

/// <summary>How several devices share a model; <c>enum llama_split_mode</c>.</summary>
public enum SplitMode
{
    /// <summary>One device has all.</summary>
    None = 0,

    /// <summary>Each device has some layers.</summary>
    Layer = 1,

    /// <summary>Each device has some rows of every matrix.</summary>
    Row = 2,

    /// <summary>Each device has a part of every tensor, computed side by side.</summary>
    Tensor = 3,
}

/// <summary>Whether attention is computed in one fused step; <c>enum llama_flash_attn_type</c>.</summary>
public enum FlashAttention
{
    /// <summary>On where the devices support it.</summary>
    Auto = -1,

    /// <summary>Never.</summary>
    Off = 0,

    /// <summary>Always.</summary>
    On = 1,
}

/// <summary>Types of the KV cache; <c>enum ggml_type</c>.</summary>
public enum CacheType
{
    /// <summary>32 bits.</summary>
    F32 = 0,

    /// <summary>16 bits.</summary>
    F16 = 1,

    /// <summary>4.5 bits.</summary>
    Q4Level0 = 2,

    /// <summary>5 bits.</summary>
    Q4Level1 = 3,

    /// <summary>5.5 bits.</summary>
    Q5Level0 = 6,

    /// <summary>6 bits.</summary>
    Q5Level1 = 7,

    /// <summary>8.5 bits.</summary>
    Q8Level0 = 8,

    /// <summary>4.5 bits, not evenly spaced.</summary>
    Iq4Nl = 20,

    /// <summary>16 bits with the range of 32.</summary>
    Bf16 = 30,
}

/// <summary>How threads and memory spread over NUMA nodes; <c>enum ggml_numa_strategy</c>.</summary>
public enum NumaStrategy
{
    /// <summary>Spread over all nodes.</summary>
    Distribute = 1,

    /// <summary>Only on the node where the worker started.</summary>
    Isolate = 2,

    /// <summary>As <c>numactl</c> has set it.</summary>
    Numactl = 3,
}

/// <summary>How positions beyond the training context are scaled; <c>enum llama_rope_scaling_type</c>.</summary>
public enum RopeScaling
{
    /// <summary>None, even where the file has one.</summary>
    None = 0,

    /// <summary>All positions alike.</summary>
    Linear = 1,

    /// <summary>By frequency (Peng et al. 2023).</summary>
    Yarn = 2,
}
