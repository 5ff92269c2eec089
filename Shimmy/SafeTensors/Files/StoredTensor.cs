using Shimmy.Gguf;

namespace Shimmy.SafeTensors.Files;

/// <summary>A tensor of a SafeTensors file: what its header says, checked against the file's length.</summary>
/// <param name="File">Path of the file.</param>
/// <param name="Name">Name, as stored.</param>
/// <param name="Type">The element type as the format spells it: "BF16", "F32", "I64" …</param>
/// <param name="Shape">Dimensions, the slowest first (row-major); empty for a scalar.</param>
/// <param name="Offset">Where the data begins, in bytes from the start of the file.</param>
/// <param name="Length">Length of the data in bytes.</param>
internal sealed record StoredTensor(string File, string Name, string Type, long[] Shape, long Offset, long Length)
{
    /// <summary>Number of elements.</summary>
    public long Elements => Product(Shape);

    /// <summary>The element type in ggml's terms; null for one that weights are not read from (integers, eight-bit floats).</summary>
    public GgmlType? Weights => Type switch
    {
        "F32" => GgmlType.F32,
        "F16" => GgmlType.F16,
        "BF16" => GgmlType.BF16,
        _ => null,
    };

    /// <summary>The shape as people write it: [2, 64].</summary>
    public static string Shown(IEnumerable<long> shape) => $"[{string.Join(", ", shape)}]";

    /// <summary>The product of dimensions; throws <see cref="OverflowException"/> above 2^63 - 1.</summary>
    public static long Product(ReadOnlySpan<long> shape)
    {
        long product = 1;
        foreach (var dimension in shape)
            product = checked(product * dimension);

        return product;
    }
}
