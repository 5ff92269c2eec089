using System.Globalization;
using System.Text.RegularExpressions;

namespace Shimmy.Engine.Llama.Native;

/// <summary>What llama.cpp tells in its log while it loads a model, and by no function: sizes of buffers, layers on GPUs, metadata that was replaced.</summary>
internal sealed partial class LoadLog
{
    /// <summary>The device of all memory of the host.</summary>
    public const string Cpu = "CPU";

    private readonly Dictionary<string, DeviceMemory> _buffers = new(StringComparer.Ordinal);
    private readonly HashSet<string> _replaced = new(StringComparer.Ordinal);
    private string? _badOverride;

    /// <summary>Buffers by device.</summary>
    public IReadOnlyDictionary<string, DeviceMemory> Buffers => _buffers;

    /// <summary>Layers on GPUs, the output layer counted as one; 0 where it said nothing.</summary>
    public int GpuLayers { get; private set; }

    /// <summary>Whether it could not allocate something.</summary>
    public bool OutOfMemory { get; private set; }

    /// <summary>Takes note of a line. Called by one load at a time.</summary>
    public void Listen(string line)
    {
        if (OffloadedLayers().Match(line) is { Success: true } offloaded)
            GpuLayers = int.Parse(offloaded.Groups[1].ValueSpan, CultureInfo.InvariantCulture);
        else if (BufferSize().Match(line) is { Success: true } size)
            Add(DeviceOf(size.Groups[1].Value), size.Groups[2].Value, (long)(double.Parse(size.Groups[3].ValueSpan, CultureInfo.InvariantCulture) * (1 << 20)));
        else if (Replaced().Match(line) is { Success: true } replaced)
            _replaced.Add(replaced.Groups[1].Value);
        else if (line.Contains("Bad metadata override type", StringComparison.Ordinal))
            _badOverride = line[line.IndexOf("Bad metadata", StringComparison.Ordinal)..];
        else
            OutOfMemory |= AllocationFailed().IsMatch(line);
    }

    /// <summary>
    /// Throws <see cref="EngineException"/> where a value was to be replaced that has another type, or that llama.cpp never asked for: it loads the model as
    /// if nothing had been said.
    /// </summary>
    public void CheckOverrides(IReadOnlyList<MetadataOverride> wanted)
    {
        if (_badOverride is not null)
            throw new EngineException(EngineFailure.LoadFailed, $"override-kv: {_badOverride}");
        if (wanted.FirstOrDefault(one => !_replaced.Contains(one.Key)) is { } unused)
            throw new EngineException(EngineFailure.LoadFailed, $"override-kv: llama.cpp reads no '{unused.Key}' of this model");
    }

    private void Add(string device, string kind, long bytes)
    {
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
        return device.StartsWith(Cpu, StringComparison.Ordinal) || !char.IsAsciiDigit(device[^1]) ? Cpu : device;
    }

    [GeneratedRegex(@"(\S+) +(model|KV|RS|compute|output) buffer size = +([0-9.]+) MiB")]
    private static partial Regex BufferSize();

    [GeneratedRegex(@"offloaded (\d+)/\d+ layers to GPU")]
    private static partial Regex OffloadedLayers();

    [GeneratedRegex(@"Using metadata override \( *\w+\) '(.+?)' = ")]
    private static partial Regex Replaced();

    [GeneratedRegex("(?:failed|unable) to allocate|allocation of size .* failed|out of memory|OutOf(?:Device|Host)Memory", RegexOptions.IgnoreCase)]
    private static partial Regex AllocationFailed();
}
