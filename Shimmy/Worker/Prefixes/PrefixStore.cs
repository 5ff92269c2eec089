using System.Diagnostics;
using Shimmy.Worker.Sequences;

namespace Shimmy.Worker.Prefixes;

/// <summary>
/// States of sequences in the host's memory, at most so many bytes: checkpoints, and whole states of prefixes that had to leave the cells.
/// The least valuable leaves first: what is of no use without another that has left, is quick to compute again, was not used for long, or
/// is large.
/// </summary>
/// <param name="capacity">Most bytes; 0 keeps none.</param>
internal sealed class PrefixStore(long capacity)
{
    // Every one is compared with every prompt.
    private const int MostStates = 1024;

    // One state may push out most others, since it spares as much as they do, but not all; of checkpoints there are to be several.
    private const double LargestShare = 0.75;
    private const int LeastCheckpoints = 4;

    private readonly List<SavedState> _states = [];
    private SavedState?[] _protected = [];
    private long _uses;

    /// <summary>Most bytes of one state.</summary>
    public long LargestState => (long)(capacity * LargestShare);

    /// <summary>Most bytes of one checkpoint beside cells.</summary>
    public long LargestCheckpoint => capacity / LeastCheckpoints;

    /// <summary>The states, in no order.</summary>
    public IReadOnlyList<SavedState> States => _states;

    /// <summary>
    /// Tells whether there are cells of a checkpoint's tokens; null where checkpoints are of use without any.
    /// </summary>
    public Func<SavedState, bool>? Holder { get; set; }

    /// <summary>Counts the states that came and went.</summary>
    public long Version { get; private set; }

    /// <summary>States that were brought back.</summary>
    public long Hits { get; private set; }

    /// <summary>Bytes in use.</summary>
    public long Bytes { get; private set; }

    /// <summary>States that left for want of memory.</summary>
    public long Evicted { get; private set; }

    /// <summary>
    /// The longest checkpoint of at most <paramref name="limit"/> tokens that is a prefix of these; null where there is none.
    /// </summary>
    public SavedState? LongestCheckpoint(ReadOnlySpan<int> tokens, PrefixKey key, int limit)
    {
        SavedState? best = null;
        foreach (var state in _states)
        {
            if (state.IsCheckpoint && state.Length <= limit && state.Length > (best?.Length ?? 0) && state.Key.Serves(key)
                && tokens.StartsWith(state.Tokens))
            {
                best = state;
            }
        }
        return best;
    }

    /// <summary>The whole states that share a beginning with these tokens, each with the length of that.</summary>
    public IEnumerable<(SavedState State, int Common)> Wholes(ReadOnlySpan<int> tokens, PrefixKey key)
    {
        List<(SavedState, int)>? found = null;
        foreach (var state in _states)
        {
            if (!state.IsCheckpoint && state.Key.Serves(key) && state.Tokens.CommonPrefixLength(tokens) is > 0 and var common)
                (found ??= []).Add((state, common));
        }
        return found ?? [];
    }

    /// <summary>Whether a state of the same kind is there that holds these tokens, or exactly these.</summary>
    public bool Holds(ReadOnlySpan<int> tokens, PrefixKey key, bool checkpoint, bool exactly)
    {
        foreach (var state in _states)
        {
            if (state.IsCheckpoint == checkpoint && state.Key.Equals(key)
                && (exactly ? state.Tokens.SequenceEqual(tokens) : state.Tokens.StartsWith(tokens)))
            {
                Touch(state);
                return true;
            }
        }
        return false;
    }

    /// <summary>Whether <see cref="Add"/> will take a state of these tokens and so many bytes beside them.</summary>
    public bool HasRoom(ReadOnlySpan<int> tokens, PrefixKey key, long size, bool replacesShorter, long spared)
    {
        var bytes = SavedState.BytesOf(size, tokens.Length);
        if (bytes > LargestState)
            return false;
        var (freeBytes, count) = (capacity - Bytes - bytes, _states.Count);
        foreach (var state in _states)
        {
            if (freeBytes >= 0 && count < MostStates)
                return true;
            if (MayLeave(state, spared) || (replacesShorter && IsReplaced(state, tokens, key, isCheckpoint: false)))
            {
                freeBytes += state.Bytes;
                count--;
            }
        }
        return freeBytes >= 0 && count < MostStates;
    }

