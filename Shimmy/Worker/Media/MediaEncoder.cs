namespace Shimmy.Worker.Media;

/// <summary>
/// The thread that encodes media: one after the other, beside the scheduler's thread, so that a picture never stops the streams that run.
/// Made at the first medium.
/// </summary>
/// <param name="projector">The projector.</param>
/// <param name="done">Called on the thread after each medium.</param>
internal sealed class MediaEncoder(Projector projector, Action done)
{
    private readonly object _lock = new();
    private readonly Queue<(TokenizedMedium Medium, Func<bool> Wanted)> _waiting = new();
    private Thread? _thread;
    private volatile bool _isBusy;

    /// <summary>Threads that are at work now; 0 where nothing is encoded.</summary>
    public int BusyThreads => _isBusy ? projector.Threads : 0;

    /// <summary>Encodes a medium where that is still wanted when its turn comes.</summary>
    public void Request(TokenizedMedium medium, Func<bool> wanted)
    {
        lock (_lock)
        {
            _waiting.Enqueue((medium, wanted));
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
        while (true)
        {
            (TokenizedMedium Medium, Func<bool> Wanted) next;
            lock (_lock)
            {
                while (!_waiting.TryDequeue(out next))
                {
                    _isBusy = false;
                    Monitor.Wait(_lock);
                }
            }
            projector.Encode(next.Medium, next.Wanted);
            done();
        }
    }
}
