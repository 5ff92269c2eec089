using System.Globalization;
using Shimmy.Engine;

namespace Shimmy.Worker.Native;

/// <summary>
/// Facts that llama.cpp reports only in its log while it loads a model: sizes of buffers, layers on GPUs, metadata that was replaced.
/// </summary>
internal sealed class LoadLog
{
    /// <summary>The device of all memory of the host.</summary>
    public const string Cpu = "CPU";

    /// <summary>
    /// ggml's name for several devices that compute as one (split-mode tensor). The logged size of a buffer is that of each device.
    /// </summary>
    public const string Together = "Meta()";

    private const string BufferSize = " buffer size =";

    // Of ggml, Vulkan and CUDA.
    private static readonly string[] AllocationFailed =
        ["failed to allocate", "unable to allocate", "out of memory", "OutOfDeviceMemory", "OutOfHostMemory"];

    private readonly Dictionary<string, DeviceMemory> _buffers = new(StringComparer.Ordinal);
    private readonly HashSet<string> _replaced = new(StringComparer.Ordinal);
    private string? _badOverride;

    /// <summary>Buffers by device.</summary>
    public IReadOnlyDictionary<string, DeviceMemory> Buffers => _buffers;

    /// <summary>Layers on GPUs, the output layer counted as one; 0 where the log says nothing.</summary>
    public int GpuLayers { get; private set; }

    /// <summary>Whether an allocation failed.</summary>
    public bool OutOfMemory { get; private set; }

    /// <summary>Reads a line of the log. Called by one load at a time.</summary>
    public void Listen(string line)
    {
        if (Between(line, "offloaded ", " layers to GPU") is { } offloaded)
        {
            GpuLayers = int.Parse(offloaded.AsSpan(0, offloaded.IndexOf('/', StringComparison.Ordinal)), CultureInfo.InvariantCulture);
        }
        else if (Between(line, BufferSize, " MiB") is { } size)
        {
            Add(line[..line.IndexOf(BufferSize, StringComparison.Ordinal)],
                (long)(double.Parse(size, CultureInfo.InvariantCulture) * (1 << 20)));
        }
        else if (line.Contains("Using metadata override", StringComparison.Ordinal) && Between(line, "'", "' = ") is { } replaced)
        {
            _replaced.Add(replaced);
        }
        else if (line.Contains("Bad metadata override type", StringComparison.Ordinal))
        {
            _badOverride = line[line.IndexOf("Bad metadata", StringComparison.Ordinal)..];
        }
        else
        {
            OutOfMemory |= (line.Contains("allocation of size", StringComparison.Ordinal)
                && line.Contains(" failed", StringComparison.Ordinal))
                || Array.Exists(AllocationFailed, words => line.Contains(words, StringComparison.OrdinalIgnoreCase));
        }
    }

    /// <summary>
    /// Checks that every override took effect, because llama.cpp ignores one with a wrong type or an unused key. Throws
    /// <see cref="EngineException"/> where one did not.
    /// </summary>
    public void CheckOverrides(IReadOnlyList<MetadataOverride> wanted)
    {
        if (_badOverride is not null)
            throw new EngineException(EngineFailure.LoadFailed, $"override-kv: {_badOverride}");
        if (wanted.FirstOrDefault(one => !_replaced.Contains(one.Key)) is { } unused)
            throw new EngineException(EngineFailure.LoadFailed, $"override-kv: llama.cpp reads no '{unused.Key}' of this model");
    }

    // Before the size stand the buffer's name and its kind.
    private void Add(string named, long bytes)
    {
        if (named.Split(' ', StringSplitOptions.RemoveEmptyEntries) is not [.., var buffer, var kind]
            || kind is not ("model" or "KV" or "RS" or "compute" or "output"))
        {
            return;
        }

        var device = DeviceOf(buffer);
        var had = _buffers.GetValueOrDefault(device) ?? new DeviceMemory { Device = device };
        _buffers[device] = kind switch
        {
            "model" => had with { BufferBytes = had.BufferBytes + bytes },
            "KV" or "RS" => had with { CacheBytes = had.CacheBytes + bytes },
            _ => had with { ComputeBytes = had.ComputeBytes + bytes },
        };
    }

    // CPU_Mapped, CPU_REPACK and Vulkan_Host lie in the memory of the host; Vulkan0 and MTL0_Mapped do not.
    private static string DeviceOf(string buffer)
    {
        var device = buffer.Split('_')[0];
        return device == Together ? Together : device.StartsWith(Cpu, StringComparison.Ordinal)
            || !char.IsAsciiDigit(device[^1]) ? Cpu : device;
    }

    private static string? Between(string line, string before, string after)
    {
        var start = line.IndexOf(before, StringComparison.Ordinal);
        if (start < 0)
            return null;
        start += before.Length;
        var end = line.IndexOf(after, start, StringComparison.Ordinal);
        return end < 0 ? null : line[start..end].Trim();
    }
}
