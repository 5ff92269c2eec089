namespace Shimmy.Engine;

/// <summary>The backends and devices of this machine, as the native libraries report them without a model.</summary>
public sealed record BackendReport
{
    /// <summary>Version of the llama.cpp library.</summary>
    public required string LibraryVersion { get; init; }

    /// <summary>Folder the libraries came from.</summary>
    public required string RuntimeDirectory { get; init; }

    /// <summary>Every runtime of this machine, in the order in which a model without special needs tries them.</summary>
    public IReadOnlyList<RuntimeFacts> Runtimes { get; init; } = [];

    /// <summary>Every known backend, loaded or not: the CPU first, then in the order in which auto tries them.</summary>
    public required IReadOnlyList<BackendFacts> Backends { get; init; }

    /// <summary>Devices of all loaded backends.</summary>
    public required IReadOnlyList<DeviceFacts> Devices { get; init; }

    /// <summary>The backend that auto chooses here.</summary>
    public required string Auto { get; init; }
}

/// <summary>One runtime: a build of llama.cpp.</summary>
public sealed record RuntimeFacts
{
    /// <summary>The name, as <c>--runtime</c> takes it.</summary>
    public required string Name { get; init; }

    /// <summary>Its folder.</summary>
    public required string Directory { get; init; }

    /// <summary>Version of its llama.cpp; null where it cannot be loaded.</summary>
    public string? Version { get; init; }

    /// <summary>Whether it has libmtmd, which reads pictures and sound.</summary>
    public bool Media { get; init; }

    /// <summary>The backends that it holds plug-ins of, or has built in, beside the CPU's.</summary>
    public IReadOnlyList<string> Gpus { get; init; } = [];

    /// <summary>Whether a model that needs nothing special runs on it.</summary>
    public bool Chosen { get; init; }

    /// <summary>Why it is chosen, or why it cannot be loaded; null where neither is so.</summary>
    public string? Reason { get; init; }
}

/// <summary>One backend plug-in.</summary>
public sealed record BackendFacts
{
    /// <summary><c>cpu</c>, <c>vulkan</c>, <c>cuda</c> …: what <c>--gpu-backend</c> takes.</summary>
    public required string Name { get; init; }

    /// <summary>Names of its devices that a model can run on.</summary>
    public IReadOnlyList<string> Devices { get; init; } = [];

    /// <summary>Whether it loaded and registered.</summary>
    public bool Loaded { get; init; }

    /// <summary>The version of llama.cpp that it was built with; null where it did not load, or was built by hand.</summary>
    public string? Version { get; init; }

    /// <summary>Whether its plug-in ends the process that loads it.</summary>
    public bool Crashed { get; init; }

    /// <summary>Why it did not load, or has no device; null where a model can run on it.</summary>
    public string? Reason { get; init; }
}

/// <summary>One device that a backend offers.</summary>
public sealed record DeviceFacts
{
    /// <summary>ggml's name of the device, for example <c>CPU</c> or <c>Vulkan0</c>.</summary>
    public required string Name { get; init; }

    /// <summary>The driver's name of the device.</summary>
    public required string Description { get; init; }

    /// <summary><c>cpu</c>, <c>gpu</c>, <c>igpu</c> or <c>accel</c>.</summary>
    public required string Kind { get; init; }

    /// <summary>The backend that offers it, for example <c>CPU</c> or <c>Vulkan</c>.</summary>
    public required string Backend { get; init; }

    /// <summary>Free bytes of its memory.</summary>
    public long MemoryFreeBytes { get; init; }

    /// <summary>All bytes of its memory.</summary>
    public long MemoryTotalBytes { get; init; }
}

/// <summary>The report of this machine's backends, made once and kept: making it takes a process of its own.</summary>
/// <param name="ask">Makes the report.</param>
internal sealed class BackendProbe(Func<CancellationToken, Task<BackendReport>> ask)
{
    private readonly Lock _lock = new();
    private Task<BackendReport>? _asked;

    /// <summary>The report. Throws <see cref="EngineException"/> where the libraries cannot be asked; the next call tries again.</summary>
    public async Task<BackendReport> GetAsync(CancellationToken cancellation)
    {
        Task<BackendReport> asked;
        lock (_lock)
        {
            if (_asked is null or { IsFaulted: true } or { IsCanceled: true })
                _asked = ask(CancellationToken.None);
            asked = _asked;
        }
        return await asked.WaitAsync(cancellation).ConfigureAwait(false);
    }
}
