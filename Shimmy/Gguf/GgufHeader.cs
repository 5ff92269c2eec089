namespace Shimmy.Gguf;

/// <summary>The header of a GGUF file: metadata and tensor infos, without the weights.</summary>
internal sealed record GgufHeader
{
    /// <summary>Version of the GGUF format, 2 or 3.</summary>
    public required int Version { get; init; }

    /// <summary>Metadata values by key, for example <c>general.architecture</c>.</summary>
    public required IReadOnlyDictionary<string, GgufValue> Metadata { get; init; }

    /// <summary>Tensor infos, in the file's order.</summary>
    public required IReadOnlyList<GgufTensor> Tensors { get; init; }

    /// <summary>Alignment of tensor data in bytes, a power of two (<c>general.alignment</c>; default 32).</summary>
    public required int Alignment { get; init; }

    /// <summary>Offset of the tensor data in the file.</summary>
    public required long DataOffset { get; init; }

    /// <summary>Size of the whole file in bytes.</summary>
    public required long FileLength { get; init; }

    /// <summary><c>general.architecture</c>; null where it is missing.</summary>
    public string? Architecture => Text("general.architecture");

    /// <summary>Number of elements in all tensors of this file; a shard has only its own.</summary>
    public long ParameterCount => Tensors.Sum(tensor => tensor.ElementCount);

    /// <summary>
    /// The numbers of the layers that keep a recurrent state (Mamba, short convolutions, RWKV, and hybrids of them), by the names of their
    /// tensors; a shard knows of its own.
    /// </summary>
    public IReadOnlyList<int> RecurrentLayers =>
    [
        .. Tensors.Where(tensor => System.Array.Exists(RecurrentParts, part => tensor.Name.Contains(part, StringComparison.Ordinal)))
            .Select(tensor => tensor.Name.Split('.')).Where(name => name[0] == "blk")
            .Select(name => int.TryParse(name[1], out var layer) ? layer : -1).Where(layer => layer >= 0).Distinct()
    ];

    // As llama.cpp's llama-arch.cpp names them.
    private static readonly string[] RecurrentParts = [".ssm_", ".shortconv.", ".time_mix_"];

    /// <summary>The string value of a key; null where the key is missing or has another type.</summary>
    public string? Text(string key) => Metadata.TryGetValue(key, out var value) ? value.Text : null;

    /// <summary>The integer value of a key; null where the key is missing or has another type.</summary>
    public long? Integer(string key) => Metadata.TryGetValue(key, out var value) ? value.Integer : null;

    /// <summary>The numeric value of a key, integer or floating point; null where the key is missing or has another type.</summary>
    public double? Number(string key) => Metadata.TryGetValue(key, out var value) ? value.Number : null;

    /// <summary>The boolean value of a key; null where the key is missing or has another type.</summary>
    public bool? Flag(string key) => Metadata.TryGetValue(key, out var value) ? value.Flag : null;

    /// <summary>The array value of a key; null where the key is missing or has another type.</summary>
    public GgufArray? Array(string key) => Metadata.TryGetValue(key, out var value) ? value.Array : null;

    /// <summary>
    /// The value of an architecture's key: <c>context_length</c> stands for <c>llama.context_length</c> where the architecture is llama.
    /// Null where the key or the architecture is missing.
    /// </summary>
    public GgufValue? OfArchitecture(string key) =>
        Architecture is { } architecture && Metadata.TryGetValue($"{architecture}.{key}", out var value) ? value : null;
}

/// <summary>Tensor info: name, type, shape and place of one tensor.</summary>
internal sealed record GgufTensor
{
    /// <summary>Name, at most 63 bytes (GGML_MAX_NAME), for example <c>blk.0.attn_q.weight</c>.</summary>
    public required string Name { get; init; }

    /// <summary>Element type.</summary>
    public required GgmlType Type { get; init; }

    /// <summary>Sizes of the one to four dimensions, the contiguous one first (ggml's <c>ne</c>).</summary>
    public required IReadOnlyList<long> Dimensions { get; init; }

    /// <summary>Offset of the data from the start of the file. In the file itself it counts from the start of the tensor data.</summary>
    public required long Offset { get; init; }

    /// <summary>Number of elements: the product of the dimensions.</summary>
    public required long ElementCount { get; init; }

    /// <summary>Size of the data in bytes.</summary>
    public long SizeBytes => Type.BytesOf(ElementCount);
}
