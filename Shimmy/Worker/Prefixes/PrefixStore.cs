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

    // One state must not push out all others.
    private const int LeastStates = 4;

    private readonly List<SavedState> _states = [];
    private SavedState?[] _protected = [];
    private long _uses;

    /// <summary>Most bytes of one state.</summary>
    public long LargestState => capacity / LeastStates;

    /// <summary>The states, in no order.</summary>
    public IReadOnlyList<SavedState> States => _states;

    /// <summary>Receives a state in whose place a longer one is, before it leaves.</summary>
    public Action<SavedState>? Superseded { get; set; }

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
        var (room, count) = (capacity - Bytes - bytes, _states.Count);
        foreach (var state in _states)
        {
            if (room >= 0 && count < MostStates)
                return true;
            if (MayLeave(state, spared) || (replacesShorter && IsReplaced(state, tokens, key, isCheckpoint: false)))
            {
                room += state.Bytes;
                count--;
            }
        }
        return room >= 0 && count < MostStates;
    }

    /// <summary>Keeps states from leaving until the answer is disposed; one pair at a time.</summary>
    public Protection Protect(SavedState? one, SavedState? other)
    {
        _protected = [one, other];
        return new Protection(this);
    }

    /// <summary>Notes that a state was of use.</summary>
    public void Touch(SavedState state) => state.LastUsed = ++_uses;

    /// <summary>Takes a state, which is the store's from then on; false where there is no room for it.</summary>
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
            {
                Superseded?.Invoke(shorter);
                Remove(shorter);
            }
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

    private bool MayLeave(SavedState state, long spared) => _uses - state.LastUsed >= spared && !_protected.Contains(state);

    // A checkpoint that needs the cells of its tokens, which are neither there nor in a whole state any more.
    private bool IsUseless(SavedState state) => state.IsCheckpoint && Holder is { } holder && !holder(state)
        && !_states.Exists(whole => !whole.IsCheckpoint && whole.Key.Equals(state.Key) && whole.Tokens.StartsWith(state.Tokens));

    // What it costs to compute, by its bytes and by the time since its last use.
    private double Value(SavedState state) => (double)state.Length / state.Bytes / (_uses - state.LastUsed + 1);
}
