using System.Collections;
using Shimmy.Engine;
using Shimmy.Worker.Media;
using Shimmy.Worker.Sequences;

namespace Shimmy.Worker.Scheduling;

/// <summary>
/// The queue of requests for a slot. Next is a preempted request, else one of the client with the highest rank; of equal ranks the client
/// with the fewest running requests, then the one whose last turn is longest ago; of its requests by priority, then by arrival.
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
    /// <param name="running">The requests that have a slot.</param>
    public T TakeNext(IReadOnlyCollection<T> running)
    {
        if (_preempted.First is { } first)
        {
            _preempted.RemoveFirst();
            return first.Value;
        }
        var best = _waiting[0];
        // All places equal, which is the usual case: first come, first served.
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

    // Negative: one comes before the other.
    private int Compare(QueuePlace one, QueuePlace other, Dictionary<string, int> busy)
    {
        var byRank = other.Rank.CompareTo(one.Rank);
        var byBusy = byRank != 0 ? byRank : busy.GetValueOrDefault(one.Client).CompareTo(busy.GetValueOrDefault(other.Client));
        var byTurn = byBusy != 0 ? byBusy : _turns.GetValueOrDefault(one.Client).CompareTo(_turns.GetValueOrDefault(other.Client));
        return byTurn != 0 ? byTurn : one.Priority.CompareTo(other.Priority);
    }

    /// <summary>Removes and returns the cancelled requests.</summary>
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

/// <summary>The texts to embed. One with pictures waits until these are encoded, which is done beside the scheduler's loop.</summary>
/// <param name="encoder">Encodes pictures; null where the model sees none.</param>
/// <param name="post">Does something on the scheduler's thread, on which all of this is used.</param>
internal sealed class EmbeddingQueue(MediaEncoder? encoder, Action<Action> post) : IEnumerable<EmbeddingJob>
{
    private readonly RequestQueue<EmbeddingJob> _ready = new();
    private readonly List<EmbeddingJob> _unseen = [];

    /// <summary>How many wait.</summary>
    public int Count => _ready.Count + _unseen.Count;

    /// <summary>How many of them can be computed.</summary>
    public int Ready => _ready.Count;

    /// <summary>A new text.</summary>
    public void Add(EmbeddingJob job)
    {
        _unseen.Add(job);
        See(job);
    }

    /// <summary>Takes out the next one of those that can be computed; there must be one.</summary>
    public EmbeddingJob TakeNext() => _ready.TakeNext([]);

    /// <summary>Removes the cancelled texts; one whose picture is being encoded leaves once it is.</summary>
    public void TakeCancelled() => _ready.TakeCancelled();

    /// <inheritdoc/>
    public IEnumerator<EmbeddingJob> GetEnumerator() => _ready.Concat(_unseen).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private void See(EmbeddingJob job)
    {
        if (!job.Cancelled && job.Unseen is { } medium)
        {
            encoder!.Request(medium, () => !job.Cancelled, () => post(() => See(job)));
            return;
        }
        _unseen.Remove(job);
        if (!job.Cancelled)
            _ready.Add(job);
    }
}

/// <summary>A text to embed on the scheduler's thread.</summary>
/// <param name="requestId">Id of the request.</param>
/// <param name="place">Its place in the queue.</param>
/// <param name="tokens">Tokens of the text.</param>
/// <param name="media">The places of its media.</param>
/// <param name="work">Computes the embedding and sends it.</param>
/// <param name="refused">Called where the queue is full.</param>
internal sealed class EmbeddingJob(
    uint requestId, QueuePlace place, int tokens, IReadOnlyList<MediaSpan> media, Action work, Action<EngineException> refused) : IQueued
{
    /// <summary>Tokens of the text.</summary>
    public int Tokens { get; } = tokens;

    /// <summary>A medium that is still to be encoded; null where all are, or where one cannot be.</summary>
    public TokenizedMedium? Unseen =>
        media.FirstOrDefault(span => span.Chunk is { Embeddings: null, Medium.Failure: null }).Chunk?.Medium;

    public uint RequestId { get; } = requestId;

    public QueuePlace Place { get; } = place;

    public bool Cancelled { get; set; }

    public void Do() => work();

    public void Refuse(EngineException error) => refused(error);
}
