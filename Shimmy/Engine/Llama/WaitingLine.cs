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
            var busy = running.CountBy(sequence => sequence.Place.Client, StringComparer.Ordinal).ToDictionary(StringComparer.Ordinal);
            best = _waiting.OrderByDescending(sequence => sequence.Place.Rank)
                .ThenBy(sequence => busy.GetValueOrDefault(sequence.Place.Client))
                .ThenBy(sequence => _turns.GetValueOrDefault(sequence.Place.Client))
                .ThenBy(sequence => sequence.Place.Priority).First();
        }
        _turns[best.Place.Client] = ++_turn;
        _waiting.Remove(best);
        return best;
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
