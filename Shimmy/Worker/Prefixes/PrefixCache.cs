using System.Runtime.InteropServices;
using Shimmy.Engine;
using Shimmy.Worker.Media;
using Shimmy.Worker.Model;
using Shimmy.Worker.Native;
using Shimmy.Worker.Sequences;

namespace Shimmy.Worker.Prefixes;

/// <summary>
/// The slots, and the reuse of prompt prefixes: of cells, which all sequences share in one pool (kv_unified), so that taking them over
/// computes nothing; and of states in the host's memory, where cells cannot be cut or were needed for something else.
/// <code>
///                      share, or cut to the prefix
///   cells of a slot ─────────────────────────────────► cells of the slot that runs ──► prefill what is left ──► generate
///        │   ▲                                                 ▲                             │
///        │   │ restore                                         │ restore as well             │ TakeCheckpoint: what cannot be cut
///        ▼   │                                                 │                             ▼
///   SaveState: whole state ──────────────────────────► PrefixStore (memory) ◄──────────── checkpoint
///                                                              │ ▲
///                                                              ▼ │ Keep, read before a request is admitted
///                                                        StateFolder (disk)
/// </code>
/// </summary>
internal sealed class PrefixCache
{
    // A state that is brought back costs a turn; so few tokens are computed instead.
    private const int ShortestRestore = 64;

    private const int ShortestPeriod = 256; // tokens between regular checkpoints

    // What may be of use or not is saved where computing takes so many times as long.
    private const int TimesDearer = 10;

    // Cells of an idle slot, or of several short ones together, that are worth to be cleared away: llama.cpp goes through cells 256 at a
    // time. Where a sequence lies changes the last digits of what it computes, so that not every short prompt is to move others.
    private const int LeastToClear = 256;
    private const int LeastTogether = 1024;

    // Tokens of an answer that are counted on, of which nobody knows how long it gets.
    private const int LeastAnswer = 64;

    // Of the memory of states so many parts are for logits.
    private const int ShareOfEnds = 16;

    // A state was of use not long ago if no more uses of others lie between, for each slot.
    private const int RecentUses = 16;

    // Of the memory of states so many parts may wait to be written, which hold their memory until then.
    private const int ShareOfWaiting = 4;

    private readonly ContextHandle _context;
    private readonly PrefixStore _store;
    private readonly StateCopies _copies;

    // Recurrent state exists at the end of a sequence only, so it can be taken over whole, or from a checkpoint, or not at all.
    private readonly bool _wholeOnly;
    private readonly bool _recurrentOnly;
    private readonly int _slidingWindow;
    private readonly bool _clearsWay;
    private readonly int _period;
    private readonly Action<string> _warn;
    private long _nextCell;
    private long _turn;
    private bool _toldOfSize;

    /// <param name="context">The context.</param>
    /// <param name="model">Its model.</param>
    /// <param name="slots">Sequences at once.</param>
    /// <param name="memory">Bytes of states in the host's memory; 0 keeps none.</param>
    /// <param name="clearsWay">Whether cells of idle slots slow down all others enough to be moved to the host's memory.</param>
    /// <param name="warn">Receives what the user is to know.</param>
    /// <param name="folder">
    /// Makes the folder in which states survive the worker, from whether they are cut at checkpoints and how many bytes may wait; null
    /// keeps none there.
    /// </param>
    public PrefixCache(ContextHandle context, ModelHandle model, int slots, long memory, bool clearsWay, Action<string> warn,
        Func<bool, long, StateFolder>? folder)
    {
        _warn = warn;
        _context = context;
        _wholeOnly = model.HasRecurrentState;
        _recurrentOnly = model.IsRecurrentOnly;
        _slidingWindow = model.SlidingWindow;
        _period = Math.Max(ShortestPeriod, context.MicroBatchSize);
        _store = new PrefixStore(RuntimeLibraries.HasStates ? memory - (memory / ShareOfEnds) : 0);
        Ends = new PromptLogitsCache(memory / ShareOfEnds);
        var files = _store.LargestState > 0 ? folder?.Invoke(NeedsCheckpoints, memory / ShareOfWaiting) : null;
        if (folder is not null && files is null)
        {
            warn("--prefix-store has no effect: " + (RuntimeLibraries.HasStates
                ? "the memory budget leaves no memory for states of prompts (--prefix-memory, --memory-budget)"
                : "this runtime cannot write states of prompts down"));
        }
        Slots = [.. Enumerable.Range(0, slots).Select(id => new Slot(id))];
        if (!_recurrentOnly)
            _store.Holder = checkpoint => Slots.Any(slot => slot.CommonPrefix(checkpoint.Tokens, checkpoint.Length) == checkpoint.Length);
        _copies = new StateCopies(context, _store, files, _slidingWindow);
        Writing = files is null ? null : new StateWriting(Slots, _store, files, SaveState);
        // Recurrent layers compute past no cells.
        _clearsWay = clearsWay && !_recurrentOnly && _store.LargestState > 0;
    }