    /// <summary>Keeps states from leaving until the answer is disposed; one pair at a time.</summary>
    public Protection Protect(SavedState? one, SavedState? other)
    {
        _protected = [one, other];
        return new Protection(this);
    }

    /// <summary>Notes that a state was of use.</summary>
    public void Touch(SavedState state) => state.LastUsed = ++_uses;

    /// <summary>Takes a state, which is the store's from then on; false where it does not fit.</summary>
    /// <param name="state">The state.</param>
    /// <param name="replacesShorter">Whether whole states of a beginning of its tokens are of no use beside it.</param>
    /// <param name="spared">States that were of use in so many uses of others do not leave for it.</param>
    public bool Add(SavedState state, bool replacesShorter, long spared = 0)
    {
        if (state.Bytes > LargestState)
        {
            Release(state);
            return false;
        }
        if (replacesShorter)
        {
            foreach (var shorter in _states.Where(other => IsReplaced(other, state.Tokens, state.Key, state.IsCheckpoint)).ToArray())
                Remove(shorter);
        }
        while (Bytes + state.Bytes > capacity || _states.Count >= MostStates)
        {
            if (_states.Where(other => MayLeave(other, spared)).MinBy(other => (!IsUseless(other), Value(other))) is not { } least)
            {
                Release(state);
                return false;
            }
            Remove(least);
            Evicted++;
        }
        Touch(state);
        _states.Add(state);
        Version++;
        Bytes += state.Bytes;
        return true;
    }

    /// <summary>Drops all states, and their files.</summary>
    public void RemoveAll(StateFolder? folder)
    {
        foreach (var state in _states.ToArray())
        {
            folder?.Drop(state);
            Remove(state);
        }
    }

    /// <summary>Gives a state up.</summary>
    public void Remove(SavedState state)
    {
        if (!_states.Remove(state))
            return;
        Version++;
        Bytes -= state.Bytes;
        Release(state);
    }

    /// <summary>Notes that a state was brought back.</summary>
    public void Hit(SavedState state)
    {
        Hits++;
        state.IsFromDisk = false;
        Touch(state);
    }

    private static void Release(SavedState state)
    {
        if (state.File is { } file)
            file.InMemory = false;
        state.Dispose();
    }

    /// <summary>Ends the protection of states.</summary>
    public readonly struct Protection(PrefixStore store) : IDisposable
    {
        /// <inheritdoc/>
        public void Dispose() => store._protected = [];
    }

    private bool IsReplaced(SavedState shorter, ReadOnlySpan<int> tokens, PrefixKey key, bool isCheckpoint) =>
        shorter.IsCheckpoint == isCheckpoint && !_protected.Contains(shorter) && shorter.Key.Equals(key)
        && tokens.StartsWith(shorter.Tokens);

    // What is being written holds its memory, wherever it is.
    private bool MayLeave(SavedState state, long spared) =>
        _uses - state.LastUsed >= spared && state.File is not { IsWaiting: true } && !_protected.Contains(state);

    // A checkpoint that needs the cells of its tokens, which are neither there nor in a whole state any more.
    private bool IsUseless(SavedState state) => state.IsCheckpoint && Holder is { } holder && !holder(state)
        && !_states.Exists(whole => !whole.IsCheckpoint && whole.Key.Equals(state.Key) && whole.Tokens.StartsWith(state.Tokens));

    // What it costs to compute, by its bytes and by the time since its last use.
    private double Value(SavedState state) => (double)state.Length / state.Bytes / (_uses - state.LastUsed + 1);
}

