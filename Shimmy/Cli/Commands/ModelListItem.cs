using Shimmy.Models;
using Shimmy.SafeTensors;

namespace Shimmy.Cli.Commands;

/// <summary>A model as <c>list --json</c> shows it.</summary>
internal record ModelListItem
{
    /// <inheritdoc cref="ModelEntry.Name"/>
    public required string Name { get; init; }

    /// <inheritdoc cref="ModelEntry.Path"/>
    public required string Path { get; init; }

    /// <inheritdoc cref="ModelEntry.SizeBytes"/>
    public required long SizeBytes { get; init; }

    /// <inheritdoc cref="ModelEntry.Type"/>
    public required string ModelType { get; init; }

    /// <inheritdoc cref="ModelEntry.Architecture"/>
    public required string Architecture { get; init; }

    /// <inheritdoc cref="ModelEntry.ParameterCount"/>
    public required long? ParameterCount { get; init; }

    /// <inheritdoc cref="ModelEntry.Quantization"/>
    public required string Quantization { get; init; }

    /// <inheritdoc cref="ModelEntry.ContextLength"/>
    public required int ContextLength { get; init; }

    /// <inheritdoc cref="ModelEntry.Capabilities"/>
    public required IReadOnlyList<string> Capabilities { get; init; }

    /// <summary><c>registered</c> or <c>discovered</c>.</summary>
    public required string Source { get; init; }

    /// <summary><c>gguf</c> or <c>safetensors</c>.</summary>
    public required string Format { get; init; }

    /// <summary>How far the conversion of a folder is; null for a file.</summary>
    public required string? Conversion { get; init; }

    /// <summary>Format and conversion as the tables of people show them.</summary>
    public static string FormatOf(ConversionState? conversion) => conversion is null ? "GGUF" : $"SafeTensors, {conversion}";

    /// <summary>The item of an entry.</summary>
    public static ModelListItem Of(ModelEntry entry, ConversionState? conversion) => new()
    {
        Name = entry.Name,
        Path = entry.Path,
        SizeBytes = entry.SizeBytes,
        ModelType = entry.Type.Label(),
        Architecture = entry.Architecture,
        ParameterCount = entry.ParameterCount,
        Quantization = entry.Quantization,
        ContextLength = entry.ContextLength,
        Capabilities = [.. entry.Capabilities],
        Source = entry.Source == ModelSource.Registered ? "registered" : "discovered",
        Format = conversion is null ? "gguf" : "safetensors",
        Conversion = conversion?.ToString(),
    };
}