    public IReadOnlyList<Slot> Slots { get; }

    /// <summary>Idle prefixes dropped for want of cells.</summary>
    public long Dropped { get; private set; }

    /// <summary>The states in the host's memory.</summary>
    public PrefixStore Store => _store;

    /// <summary>The logits behind prompts.</summary>
    public PromptLogitsCache Ends { get; }

    /// <summary>Writes states to disk; null where none are kept there.</summary>
    public StateWriting? Writing { get; }

    /// <summary>Whether all that there is to be written is in its file, or cannot be written.</summary>
    public bool IsWrittenDown => Writing is not { IsDone: false };

    /// <summary>Whether NaN may be in the memory, which passes from masked cells to all: no state is kept until it is cleared.</summary>
    public bool IsBroken { get; set; }

    public bool HasIdleSlot => Slots.Any(slot => slot.Owner is null);

    /// <summary>Cells in use; shared ones count once.</summary>
    public int CellsUsed => CellsOf(Slots);
    private static int CellsOf(IEnumerable<Slot> slots) => slots.SelectMany(slot => slot.Cells).Distinct().Count();

    /// <summary>Whether the last cells of a sequence can be removed.</summary>
    public bool CanCut => !_wholeOnly;

    /// <summary>Whether a sequence can be made from a state alone, without cells of the same tokens.</summary>
    public bool Serves(SavedState state) => !state.IsCheckpoint || _recurrentOnly;

    // Whether what is behind a prefix cannot always be cut off.
    private bool NeedsCheckpoints => _wholeOnly || _slidingWindow > 0;

    /// <summary>
    /// The longest prefix of a sequence that is computed already, under the same key: in the cells of a slot, busy ones included, or
    /// made from a state. A medium is taken over whole or not at all.
    /// </summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="secondsPerToken">Time to compute a token of a prompt; 0 where it is not known yet.</param>
    public Prefix Longest(Sequence sequence, double secondsPerToken)
    {
        var best = default(Prefix);
        var tokens = Reusable(sequence);
        foreach (var slot in Slots)
        {
            var found = LongestIn(slot, sequence, tokens);
            // Among equals an idle slot is better: nothing needs to be copied.
            if (found.Length > best.Length
                || (found.Length == best.Length && found.Length > 0 && best.Source!.Owner is not null && slot.Owner is null))
            {
                best = found;
            }
        }
        if (_recurrentOnly && _store.LongestCheckpoint(tokens, sequence.Key, tokens.Length) is { } alone && alone.Length > best.Length)
            best = new Prefix(alone.Length, Checkpoint: alone);
        foreach (var (state, shared) in _store.Wholes(tokens, sequence.Key))
        {
            var common = MediaSpan.WholeUpTo(shared, sequence.Media);
            var found = Reach(common, state.Length, () => state.FirstPosition, tokens, sequence) with { Whole = state };
            var gain = found.Length - best.Length;
            if (gain >= ShortestRestore && (secondsPerToken <= 0 || gain * secondsPerToken > _copies.SecondsFor(state.Bytes)))
                best = found;
        }
        return best;
    }

