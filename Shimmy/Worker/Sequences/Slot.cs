using Shimmy.Engine;
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

    /// <summary>The media among <see cref="Tokens"/>, as <see cref="MediaSpan.Computed"/>; the last may be computed in part.</summary>
    public List<MediaSpan> Media { get; } = [];

    /// <summary>The key that a request must have to take <see cref="Tokens"/> over; null before the first.</summary>
    public PrefixKey? Key { get; set; }

    /// <summary>The sequence that runs here; null where the slot is idle.</summary>
    public Sequence? Owner { get; set; }

    /// <summary>Tokens of the prompt that was computed here last; what follows is its answer.</summary>
    public int PromptLength { get; set; }

    /// <summary>Whether the last request asked for this slot by its number; what it leaves behind is expected here.</summary>
    public bool IsNumbered { get; set; }

    /// <summary>When the slot was last released, as a counter of releases.</summary>
    public long LastUsed { get; set; }

    /// <summary>Tokens that it had when they were last written down; 0 where they were not.</summary>
    public int SavedLength { get; set; }

    /// <summary>Whether all of it is written down, or runs.</summary>
    public bool IsSaved => Owner is not null || SavedLength == Tokens.Count;

    /// <summary>How many of the tokens that were here when this was set last are here still.</summary>
    public int Unchanged { get; set; }

    /// <summary>Length of the longest prefix of the tokens that this slot holds, at most <paramref name="limit"/>.</summary>
    public int CommonPrefix(ReadOnlySpan<int> tokens, int limit) =>
        System.Runtime.InteropServices.CollectionsMarshal.AsSpan(Tokens).CommonPrefixLength(tokens[..Math.Min(limit, tokens.Length)]);

    /// <summary>The slot as llama-server's <c>/slots</c> reports it.</summary>
    public SlotState ToState() => new(Id, Owner?.RequestId ?? 0, Tokens.Count, Owner?.PromptLength ?? 0, Owner?.Generated ?? 0,
        Owner is { } owner ? owner.MaxTokens - owner.Generated : 0, LastUsed > 0 || Owner is not null);

    /// <summary>llama.cpp's position of the token at an index, or behind the last.</summary>
    public int PositionAt(int index) => Media.Count == 0 ? index : MediaSpan.PositionAt(index, Media);

    /// <summary>Removes all but the first tokens; the caller frees the cells in llama.cpp.</summary>
    public void Truncate(int length)
    {
        SavedLength = 0;
        Unchanged = Math.Min(Unchanged, length);
        Tokens.RemoveRange(length, Tokens.Count - length);
        Cells.RemoveRange(length, Cells.Count - length);
        Media.RemoveAll(span => span.Start >= length);
    }
}

/// <summary>The adapters and the client that a prefix and a request must have in common for the request to take it over.</summary>
/// <param name="Adapters">The adapters that act.</param>
/// <param name="Client">The client whose requests share prefixes; empty where all clients do.</param>
internal sealed record PrefixKey(AdapterSet Adapters, string Client)
{
    /// <summary>Whether a request with another key may take over what has this one.</summary>
    public bool Serves(PrefixKey request) => Equals(request);
}
