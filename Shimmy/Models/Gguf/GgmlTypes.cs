namespace Shimmy.Models.Gguf;

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
