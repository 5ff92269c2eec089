using Shimmy.Worker.Media;
using Shimmy.Worker.Native;
using Shimmy.Worker.Sequences;

namespace Shimmy.Worker.Prefixes;

/// <summary>
/// The state of a sequence behind its tokens, as llama.cpp wrote it: a whole one, which an empty sequence can be made from, or a
/// checkpoint. That is only what cannot be cut, so it is small, and is used beside cells of the same tokens.
/// </summary>
/// <param name="tokens">The tokens that were computed.</param>
/// <param name="media">The media among them.</param>
/// <param name="key">Who may take them over.</param>
/// <param name="buffer">The state.</param>
internal sealed class SavedState(int[] tokens, MediaSpan[] media, PrefixKey key, StateBuffer buffer) : IDisposable
{
    /// <summary>The tokens that were computed.</summary>
    public ReadOnlySpan<int> Tokens => tokens;

    /// <summary>Their number.</summary>
    public int Length => tokens.Length;

    /// <summary>The media among them.</summary>
    public IReadOnlyList<MediaSpan> Media => media;

    /// <summary>The API key and adapters that may reuse it.</summary>
    public PrefixKey Key => key;

    /// <summary>The state.</summary>
    public StateBuffer Buffer => buffer;

    /// <summary>Bytes that it takes in memory.</summary>
    public long Bytes => BytesOf(buffer.Length, tokens.Length);

    /// <summary>Bytes that a state of so many tokens takes in memory, which are so many bytes of llama.cpp's.</summary>
    public static long BytesOf(long state, int tokens) => state + (sizeof(int) * (long)tokens);

    /// <summary>Whether it is a checkpoint.</summary>
    public bool IsCheckpoint { get; init; }

    /// <summary>The first position that all layers hold: behind the beginning where windows have slid.</summary>
    public int FirstPosition { get; init; }

    /// <summary>Its file; null where it has none.</summary>
    public StateEntry? File { get; set; }

    /// <summary>Whether it was read from its file and not used since.</summary>
    public bool IsFromDisk { get; set; }

    /// <summary>When it was used last, as a counter of uses.</summary>
    public long LastUsed { get; set; }

    /// <inheritdoc/>
    public void Dispose() => buffer.Dispose();
}

/// <summary>A prefix of a prompt that need not be computed, and where it is.</summary>
/// <param name="Length">Its tokens; 0 where there is none.</param>
/// <param name="Source">The slot whose cells hold it; null where none does.</param>
/// <param name="Whole">The state that it is made from, where no slot holds it.</param>
/// <param name="Checkpoint">The state of what cannot be cut, at exactly this length; null where none is needed.</param>
internal readonly record struct Prefix(int Length, Slot? Source = null, SavedState? Whole = null, SavedState? Checkpoint = null)
{
    /// <summary>Where it comes from, for the metrics.</summary>
    public PrefixOrigin Origin => (Whole ?? Checkpoint) is { IsFromDisk: true } ? PrefixOrigin.Disk
        : Whole is not null ? PrefixOrigin.Memory
        : Checkpoint is not null ? PrefixOrigin.Checkpoint
        : PrefixOrigin.Cells;
}

/// <summary>Where a prefix that was not computed again came from.</summary>
internal enum PrefixOrigin
{
    /// <summary>The cells of a slot.</summary>
    Cells,

    /// <summary>A checkpoint, with or without cells of a slot.</summary>
    Checkpoint,

    /// <summary>The store in memory.</summary>
    Memory,

    /// <summary>The store on disk.</summary>
    Disk,
}
