namespace Shimmy.Chat.Cache;

/// <summary>
/// The response cache: an LRU cache of deterministic answers, limited in bytes. Entries expire an hour after they were computed.
/// </summary>
/// <param name="capacity">Capacity in bytes; 0 switches the cache off.</param>
/// <param name="time">The clock.</param>
internal sealed class ResponseCache(long capacity, TimeProvider time)
{
    /// <summary>Default capacity: about ten thousand answers of one page.</summary>
    public const long DefaultCapacity = 64L << 20;

    /// <summary>How long an entry lives, from when it was computed.</summary>
    public static readonly TimeSpan TimeToLive = TimeSpan.FromHours(1);

    // At least so many answers fit: one answer must not evict all others.
    private const int LeastAnswers = 4;

    // Overhead of dictionary, list and entry.
    private const int EntryBytes = 200;

    private readonly Lock _lock = new();
    private readonly Dictionary<CacheKey, LinkedListNode<Entry>> _entries = [];
    private readonly LinkedList<Entry> _byUse = [];
    private readonly Dictionary<CacheKey, AnswerInFlight> _running = [];
    private long _bytes;
    private long _hits;
    private long _misses;
    private long _bypasses;
    private long _evictions;

    /// <summary>Capacity in bytes; 0 where the cache is off.</summary>
    public long Capacity => capacity;

    /// <summary>Largest answer that is stored, in bytes.</summary>
    public long LargestAnswer => capacity / LeastAnswers - EntryBytes;

    /// <summary>Lookups that found an answer.</summary>
    public long Hits => Interlocked.Read(ref _hits);

    /// <summary>Lookups that found none, and answers computed anew because of <c>no-cache</c>.</summary>
    public long Misses => Interlocked.Read(ref _misses);

    /// <summary>Answers without a lookup: sampled at random, <c>no-store</c>, or the cache is off.</summary>
    public long Bypasses => Interlocked.Read(ref _bypasses);

    /// <summary>Entries that were evicted or expired.</summary>
    public long Evictions => Interlocked.Read(ref _evictions);

    /// <summary>Current size in bytes.</summary>
    public long Bytes => Interlocked.Read(ref _bytes);

    /// <summary>Current number of entries.</summary>
    public int Entries
    {
        get
        {
            lock (_lock)
                return _entries.Count;
        }
    }

    /// <summary>The stored answer; null where there is none. Does not change the counters: see <see cref="Count"/>.</summary>
    public ReadOnlyMemory<byte>? Find(in CacheKey key)
    {
        lock (_lock)
        {
            if (!_entries.TryGetValue(key, out var node))
                return null;
            // Monotonic: not affected by changes of the system clock.
            if (time.GetElapsedTime(node.Value.Stored) >= TimeToLive)
            {
                Remove(node);
                _evictions++;
                return null;
            }
            _byUse.Remove(node);
            _byUse.AddFirst(node);
            return node.Value.Answer;
        }
    }

    /// <summary>Stores an answer and replaces an older one; not if it is larger than <see cref="LargestAnswer"/>.</summary>
    public void Store(in CacheKey key, byte[] answer)
    {
        if (answer.Length > LargestAnswer)
            return;
        lock (_lock)
        {
            if (_entries.TryGetValue(key, out var older))
                Remove(older);
            var node = _byUse.AddFirst(new Entry(key, answer, time.GetTimestamp()));
            _entries.Add(key, node);
            _bytes += SizeOf(node.Value);
            while (_bytes > capacity)
            {
                Remove(_byUse.Last!);
                _evictions++;
            }
        }
    }

    /// <summary>Whether an answer is being computed.</summary>
    public bool IsRunning(in CacheKey key)
    {
        lock (_lock)
            return _running.ContainsKey(key);
    }

    /// <summary>
    /// The answer that is being computed; where none is, a new one that the caller computes and must <see cref="Leave"/> in the end.
    /// </summary>
    public AnswerInFlight Join(in CacheKey key, out bool isOurs)
    {
        lock (_lock)
        {
            isOurs = !_running.TryGetValue(key, out var answer);
            return isOurs ? _running[key] = new AnswerInFlight() : answer!;
        }
    }

    /// <summary>An answer has ended, or its computation broke off.</summary>
    public void Leave(in CacheKey key, AnswerInFlight answer)
    {
        lock (_lock)
            _running.Remove(key);
        answer.End();
    }

    /// <summary>Counts the result of one lookup.</summary>
    public void Count(CacheOutcome outcome) =>
        Interlocked.Increment(ref outcome == CacheOutcome.Hit ? ref _hits : ref outcome == CacheOutcome.Miss ? ref _misses : ref _bypasses);

    private void Remove(LinkedListNode<Entry> node)
    {
        _byUse.Remove(node);
        _entries.Remove(node.Value.Key);
        _bytes -= SizeOf(node.Value);
    }

    private static int SizeOf(Entry entry) => entry.Answer.Length + EntryBytes;

    private sealed record Entry(CacheKey Key, byte[] Answer, long Stored);
}

/// <summary>Result of a lookup, from the best to the worst.</summary>
internal enum CacheOutcome
{
    /// <summary>The answer was cached.</summary>
    Hit,

    /// <summary>The answer was computed and is stored.</summary>
    Miss,

    /// <summary>There was no lookup.</summary>
    Bypass,
}
