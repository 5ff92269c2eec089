using Shimmy.Worker.Media;
using Shimmy.Worker.Model;

namespace Shimmy.Worker.Sequences;

/// <summary>
/// A sequence id of the context with the content of its KV cells, which stays after a request as a prefix for later ones.
/// </summary>
internal sealed class Slot(int id)
{
    /// <summary>llama.cpp's sequence id.</summary>
    public int Id { get; } = id;

    /// <summary>The tokens computed into this slot's cells, in order.</summary>
    public List<int> Tokens { get; } = [];

    /// <summary>A number for each cell that <see cref="Tokens"/> occupy; slots that share a cell have the same number.</summary>
    public List<long> Cells { get; } = [];

    /// <summary>The media among <see cref="Tokens"/>; the last may be computed in part.</summary>
    public List<MediaSpan> Media { get; } = [];

    /// <summary>The adapters that <see cref="Tokens"/> were computed with; null before the first.</summary>
    public AdapterSet? Adapters { get; set; }

    /// <summary>The sequence that runs here; null where the slot is idle.</summary>
    public Sequence? Owner { get; set; }

    /// <summary>When the slot was last released, as a counter of releases.</summary>
    public long LastUsed { get; set; }

    /// <summary>Tokens that it had when they were last written down; 0 where they were not.</summary>
    public int PutAway { get; set; }

    /// <summary>Length of the longest prefix of the tokens that this slot holds, at most <paramref name="limit"/>.</summary>
    public int CommonPrefix(ReadOnlySpan<int> tokens, int limit) =>
        System.Runtime.InteropServices.CollectionsMarshal.AsSpan(Tokens).CommonPrefixLength(tokens[..Math.Min(limit, tokens.Length)]);

    /// <summary>llama.cpp's position of the token at an index, or behind the last.</summary>
    public int PositionAt(int index) => Media.Count == 0 ? index : MediaSpan.PositionAt(index, Media);

    /// <summary>Removes all but the first tokens; the caller frees the cells in llama.cpp.</summary>
    public void Truncate(int length)
    {
        PutAway = 0;
        Tokens.RemoveRange(length, Tokens.Count - length);
        Cells.RemoveRange(length, Cells.Count - length);
        Media.RemoveAll(span => span.Start >= length);
    }
}