    // The last token is computed again for its logits, unless they are kept.
    private ReadOnlySpan<int> Reusable(Sequence sequence) =>
        Ends.Of(sequence.Tokens, sequence.Key) is null ? sequence.Tokens[..^1] : sequence.Tokens;

    // How far a prefix can be taken over from cells, or a state of cells, that share so many tokens with the sequence.
    private Prefix Reach(int common, int held, Func<int> firstPosition, ReadOnlySpan<int> tokens, Sequence sequence)
    {
        if (common == 0 || common == held || !NeedsCheckpoints)
            return new Prefix(common);
        if (!_wholeOnly && firstPosition() <= _copies.FirstSeen(MediaSpan.PositionAt(common, sequence.Media)))
            return new Prefix(common);
        return _store.LongestCheckpoint(tokens, sequence.Key, common) is { } checkpoint
            ? new Prefix(checkpoint.Length, Checkpoint: checkpoint)
            : default;
    }

    /// <summary>The slot that a request asks for by its number, which is counted round; null where it asks for none.</summary>
    public Slot? Wished(Sequence sequence) => sequence.Options.Slot is { } id ? Slots[id % Slots.Count] : null;

    /// <summary>The prefix that one slot shares with the sequence, as far as it can be taken over.</summary>
    public Prefix LongestIn(Slot slot, Sequence sequence) => LongestIn(slot, sequence, Reusable(sequence));

    private Prefix LongestIn(Slot slot, Sequence sequence, ReadOnlySpan<int> tokens)
    {
        if (slot.Key?.Serves(sequence.Key) != true)
            return default;
        var common = MediaSpan.WholeUpTo(slot.CommonPrefix(tokens, tokens.Length), sequence.Media);
        return Reach(common, slot.Tokens.Count, () => _context.FirstPosition(slot.Id), tokens, sequence) with { Source = slot };
    }

    /// <summary>Makes the slot hold these tokens, whose cells were read from a file.</summary>
    public void Restored(Slot slot, IReadOnlyList<int> tokens, PrefixKey key)
    {
        slot.Truncate(0);
        slot.Key = key;
        foreach (var token in tokens)
            Computed(slot, token);
        (slot.PromptLength, slot.IsNumbered) = (tokens.Count, true);
        slot.LastUsed = ++_turn;
    }

    /// <summary>
    /// The idle slot that a sequence should run in: the source itself where it is idle and little of it would be lost, else an
    /// empty one, else the one that was unused the longest.
    /// </summary>
    public Slot ChooseIdle(Prefix prefix)
    {
        if (prefix.Source is { Owner: null } source && 2 * prefix.Length >= source.Tokens.Count)
            return source;
        var idle = Slots.Where(slot => slot.Owner is null).ToArray();
        return idle.Where(slot => slot != prefix.Source).OrderBy(slot => slot.Tokens.Count > 0).ThenBy(slot => slot.LastUsed)
            .FirstOrDefault() ?? idle[0];
    }

    /// <summary>
    /// Makes the target hold a prefix of a sequence and nothing else. Returns how many tokens it holds then: 0 where the prefix cannot be
    /// taken over.
    /// </summary>
    /// <param name="prefix">The prefix.</param>
    /// <param name="target">An idle slot, or the one in which the sequence runs.</param>
    /// <param name="sequence">The sequence.</param>
    /// <param name="secondsPerToken">Time to compute a token of a prompt; 0 where it is not known yet.</param>
    /// <param name="isAlone">Whether no other sequence waits that may want what idle slots hold.</param>
    public int TakeOver(Prefix prefix, Slot target, Sequence sequence, double secondsPerToken, bool isAlone)
    {
        var (length, source, whole, checkpoint) = prefix;
        using var kept = _store.Protect(whole, checkpoint);
        if (source == target && length > 0)
        {
            KeepTail(target, length, secondsPerToken);
            if (isAlone)
                ClearWay(source, target, sequence, length, secondsPerToken);
            if (checkpoint is not null
                && !_copies.Restore(target, StateParts.Uncuttable, checkpoint, OthersRun(target), () => DropIdle(target)))
            {
                return Clear(target);
            }
            if (length < target.Tokens.Count)
            {
                if (!_context.RemoveCells(target.Id, target.PositionAt(length)))
                    return Clear(target);
                target.Truncate(length);
            }
            return Usable(target) ? length : Clear(target);
        }
        SaveState(target);
        Clear(target);
        if (isAlone)
            ClearWay(source, target, sequence, length, secondsPerToken);
        target.Key = sequence.Key;
        return whole is not null && !FreeCells(whole.Length) ? 0 : Fill(target, prefix, sequence);
    }

