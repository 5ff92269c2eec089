namespace Shimmy.Engine;

/// <summary>How attention is computed where nobody says it.</summary>
internal static class AttentionChoice
{
    /// <summary>
    /// Most tokens in one step of plain attention: its scores take a number for each of them, each cell and each head, and a model with small
    /// heads is no slower for it.
    /// </summary>
    public const int PlainMicroBatch = 64;

    // Below it, ggml's fused attention on a CPU spends more on each head's row than on its numbers: measured with 32, one token takes up to
    // twice as long, nine take three times as long; with 64 there is no difference.
    private const int SmallestFusedHead = 64;

    /// <summary>
    /// As asked for, else plain where that is faster, else as llama.cpp chooses. Values that are quantized need the fused one.
    /// </summary>
    /// <param name="tuning">What is asked for.</param>
    /// <param name="headSize">Elements of one head's key.</param>
    /// <param name="usesGpu">Whether layers are on a GPU.</param>
    public static FlashAttention Of(LoadTuning tuning, long headSize, bool usesGpu) =>
        tuning.FlashAttention is { } asked and not FlashAttention.Auto ? asked
            : IsPlainFaster(headSize, usesGpu) && (tuning.CacheTypeV is null or CacheType.F16 or CacheType.F32 or CacheType.Bf16) ? FlashAttention.Off
            : FlashAttention.Auto;

    /// <summary>Whether the heads are so small, and on a CPU, that plain attention is faster.</summary>
    public static bool IsPlainFaster(long headSize, bool usesGpu) => !usesGpu && headSize < SmallestFusedHead;
}
