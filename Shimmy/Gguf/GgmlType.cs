namespace Shimmy.Gguf;

/// <summary>
/// Types of tensor elements, with ggml's numbers (ggml.h of llama.cpp v0.4.0). Numbers that are missing were withdrawn by ggml.
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
/// How elements of each type are packed: elements a block and bytes a block, as ggml_blck_size and ggml_type_size give them.
/// </summary>
internal static class GgmlTypes
{
    // Index is the type's number; a zero block marks a number that ggml has withdrawn.
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

    /// <summary>Whether ggml knows a type of this number.</summary>
    public static bool IsKnown(uint number) => number < (uint)BlockElements.Length && BlockElements[(int)number] != 0;

    /// <summary>Elements that are packed together.</summary>
    public static int ElementsPerBlock(this GgmlType type) => BlockElements[(int)type];

    /// <summary>Bytes of one block.</summary>
    public static int BytesPerBlock(this GgmlType type) => BlockBytes[(int)type];

    /// <summary>Bytes of a run of elements, which must be whole blocks.</summary>
    public static long BytesOf(this GgmlType type, long elements) =>
        checked(elements / type.ElementsPerBlock() * type.BytesPerBlock());
}