    // What a slot holds of a prompt behind the prefix that goes on is saved before it is cut, if it takes much longer to compute again.
    // The state of recurrent layers alone is of no use for that: it is of the answer's end.
    private void KeepTail(Slot slot, int length, double secondsPerToken)
    {
        var end = Math.Min(slot.PromptLength, slot.Tokens.Count);
        if (end <= length || secondsPerToken <= 0 || _recurrentOnly || _store.LargestState == 0)
            return;
        // Of a window, later states of the slot have the last tokens alone: they can be cut at a checkpoint.
        var kept = NeedsCheckpoints
            ? _store.LongestCheckpoint(CollectionsMarshal.AsSpan(slot.Tokens), slot.Key!, length)?.Length ?? 0
            : length;
        if ((end - kept) * secondsPerToken > TimesDearer * CopyTime(slot))
            SaveState(slot, evictsRecent: false);
    }

    // Each token is computed past the cells of idle slots as well, up to the last cell in use. Those that nobody shares leave for the
    // sequence, while that takes a small part of the time that the sequence itself will.
    private void ClearWay(Slot? source, Slot target, Sequence sequence, int cached, double secondsPerToken)
    {
        if (!_clearsWay)
            return;
        var idle = Slots.Where(slot => slot.Owner is null && slot != source && slot != target && !slot.IsNumbered
            && slot.Tokens.Count >= CheckpointPlan.ShortestStep
            && SharedCells(slot) < Math.Min(LeastToClear, slot.Tokens.Count / 2)).ToArray();
        if (idle.Sum(slot => slot.Tokens.Count) < LeastTogether && !idle.Any(slot => slot.Tokens.Count >= LeastToClear))
            return;
        var time = (sequence.Tokens.Length - cached + Math.Min(sequence.MaxTokens, LeastAnswer)) * secondsPerToken / TimesDearer;
        foreach (var slot in idle.OrderBy(slot => slot.LastUsed))
        {
            var cost = CopyTime(slot);
            if (cost <= time && SaveState(slot, evictsRecent: false))
            {
                time -= cost;
                Clear(slot);
            }
        }
    }

    private double CopyTime(Slot slot) => _copies.SecondsFor(_context.StateSize(slot.Id, StateParts.Whole));

    private int SharedCells(Slot slot)
    {
        var cells = CollectionsMarshal.AsSpan(slot.Cells);
        var most = 0;
        foreach (var other in Slots.Where(other => other != slot))
            most = Math.Max(most, cells.CommonPrefixLength(CollectionsMarshal.AsSpan(other.Cells)));
        return most;
    }

    // Whether so many cells are free, now that idle prefixes have left for them.
    private bool FreeCells(int count)
    {
        while (_context.Cells - CellsUsed < count)
        {
            if (!DropIdle())
                return false;
        }
        return true;
    }

    private bool OthersRun(Slot target) => Slots.Any(slot => slot != target && slot.Owner is not null);

