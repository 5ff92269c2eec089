using System.Runtime.InteropServices;
using Shimmy.Worker.Media;
using Shimmy.Worker.Model;
using Shimmy.Worker.Native;
using Shimmy.Worker.Sequences;

namespace Shimmy.Worker.Prefixes;

/// <summary>
/// The slots, and the reuse of prompt prefixes among them. All sequences share one pool of KV cells (kv_unified), so taking over a prefix
/// marks its cells as belonging to another sequence and computes nothing.
/// </summary>
internal sealed class PrefixCache(ContextHandle context, ModelHandle model, int slots)
{
    // Recurrent state exists at the end of a sequence only, so it can be taken over whole or not at all.
    private readonly bool _wholeOnly = model.HasRecurrentState;
    private readonly int _slidingWindow = model.SlidingWindow;
    private long _nextCell;
    private long _turn;

    public IReadOnlyList<Slot> Slots { get; } = Enumerable.Range(0, slots).Select(id => new Slot(id)).ToArray();

    /// <summary>Idle prefixes dropped for want of cells.</summary>
    public long Dropped { get; private set; }

    public bool HasIdleSlot => Slots.Any(slot => slot.Owner is null);

    /// <summary>Cells in use; shared ones count once.</summary>
    public int CellsUsed => Slots.SelectMany(slot => slot.Cells).Distinct().Count();

    /// <summary>Whether the last cells of a sequence can be removed.</summary>
    public bool CanCut => !_wholeOnly;

    /// <summary>
    /// The slot whose cells, computed with the same adapters, share the longest prefix with the sequence, and its usable length; busy slots
    /// included. A medium is taken over whole or not at all.
    /// </summary>
    public (Slot? Source, int Length) Longest(Sequence sequence)
    {
        (Slot? Source, int Length) best = (null, 0);
        var tokens = sequence.Tokens;
        foreach (var slot in Slots)
        {
            if (!sequence.Adapters.Equals(slot.Adapters))
                continue;
            // The last token is always computed again: its logits are needed.
            var length = MediaSpan.WholeUpTo(slot.CommonPrefix(tokens, tokens.Length - 1), sequence.Media);
            if (_wholeOnly && length != slot.Tokens.Count)
                length = 0;
            // Among equals an idle slot is better: nothing needs to be copied.
            if (length > best.Length || (length == best.Length && length > 0 && best.Source!.Owner is not null && slot.Owner is null))
                best = (slot, length);
        }
        return best;
    }

    /// <summary>
    /// The idle slot that a sequence should run in: the source itself where it is idle and little of it would be lost, else an
    /// empty one, else the one that was unused the longest.
    /// </summary>
    public Slot ChooseIdle(Slot? source, int length)
    {
        if (source is { Owner: null } && 2 * length >= source.Tokens.Count)
            return source;
        var idle = Slots.Where(slot => slot.Owner is null).ToArray();
        return idle.Where(slot => slot != source).OrderBy(slot => slot.Tokens.Count > 0).ThenBy(slot => slot.LastUsed).FirstOrDefault()
            ?? idle[0];
    }

    /// <summary>
    /// Makes the target hold the source's first tokens and no others. Returns how many it holds then: 0 where they cannot be taken over.
    /// </summary>
    public int TakeOver(Slot? source, Slot target, int length, AdapterSet adapters)
    {
        if (source == target && length > 0)
        {
            if (length < target.Tokens.Count)
            {
                if (!context.RemoveCells(target.Id, target.PositionAt(length)))
                    return Clear(target);
                target.Truncate(length);
            }
            return Usable(target) ? length : Clear(target);
        }
        Clear(target);
        target.Adapters = adapters;
        if (source is null || length == 0 || (_wholeOnly && length != source.Tokens.Count))
            return 0;
        if (_wholeOnly)
            context.ShareCells(source.Id, target.Id);
        else
            context.ShareCells(source.Id, target.Id, source.PositionAt(length));
        target.Tokens.AddRange(CollectionsMarshal.AsSpan(source.Tokens)[..length]);
        target.Cells.AddRange(CollectionsMarshal.AsSpan(source.Cells)[..length]);
        target.Media.AddRange(source.Media.Where(span => span.End <= length));
        return Usable(target) ? length : Clear(target);
    }

    /// <summary>Notes that a token of the slot's sequence has been computed.</summary>
    public void Computed(Slot slot, int token)
    {
        slot.Tokens.Add(token);
        slot.Cells.Add(_nextCell++);
    }

    /// <summary>Removes the cells behind the slot's tokens, those of drafted tokens that did not come.</summary>
    public void CutToTokens(Slot slot) => context.RemoveCells(slot.Id, slot.PositionAt(slot.Tokens.Count));

    /// <summary>Frees the slot; its cells stay as a prefix for later requests.</summary>
    public void Release(Slot slot)
    {
        slot.Owner = null;
        slot.LastUsed = ++_turn;
    }

    /// <summary>Frees the cells of the idle slot that was unused the longest; false where there is none to free.</summary>
    public bool DropIdle()
    {
        var oldest = Slots.Where(slot => slot.Owner is null && slot.Tokens.Count > 0).MinBy(slot => slot.LastUsed);
        if (oldest is null)
            return false;
        Clear(oldest);
        Dropped++;
        return true;
    }

    /// <summary>Empties one slot.</summary>
    public int Clear(Slot slot)
    {
        context.RemoveCells(slot.Id);
        slot.Truncate(0);
        return 0;
    }

    /// <summary>Empties all slots, after an error that leaves the memory in doubt.</summary>
    public void ClearAll()
    {
        context.ClearCells();
        foreach (var slot in Slots)
            slot.Truncate(0);
    }

    // A sliding window forgets old cells. The next token looks back one window, so all of it must still be there; llama.cpp's server
    // draws the line in the same way.
    private bool Usable(Slot slot) =>
        _slidingWindow <= 0
        || context.FirstPosition(slot.Id) <= Math.Max(0, slot.PositionAt(slot.Tokens.Count) - _slidingWindow);
}
