using System.Collections;

namespace Shimmy.Engine.Llama;

/// <summary>
/// The requests that wait for a slot, and which is next: one that was preempted, else by the client's rank; of clients alike the one with the
/// fewest running, then the one whose turn is longest ago; of its requests by priority, then by arrival.
/// </summary>
internal sealed class WaitingLine : IEnumerable<Sequence>
{
    private readonly LinkedList<Sequence> _preempted = new();
    private readonly List<Sequence> _waiting = [];
    private readonly Dictionary<string, long> _turns = new(StringComparer.Ordinal);
    private long _turn;

    /// <summary>How many wait.</summary>
    public int Count => _preempted.Count + _waiting.Count;

    /// <summary>A new request.</summary>
    public void Add(Sequence sequence) => _waiting.Add(sequence);

    /// <summary>A request that had a slot and lost it.</summary>
    public void Return(Sequence sequence) => _preempted.AddFirst(sequence);

    /// <summary>Takes out the next one; there must be one.</summary>
    /// <param name="running">What has a slot now.</param>
    public Sequence TakeNext(IReadOnlyCollection<Sequence> running)
    {
        if (_preempted.First is { } first)
        {
            _preempted.RemoveFirst();
            return first.Value;
        }
        var best = _waiting[0];
        // One client, no priorities: what came first, as nearly always.
        if (_waiting.Exists(sequence => sequence.Place != best.Place))
        {
            var busy = new Dictionary<string, int>(StringComparer.Ordinal);
            foreach (var sequence in running)
                busy[sequence.Place.Client] = busy.GetValueOrDefault(sequence.Place.Client) + 1;
            foreach (var sequence in _waiting)
                if (Compare(sequence.Place, best.Place, busy) < 0)
                    best = sequence;
        }
        _turns[best.Place.Client] = ++_turn;
        _waiting.Remove(best);
        return best;
    }

    // Less than 0: the one comes first.
    private int Compare(QueuePlace one, QueuePlace other, Dictionary<string, int> busy)
    {
        var byRank = other.Rank.CompareTo(one.Rank);
        var byBusy = byRank != 0 ? byRank : busy.GetValueOrDefault(one.Client).CompareTo(busy.GetValueOrDefault(other.Client));
        var byTurn = byBusy != 0 ? byBusy : _turns.GetValueOrDefault(one.Client).CompareTo(_turns.GetValueOrDefault(other.Client));
        return byTurn != 0 ? byTurn : one.Priority.CompareTo(other.Priority);
    }

    /// <summary>Takes out what nobody waits for any more.</summary>
    public IReadOnlyList<Sequence> TakeCancelled()
    {
        var cancelled = this.Where(sequence => sequence.Cancelled).ToList();
        foreach (var sequence in cancelled)
        {
            _preempted.Remove(sequence);
            _waiting.Remove(sequence);
        }
        return cancelled;
    }

    /// <inheritdoc/>
    public IEnumerator<Sequence> GetEnumerator() => _preempted.Concat(_waiting).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