    private int Fill(Slot target, Prefix prefix, Sequence sequence)
    {
        var (length, source, whole, checkpoint) = prefix;
        if (length == 0 || (source is not null && _wholeOnly && checkpoint is null && length != source.Tokens.Count))
            return 0;
        var end = MediaSpan.PositionAt(length, sequence.Media);
        if (source is not null && _wholeOnly && checkpoint is null)
            _context.ShareCells(source.Id, target.Id);
        else if (source is not null)
            _context.ShareCells(source.Id, target.Id, end);
        if ((whole is not null && !_copies.Restore(target, StateParts.Whole, whole, OthersRun(target), () => DropIdle(target)))
            || (checkpoint is not null
                && !_copies.Restore(target, StateParts.Uncuttable, checkpoint, OthersRun(target), () => DropIdle(target, source)))
            || !_context.RemoveCells(target.Id, end))
        {
            return Clear(target);
        }
        target.Tokens.AddRange(sequence.Tokens[..length]);
        if (source is not null)
        {
            target.Cells.AddRange(CollectionsMarshal.AsSpan(source.Cells)[..length]);
        }
        else
        {
            for (var i = 0; i < length; i++)
                target.Cells.Add(_nextCell++);
        }
        target.Media.AddRange(sequence.Media.Where(span => span.End <= length).Select(span => span.Computed()));
        return Usable(target) ? length : Clear(target);
    }

    /// <summary>Notes that a token of the slot's sequence has been computed.</summary>
    public void Computed(Slot slot, int token)
    {
        slot.Tokens.Add(token);
        slot.Cells.Add(_nextCell++);
    }

    /// <summary>Removes the cells behind the slot's tokens, those of drafted tokens that did not come.</summary>
    public void CutToTokens(Slot slot) => _context.RemoveCells(slot.Id, slot.PositionAt(slot.Tokens.Count));

    /// <summary>Frees the slot; its cells stay as a prefix for later requests.</summary>
    public void Release(Slot slot)
    {
        if (slot.Owner is { } owner)
            (slot.PromptLength, slot.IsNumbered) = (owner.PromptLength, owner.Options.Slot is not null);
        slot.Owner = null;
        slot.LastUsed = ++_turn;
    }

    /// <summary>Frees the cells of the idle slot that was unused the longest; false where there is none to free.</summary>
    /// <param name="kept">A slot that keeps its cells.</param>
    /// <param name="source">Another.</param>
    public bool DropIdle(Slot? kept = null, Slot? source = null)
    {
        var oldest = Slots.Where(slot => slot.Owner is null && slot != kept && slot != source && slot.Tokens.Count > 0)
            .MinBy(slot => slot.LastUsed);
        if (oldest is null)
            return false;
        SaveState(oldest);
        Clear(oldest);
        Dropped++;
        return true;
    }

    /// <summary>Empties one slot.</summary>
    public int Clear(Slot slot)
    {
        _context.RemoveCells(slot.Id);
        slot.Truncate(0);
        return 0;
    }

    /// <summary>Empties all slots, after an error that leaves the memory in doubt; states go where it <see cref="IsBroken"/>.</summary>
    public void ClearAll()
    {
        _context.ClearCells(data: IsBroken);
        foreach (var slot in Slots)
            slot.Truncate(0);
        if (IsBroken)
            _store.RemoveAll(Writing?.Folder);
        IsBroken = false;
    }

    // Checkpoints

    /// <summary>The lengths at which checkpoints of a prompt are to be taken; none where its memory can be cut anyway.</summary>
    public int[] PlanCheckpoints(Sequence sequence, int cached, Vocabulary vocabulary) =>
        !NeedsCheckpoints || _store.LargestState == 0 || !sequence.Options.CachePrompt
            ? []
            : [.. CheckpointPlan.Of(sequence.Tokens[..sequence.PromptLength], cached, _period, vocabulary.IsControl,
                    token => vocabulary.Piece(token).Span.Trim(" \n\r\t"u8).IsEmpty)
                .Where(place => MediaSpan.WholeUpTo(place, sequence.Media) == place)];

