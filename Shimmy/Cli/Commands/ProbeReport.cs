using Shimmy.Engine;

namespace Shimmy.Cli.Commands;

/// <summary>The result of <c>probe --json</c>: time, memory and devices that a model needed.</summary>
internal sealed record ProbeReport
{
    /// <summary>The model's name.</summary>
    public required string Model { get; init; }

    /// <summary>Full path of its file.</summary>
    public required string Path { get; init; }

    /// <inheritdoc cref="ModelListItem.Format"/>
    public required string Format { get; init; }

    /// <summary>The GGUF that a folder was converted into; null for a file.</summary>
    public string? Converted { get; init; }

    /// <inheritdoc cref="ModelFacts.Description"/>
    public required string Description { get; init; }

    /// <inheritdoc cref="ModelFacts.ParameterCount"/>
    public required long ParameterCount { get; init; }

    /// <inheritdoc cref="ModelFacts.ContextLength"/>
    public required int ContextLength { get; init; }

    /// <inheritdoc cref="ModelFacts.TrainedContextLength"/>
    public required int TrainedContextLength { get; init; }

    /// <summary>Capabilities beside text: <c>vision</c>.</summary>
    public required IReadOnlyList<string> Capabilities { get; init; }

    /// <inheritdoc cref="ModelSpec.Projector"/>
    public string? Projector { get; init; }

    /// <inheritdoc cref="ModelFacts.ProjectorSkipReason"/>
    public string? ProjectorSkipReason { get; init; }

    /// <inheritdoc cref="ModelFacts.AudioUnsupportedReason"/>
    public string? AudioUnsupportedReason { get; init; }

    /// <inheritdoc cref="ModelFacts.LoadMilliseconds"/>
    public required double LoadMilliseconds { get; init; }

    /// <summary>Milliseconds from the request to its first token.</summary>
    public required double FirstTokenMilliseconds { get; init; }

    /// <summary>Estimate made before the load: bytes that the model needs in use, with a full batch.</summary>
    public required long EstimatedBytes { get; init; }

    /// <inheritdoc cref="ModelFacts.ResidentBytes"/>
    public required long ResidentBytes { get; init; }

    /// <inheritdoc cref="ModelFacts.SizeBytes"/>
    public required long TensorBytes { get; init; }

    /// <inheritdoc cref="ModelFacts.Threads"/>
    public required int Threads { get; init; }

    /// <inheritdoc cref="ModelFacts.BatchThreads"/>
    public required int BatchThreads { get; init; }

    /// <inheritdoc cref="ModelFacts.Backend"/>
    public required string Backend { get; init; }

    /// <inheritdoc cref="ModelFacts.GpuLayers"/>
    public required int GpuLayers { get; init; }

    /// <inheritdoc cref="ModelFacts.Layers"/>
    public required int Layers { get; init; }

    /// <inheritdoc cref="ModelFacts.LayerReason"/>
    public string? LayerReason { get; init; }

    /// <inheritdoc cref="ModelFacts.Memory"/>
    public required IReadOnlyList<DeviceMemory> Memory { get; init; }

    /// <inheritdoc cref="ModelFacts.Devices"/>
    public required IReadOnlyList<DeviceFacts> Devices { get; init; }

    /// <inheritdoc cref="ModelFacts.Runtime"/>
    public required string Runtime { get; init; }

    /// <inheritdoc cref="ModelFacts.RuntimeReason"/>
    public required string RuntimeReason { get; init; }

    /// <inheritdoc cref="ModelFacts.LibraryVersion"/>
    public required string LibraryVersion { get; init; }
}
