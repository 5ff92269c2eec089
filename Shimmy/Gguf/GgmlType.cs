namespace Shimmy.Gguf;

/// <summary>
/// Element types of tensors, with the numbers of ggml_type (ggml.h of llama.cpp v0.4.0). ggml has withdrawn the missing numbers.
/// </summary>
internal enum GgmlType
{
#pragma warning disable CS1591 // The names are ggml's own.
    F32 = 0,
    F16 = 1,
    Q4_0 = 2,
    Q4_1 = 3,
    Q5_0 = 6,
    Q5_1 = 7,
    Q8_0 = 8,
    Q8_1 = 9,
    Q2_K = 10,
    Q3_K = 11,
    Q4_K = 12,
    Q5_K = 13,
    Q6_K = 14,
    Q8_K = 15,
    IQ2_XXS = 16,
    IQ2_XS = 17,
    IQ3_XXS = 18,
    IQ1_S = 19,
    IQ4_NL = 20,
    IQ3_S = 21,
    IQ2_S = 22,
    IQ4_XS = 23,
    I8 = 24,
    I16 = 25,
    I32 = 26,
    I64 = 27,
    F64 = 28,
    IQ1_M = 29,
    BF16 = 30,
    TQ1_0 = 34,
    TQ2_0 = 35,
    MXFP4 = 39,
    NVFP4 = 40,
    Q1_0 = 41,
    Q2_0 = 42,
#pragma warning restore CS1591
}

/// <summary>
/// Block layout of each element type: elements and bytes per block, as ggml_blck_size and ggml_type_size return them.
/// </summary>
internal static class GgmlTypes
{
    // Indexed by the type's number; 0 for a number that ggml has withdrawn.
    private static ReadOnlySpan<ushort> BlockElements =>
    [
        1, 1, 32, 32, 0, 0, 32, 32, 32, 32, 256, 256, 256, 256, 256, 256, 256, 256, 256, 256, 32, 256, 256, 256, 1, 1, 1, 1, 1,
            256, 1,
        0, 0, 0, 256, 256, 0, 0, 0, 32, 64, 128, 64,
    ];

    private static ReadOnlySpan<ushort> BlockBytes =>
    [
        4, 2, 18, 20, 0, 0, 22, 24, 34, 36, 84, 110, 144, 176, 210, 292, 66, 74, 98, 50, 18, 110, 82, 136, 1, 2, 4, 8, 8, 56, 2,
        0, 0, 0, 54, 66, 0, 0, 0, 17, 36, 18, 18,
    ];

    /// <summary>Whether the number is a type of ggml that is not withdrawn.</summary>
    public static bool IsKnown(uint number) => number < (uint)BlockElements.Length && BlockElements[(int)number] != 0;

    /// <summary>Elements that are quantized together; 1 for types that are not quantized.</summary>
    public static int ElementsPerBlock(this GgmlType type) => BlockElements[(int)type];

    /// <summary>Size of one block in bytes, scales included.</summary>
    public static int BytesPerBlock(this GgmlType type) => BlockBytes[(int)type];

    /// <summary>
    /// Size of elements in bytes; their number must be a multiple of the block. Throws <see cref="OverflowException"/> above 2^63 - 1.
    /// </summary>
    public static long BytesOf(this GgmlType type, long elements) =>
        checked(elements / type.ElementsPerBlock() * type.BytesPerBlock());
}
