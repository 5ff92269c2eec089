using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;

namespace Shimmy.Api.OpenAI.Responses;

/// <summary>
/// The answers that clients may name later, and those that are being given. In memory alone, and bounded: the oldest go first. An answer
/// holds what came before it, so that a conversation can go on where only its last answer is still known.
/// </summary>
/// <param name="most">Most answers that are kept.</param>
/// <param name="mostBytes">Most bytes that they take, what came before them included.</param>
internal sealed class ResponseStore(int most = 1000, long mostBytes = 64L << 20)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedListNode<StoredResponse>> _known = [];
    private readonly LinkedList<StoredResponse> _byAge = [];
    // Clients that send a whole conversation again bring the same items again.
    private readonly Dictionary<string, List<StoredResponse>> _byItem = [];
    private readonly ConcurrentDictionary<string, RunningResponse> _running = [];

    /// <summary>Bytes that the answers take, about.</summary>
    public long Bytes { get; private set; }

    /// <summary>Answers that can be found.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
                return _known.Count;
        }
    }

    /// <summary>Keeps an answer; one that is larger than the store may be is not kept.</summary>
    public void Add(StoredResponse response)
    {
        lock (_lock)
        {
            _known[response.Id] = _byAge.AddLast(response);
            foreach (var id in ItemsOf(response))
            {
                if (!_byItem.TryGetValue(id, out var responses))
                    _byItem[id] = responses = [];
                responses.Add(response);
            }
            Hold(response);
            while (_known.Count > most || (Bytes > mostBytes && _known.Count > 0))
                Forget(_byAge.First!);
        }
    }

    /// <summary>The answer with this id; null where there is none.</summary>
    public StoredResponse? Find(string id)
    {
        lock (_lock)
            return _known.GetValueOrDefault(id)?.Value;
    }

    /// <summary>The item with this id, out of the input or the output of any answer; null where there is none.</summary>
    public ResponseItem? FindItem(string id)
    {
        lock (_lock)
        {
            return _byItem.TryGetValue(id, out var responses)
                ? responses[^1].Output.Concat(responses[^1].Input).First(item => item.Id == id)
                : null;
        }
    }

    /// <summary>Forgets an answer; answers that followed it can still be gone on with. False where there is none.</summary>
    public bool Remove(string id)
    {
        lock (_lock)
        {
            if (!_known.TryGetValue(id, out var node))
                return false;
            Forget(node);
            return true;
        }
    }

    /// <summary>Notes that an answer is being given, until it is disposed; <paramref name="cancellation"/> ends it too.</summary>
    public RunningResponse Begin(string id, CancellationToken cancellation)
    {
        var running = new RunningResponse(id, ended => _running.TryRemove(ended.Id, out _), cancellation);
        _running[id] = running;
        return running;
    }

    /// <summary>An answer that is being given.</summary>
    public bool TryFindRunning(string id, [NotNullWhen(true)] out RunningResponse? running) => _running.TryGetValue(id, out running);

    private void Forget(LinkedListNode<StoredResponse> node)
    {
        _known.Remove(node.Value.Id);
        _byAge.Remove(node);
        foreach (var id in ItemsOf(node.Value))
        {
            var responses = _byItem[id];
            responses.Remove(node.Value);
            if (responses.Count == 0)
                _byItem.Remove(id);
        }
        LetGo(node.Value);
    }

    private static IEnumerable<string> ItemsOf(StoredResponse response) =>
        response.Input.Concat(response.Output).Select(item => item.Id).Distinct();

    // An answer takes memory while it can be found, and while one that followed it does.
    private void Hold(StoredResponse response)
    {
        for (var next = response; next is not null && next.Holders++ == 0; next = next.Previous)
            Bytes += next.Size;
    }

    private void LetGo(StoredResponse response)
    {
        for (var next = response; next is not null && --next.Holders == 0; next = next.Previous)
            Bytes -= next.Size;
    }
}

/// <summary>An answer that was given, and what it answered.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Status"><c>completed</c>, <c>incomplete</c>, <c>cancelled</c> or <c>failed</c>.</param>
/// <param name="Json">The answer as its client got it.</param>
/// <param name="Input">What the request brought.</param>
/// <param name="Output">What was answered.</param>
/// <param name="Previous">The answer before it; null where it was the first.</param>
internal sealed record StoredResponse(string Id, string Status, ReadOnlyMemory<byte> Json, IReadOnlyList<ResponseItem> Input,
    IReadOnlyList<ResponseItem> Output, StoredResponse? Previous)
{
    /// <summary>About how many bytes it takes, without what came before it.</summary>
    public long Size { get; } = 512 + Json.Length + Input.Concat(Output).Sum(item => (long)item.Size);

    /// <summary>Holders of its memory: the store, and each answer after it that has holders. Kept by <see cref="ResponseStore"/>.</summary>
    public int Holders { get; set; }

    /// <summary>All that was said before its answer, oldest first.</summary>
    public IReadOnlyList<ResponseItem> Context
    {
        get
        {
            var turns = new Stack<StoredResponse>();
            for (var turn = Previous; turn is not null; turn = turn.Previous)
                turns.Push(turn);
            return [.. turns.SelectMany(turn => turn.Input.Concat(turn.Output)), .. Input];
        }
    }
}