/// <summary>
/// What of the states goes to disk, and when: those that leave the cells at once; the others half a second after the last request has
/// ended, now and then beside streams, or when the worker is to end. Called on the scheduler's thread.
/// </summary>
/// <param name="slots">The slots.</param>
/// <param name="store">The states in memory.</param>
/// <param name="folder">Where they are written.</param>
/// <param name="saveState">Copies the state of a slot to memory: <see cref="PrefixCache.SaveState"/>.</param>
internal sealed class StateWriting(IReadOnlyList<Slot> slots, PrefixStore store, StateFolder folder, Func<Slot, bool, bool> saveState)
{
    private static readonly TimeSpan IdleBeforeWriting = TimeSpan.FromSeconds(0.5);
    private static readonly TimeSpan BetweenSlots = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Soon = TimeSpan.FromMilliseconds(20);

    // Who waits for all to be written waits for no longer pause.
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(1);

    private readonly List<Action> _flushes = [];
    private long _besideAt = Stopwatch.GetTimestamp();
    private bool _isAnyLeft;

    /// <summary>The states on disk.</summary>
    public StateFolder Folder => folder;

    /// <summary>Whether all that there is to be written is in its file, or cannot be written.</summary>
    public bool IsDone => slots.All(slot => slot.IsSaved) && folder.IsIdle && (!_isAnyLeft || folder.Pause > TimeSpan.Zero);

    /// <summary>Writes a state that is new in memory, with the checkpoints at which it can be cut.</summary>
    public void Keep(SavedState state)
    {
        _isAnyLeft |= !folder.Keep(state);
        foreach (var other in store.States)
        {
            if (other.IsCheckpoint && other.Key.Equals(state.Key) && state.Tokens.StartsWith(other.Tokens))
                _isAnyLeft |= !folder.Keep(other);
        }
    }

    /// <summary>Calls back once all states are written, for which nothing but running requests is waited for.</summary>
    public void Flush(Action done) => _flushes.Add(done);

    /// <summary>How long to wait before <see cref="WriteDown"/> now that nothing runs.</summary>
    /// <param name="left">What it said last.</param>
    /// <param name="idle">How long nothing has run.</param>
    public TimeSpan PatienceFor(TimeSpan left, TimeSpan idle)
    {
        folder.Hurries = true;
        return _flushes.Count > 0 || IdleBeforeWriting - idle < left ? left : IdleBeforeWriting - idle;
    }

    /// <summary>Notes that requests run again.</summary>
    public void EndRest() => folder.Hurries = _flushes.Count > 0;

    /// <summary>
    /// Writes down what is only in memory, one slot a call, while nothing runs. How long to wait before the next call; null where nothing
    /// was left to do.
    /// </summary>
    public TimeSpan? WriteDown()
    {
        var left = WriteNext() ?? (_flushes.Count > 0 && !folder.IsIdle ? Soon : null);
        if (left is null || left > LongestPause)
        {
            _flushes.ForEach(done => done());
            _flushes.Clear();
        }
        return left;
    }

    private TimeSpan? WriteNext()
    {
        foreach (var slot in slots)
        {
            if (slot.IsSaved)
                continue;
            // What is being written frees nothing for others.
            if (!saveState(slot, true) && !folder.IsIdle)
                return Soon;
            slot.SavedLength = slot.Tokens.Count;
            return TimeSpan.Zero;
        }
        _isAnyLeft = false;
        foreach (var state in store.States)
            _isAnyLeft |= !folder.Keep(state);
        return !_isAnyLeft ? null : folder.Pause > Soon ? folder.Pause : Soon;
    }

    /// <summary>Writes one idle slot down now and then while others run, so that a server which never rests loses little.</summary>
    public void WriteDownBeside()
    {
        if (Stopwatch.GetElapsedTime(_besideAt) < BetweenSlots)
            return;
        _besideAt = Stopwatch.GetTimestamp();
        if (slots.Where(slot => !slot.IsSaved).OrderBy(slot => slot.LastUsed).FirstOrDefault(slot => saveState(slot, false)) is { } written)
            written.SavedLength = written.Tokens.Count;
    }
}
