namespace Shimmy.Gguf;

/// <summary>What the header of a GGUF file says: all facts, no weights.</summary>
internal sealed record GgufHeader
{
    /// <summary>Version of the format, 2 or 3.</summary>
    public required int Version { get; init; }

    /// <summary>Metadata by key.</summary>
    public required IReadOnlyDictionary<string, GgufValue> Metadata { get; init; }

    /// <summary>Tensors in the file's order.</summary>
    public required IReadOnlyList<GgufTensor> Tensors { get; init; }

    /// <summary>Bytes to whose multiples tensor data are aligned.</summary>
    public required int Alignment { get; init; }

    /// <summary>Byte at which tensor data begin.</summary>
    public required long DataOffset { get; init; }

    /// <summary>Bytes of the whole file.</summary>
    public required long FileLength { get; init; }

    /// <summary><c>general.architecture</c>, or null.</summary>
    public string? Architecture => Text("general.architecture");

    /// <summary>Elements of all tensors of this file.</summary>
    public long ParameterCount => Tensors.Sum(tensor => tensor.ElementCount);

    /// <summary>The text under a key; null where there is none.</summary>
    public string? Text(string key) => Metadata.TryGetValue(key, out var value) ? value.Text : null;

    /// <summary>The whole number under a key; null where there is none.</summary>
    public long? Integer(string key) => Metadata.TryGetValue(key, out var value) ? value.Integer : null;

    /// <summary>The number under a key; null where there is none.</summary>
    public double? Number(string key) => Metadata.TryGetValue(key, out var value) ? value.Number : null;

    /// <summary>The truth value under a key; null where there is none.</summary>
    public bool? Flag(string key) => Metadata.TryGetValue(key, out var value) ? value.Flag : null;

    /// <summary>The array under a key; null where there is none.</summary>
    public GgufArray? Array(string key) => Metadata.TryGetValue(key, out var value) ? value.Array : null;

    /// <summary>
    /// The value of a key of the architecture, for example <c>llama.context_length</c> for <c>context_length</c>.
    /// </summary>
    public GgufValue? OfArchitecture(string key) =>
        Architecture is { } architecture && Metadata.TryGetValue($"{architecture}.{key}", out var value) ? value : null;
}

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
