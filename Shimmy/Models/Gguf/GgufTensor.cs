namespace Shimmy.Models.Gguf;

/// <summary>Where one tensor lies and what shape it has.</summary>
internal sealed record GgufTensor
{
    /// <summary>Its name, at most 63 bytes.</summary>
    public required string Name { get; init; }

    /// <summary>Type of its elements.</summary>
    public required GgmlType Type { get; init; }

    /// <summary>One to four dimensions, the contiguous one first.</summary>
    public required IReadOnlyList<long> Dimensions { get; init; }

    /// <summary>Byte in the file at which its data begin.</summary>
    public required long Offset { get; init; }

    /// <summary>Elements in all.</summary>
    public required long ElementCount { get; init; }

    /// <summary>Bytes of its data.</summary>
    public long SizeBytes => Type.BytesOf(ElementCount);
}