    /// <summary>Takes a checkpoint behind the slot's last token.</summary>
    /// <param name="slot">The slot.</param>
    public void TakeCheckpoint(Slot slot)
    {
        var tokens = CollectionsMarshal.AsSpan(slot.Tokens);
        if (_store.Holds(tokens, slot.Key!, checkpoint: true, exactly: true))
            return;
        var size = _context.StateSize(slot.Id, StateParts.Uncuttable);
        // Regular places are few for large states.
        var regular = tokens.Length % _period == 0 && tokens.Length != slot.Owner?.PromptLength;
        if (size > (_recurrentOnly ? _store.LargestState : _store.LargestCheckpoint)
            || (regular && tokens.Length % CheckpointPlan.StepOf(_period, size) != 0))
        {
            return;
        }
        if (_copies.Save(slot, StateParts.Uncuttable, size) is { } state)
            _store.Add(state, replacesShorter: false);
    }

    // Whole states

    /// <summary>
    /// Copies an idle slot's state to the host's memory before its cells are taken, where it is worth that; while streams run, in a small
    /// part of their time. Whether it is there then.
    /// </summary>
    /// <param name="slot">The slot.</param>
    /// <param name="evictsRecent">Whether states may leave for it that were of use not long ago.</param>
    public bool SaveState(Slot slot, bool evictsRecent = true)
    {
        if (IsBroken || _store.LargestState == 0 || slot.Tokens.Count < CheckpointPlan.ShortestStep || slot.Key is not { } key)
            return false;
        if (slot.Media.Count > 0 && slot.Media[^1].End > slot.Tokens.Count)
            return false;
        if (_store.Holds(CollectionsMarshal.AsSpan(slot.Tokens), key, checkpoint: _recurrentOnly, exactly: NeedsCheckpoints))
            return true;
        var parts = _recurrentOnly ? StateParts.Uncuttable : StateParts.Whole;
        var size = _context.StateSize(slot.Id, parts);
        var spared = evictsRecent ? 0 : RecentUses * Slots.Count;
        var tokens = CollectionsMarshal.AsSpan(slot.Tokens);
        if (SavedState.BytesOf(size, tokens.Length) is var bytes && bytes > _store.LargestState)
            TellOfSize(tokens.Length, bytes);
        if (size <= 0 || !_store.HasRoom(tokens, key, size, replacesShorter: !_recurrentOnly, spared)
            || !_copies.MayTake(size, isNeeded: evictsRecent, Slots.Any(slot => slot.Owner is { Generates: true })))
        {
            return false;
        }
        if (_copies.Save(slot, parts, size) is not { } state || !_store.Add(state, replacesShorter: !_recurrentOnly, spared))
            return false;
        Writing?.Keep(state);
        return true;
    }

    private void TellOfSize(int tokens, long bytes)
    {
        if (_toldOfSize)
            return;
        _toldOfSize = true;
        _warn($"a prompt of {tokens} tokens is not kept when it leaves the KV cache: its state has {bytes >> 20} MiB, and one may have "
            + $"{_store.LargestState >> 20} MiB, three quarters of --prefix-memory. This is said once");
    }

    /// <summary>The counters with what is to be said of the cells and the states.</summary>
    public EngineStatistics Describe(EngineStatistics statistics) => statistics with
    {
        CellsUsed = CellsUsed,
        CellsBusy = CellsOf(Slots.Where(slot => slot.Owner is not null)),
        PrefixesDropped = Dropped,
        StateBytes = _store.Bytes + Ends.Bytes,
        States = _store.States.Count,
        StatesRestored = _store.Hits,
        StatesEvicted = _store.Evicted,
        StateFileBytes = Writing?.Folder.Bytes ?? 0,
        RestoreMilliseconds = _copies.RestoreTime.TotalMilliseconds,
        Slots = [.. Slots.Select(slot => slot.ToState())],
    };

    // A sliding window forgets old cells. All that the next token sees must still be there.
    private bool Usable(Slot slot) =>
        _slidingWindow <= 0 || _context.FirstPosition(slot.Id) <= _copies.FirstSeen(slot.PositionAt(slot.Tokens.Count));
}
