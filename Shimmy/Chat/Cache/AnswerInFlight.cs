using System.Runtime.CompilerServices;
using Shimmy.Chat.Output;

namespace Shimmy.Chat.Cache;

/// <summary>
/// An answer that one request computes and others with the same key read along: two equal requests at once are computed once. Events are
/// kept from the first, since who joins late begins there. Thread-safe.
/// </summary>
internal sealed class AnswerInFlight
{
    private readonly Lock _lock = new();
    private readonly List<OutputEvent> _events = [];
    private TaskCompletionSource? _waited;
    private bool _over;

    /// <summary>Adds the next event, and wakes who waits for it.</summary>
    public void Add(in OutputEvent outputEvent)
    {
        lock (_lock)
            _events.Add(outputEvent);
        Wake();
    }

    /// <summary>No further event comes: the answer has ended, or its client has left before.</summary>
    public void End()
    {
        lock (_lock)
            _over = true;
        Wake();
    }

    /// <summary>
    /// The events from a place on, as they come. Ends without an event that is an end where the computing request broke off.
    /// </summary>
    public async IAsyncEnumerable<OutputEvent> FromAsync(int place, [EnumeratorCancellation] CancellationToken cancellation)
    {
        while (true)
        {
            OutputEvent? next;
            bool over;
            Task? more = null;
            lock (_lock)
            {
                next = place < _events.Count ? _events[place] : null;
                over = _over;
                if (next is null && !over)
                    more = (_waited ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
            }
            if (next is { } outputEvent)
            {
                place++;
                yield return outputEvent;
                continue;
            }
            if (over)
                yield break;
            await more!.WaitAsync(cancellation).ConfigureAwait(false);
        }
    }

    private void Wake()
    {
        TaskCompletionSource? woken;
        lock (_lock)
            (woken, _waited) = (_waited, null);
        woken?.SetResult();
    }
}
