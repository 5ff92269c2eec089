namespace Shimmy.Engine.Memory;

/// <summary>
/// The default number of KV cells of a model: a full context for each slot where the cells beyond the first context cost at most 1 GiB,
/// else as many cells as 1 GiB holds, and at least one context.
/// </summary>
internal static class CellCount
{
    private const long ExtraBytes = 1L << 30;
    private const int BytesOfHalf = 2;

    /// <summary>The number of cells, at least <paramref name="contextLength"/>.</summary>
    /// <param name="contextLength">Tokens that one request may use.</param>
    /// <param name="slots">Sequences that are decoded at once.</param>
    /// <param name="bytesPerCell">What <see cref="BytesPerCell"/> says.</param>
    public static long Of(long contextLength, int slots, long bytesPerCell) =>
        Math.Clamp(ExtraBytes / Math.Max(1, bytesPerCell), contextLength, contextLength * Math.Max(1, slots));

    /// <summary>
    /// Bytes of one cell: keys and values of every layer in f16, all layers alike. Models with heads of other sizes, and other types of
    /// cache, come out a little off, which changes the number of cells and nothing else.
    /// </summary>
    /// <param name="headSize">Elements of one head: width of the embeddings divided by the query heads.</param>
    /// <param name="keyValueHeads">Heads of keys and values in a layer.</param>
    /// <param name="layers">Layers.</param>
    public static long BytesPerCell(long headSize, long keyValueHeads, long layers) => 2 * BytesOfHalf * headSize * keyValueHeads * layers;
}
