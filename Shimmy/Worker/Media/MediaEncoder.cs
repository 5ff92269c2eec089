using Shimmy.Worker.Native;

namespace Shimmy.Worker.Media;

/// <summary>
/// The thread that encodes media, beside the scheduler's thread, so that a picture never stops the streams that run. Media take turns chunk
/// by chunk: a picture does not wait for all of an hour of speech. Made at the first medium.
/// </summary>
/// <param name="encodeNext">Encodes a chunk of a medium, and says whether more are left: <see cref="Projector.EncodeNext"/>.</param>
/// <param name="threads">Threads that this takes.</param>
/// <param name="done">Called on the thread after each chunk.</param>
internal sealed class MediaEncoder(Func<TokenizedMedium, bool> encodeNext, int threads, Action done)
{
    private readonly object _lock = new();
    private readonly Queue<(TokenizedMedium Medium, Func<bool> Wanted, Action? Then)> _waiting = new();
    private Thread? _thread;
    private volatile bool _isBusy;

    /// <summary>Threads that are at work now; 0 where nothing is encoded.</summary>
    public int BusyThreads => _isBusy ? threads : 0;

    /// <summary>Encodes a medium as long as that is still wanted when its turn comes.</summary>
    /// <param name="medium">The medium.</param>
    /// <param name="wanted">Whether it is wanted.</param>
    /// <param name="then">Called on the thread once it is encoded, cannot be, or is not wanted any more.</param>
    public void Request(TokenizedMedium medium, Func<bool> wanted, Action? then = null)
    {
        lock (_lock)
        {
            _waiting.Enqueue((medium, wanted, then));
            _isBusy = true;
            if (_thread is null)
            {
                _thread = new Thread(Run) { IsBackground = true, Name = "media" };
                _thread.Start();
            }
            Monitor.Pulse(_lock);
        }
    }

    private void Run()
    {
        Posix.LowerThreadPriority();
        while (true)
        {
            (TokenizedMedium Medium, Func<bool> Wanted, Action? Then) next;
            lock (_lock)
            {
                while (!_waiting.TryDequeue(out next))
                {
                    _isBusy = false;
                    Monitor.Wait(_lock);
                }
            }
            if (next.Wanted() && encodeNext(next.Medium))
            {
                lock (_lock)
                    _waiting.Enqueue(next);
            }
            else
            {
                next.Then?.Invoke();
            }
            done();
        }
    }
}
