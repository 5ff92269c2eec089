namespace Shimmy.Chat.Cache;

/// <summary>
/// Answers that would come out the same again, by what they depend on: the least recently used go where there are more bytes than allowed, and
/// each goes an hour after it was computed.
/// </summary>
/// <param name="capacity">Most bytes to keep; 0 keeps nothing.</param>
/// <param name="time">The clock.</param>
internal sealed class ResponseCache(long capacity, TimeProvider time)
{
    /// <summary>Bytes that are kept where nobody says how many: some ten thousand answers of a page.</summary>
    public const long DefaultCapacity = 64L << 20;

    /// <summary>How long an answer is kept, from when it was computed.</summary>
    public static readonly TimeSpan TimeToLive = TimeSpan.FromHours(1);

    // One answer may not drive out all others.
    private const int LeastAnswers = 4;

    // Of the dictionary, the list and the entry, beside the answer itself.
    private const int EntryBytes = 200;

    private readonly Lock _lock = new();
    private readonly Dictionary<CacheKey, LinkedListNode<Entry>> _entries = [];
    private readonly LinkedList<Entry> _byUse = [];
    private long _bytes;
    private long _hits;
    private long _misses;
    private long _bypasses;
    private long _evictions;

    /// <summary>Most bytes that it keeps; 0 where it is off.</summary>
    public long Capacity => capacity;

    /// <summary>Most bytes of one answer.</summary>
    public long LargestAnswer => capacity / LeastAnswers - EntryBytes;

    /// <summary>Answers that were found.</summary>
    public long Hits => Interlocked.Read(ref _hits);

    /// <summary>Answers that were looked for and computed, or computed anew because the client wanted so.</summary>
    public long Misses => Interlocked.Read(ref _misses);

    /// <summary>Answers that were not looked for: drawn by chance, or kept out by the client or because the cache is off.</summary>
    public long Bypasses => Interlocked.Read(ref _bypasses);

    /// <summary>Answers that went to make room or for their age.</summary>
    public long Evictions => Interlocked.Read(ref _evictions);

    /// <summary>Bytes that are kept now.</summary>
    public long Bytes => Interlocked.Read(ref _bytes);

    /// <summary>Answers that are kept now.</summary>
    public int Entries
    {
        get
        {
            lock (_lock)
                return _entries.Count;
        }
    }

    /// <summary>An answer as it was stored; null where there is none. Counts nothing: see <see cref="Count"/>.</summary>
    public ReadOnlyMemory<byte>? Find(in CacheKey key)
    {
        lock (_lock)
        {
            if (!_entries.TryGetValue(key, out var node))
                return null;
            // By the clock that nobody sets.
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

    /// <summary>Keeps an answer, in place of an older one; not where it is larger than <see cref="LargestAnswer"/>.</summary>
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

    /// <summary>Counts what became of one answer.</summary>
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

/// <summary>What the cache did for an answer, from the best to the worst.</summary>
internal enum CacheOutcome
{
    /// <summary>It had the answer.</summary>
    Hit,

    /// <summary>It had not, and keeps it from now on.</summary>
    Miss,

    /// <summary>It was not asked.</summary>
    Bypass,
}
