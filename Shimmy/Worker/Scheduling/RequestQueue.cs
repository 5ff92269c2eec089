using System.Collections;
using Shimmy.Engine;
using Shimmy.Worker.Sequences;

namespace Shimmy.Worker.Scheduling;

/// <summary>
/// The requests that wait, and which is next: one that was preempted, else by the client's rank; of clients alike the one with the
/// fewest running, then the one whose turn is longest ago; of its requests by priority, then by arrival.
/// </summary>
internal sealed class RequestQueue<T> : IEnumerable<T> where T : class, IQueued
{
    private readonly LinkedList<T> _preempted = new();
    private readonly List<T> _waiting = [];
    private readonly Dictionary<string, long> _turns = new(StringComparer.Ordinal);
    private long _turn;

    /// <summary>How many wait.</summary>
    public int Count => _preempted.Count + _waiting.Count;

    /// <summary>A new request.</summary>
    public void Add(T request) => _waiting.Add(request);

    /// <summary>A request that had a slot and lost it.</summary>
    public void Return(T request) => _preempted.AddFirst(request);

    /// <summary>Takes out the next one; there must be one.</summary>
    /// <param name="running">What has a slot now.</param>
    public T TakeNext(IReadOnlyCollection<T> running)
    {
        if (_preempted.First is { } first)
        {
            _preempted.RemoveFirst();
            return first.Value;
        }
        var best = _waiting[0];
        // One client, no priorities: what came first, as nearly always.
        if (_waiting.Exists(request => request.Place != best.Place))
        {
            var busy = new Dictionary<string, int>(StringComparer.Ordinal);
            foreach (var request in running)
                busy[request.Place.Client] = busy.GetValueOrDefault(request.Place.Client) + 1;
            foreach (var request in _waiting)
            {
                if (Compare(request.Place, best.Place, busy) < 0)
                    best = request;
            }
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
    public IReadOnlyList<T> TakeCancelled()
    {
        var cancelled = this.Where(request => request.Cancelled).ToList();
        foreach (var request in cancelled)
        {
            _preempted.Remove(request);
            _waiting.Remove(request);
        }
        return cancelled;
    }

    /// <inheritdoc/>
    public IEnumerator<T> GetEnumerator() => _preempted.Concat(_waiting).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

/// <summary>Work for the scheduler's thread that is no generation: a text to embed.</summary>
/// <param name="requestId">The request.</param>
/// <param name="place">Where it stands among those that wait.</param>
/// <param name="work">The work.</param>
/// <param name="refused">Hears that it is not done because too many wait.</param>
internal sealed class EmbeddingJob(uint requestId, QueuePlace place, Action work, Action<EngineException> refused) : IQueued
{
    public uint RequestId { get; } = requestId;

    public QueuePlace Place { get; } = place;

    public bool Cancelled { get; set; }

    public void Do() => work();

    public void Refuse(EngineException error) => refused(error);
}
