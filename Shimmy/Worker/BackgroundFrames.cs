using Shimmy.Engine.Protocol;

namespace Shimmy.Worker;

/// <summary>
/// Frames of a worker that take long to deal with: megabytes of text are tokenized for seconds. They have a thread of their own, where they come one
/// after the other, so that what is short does not wait behind them, and a cancel least of all.
/// </summary>
internal sealed class BackgroundFrames(Action<Frame, CancellationToken> handle)
{
    // Bytes that are dealt with in a few milliseconds.
    private const int LongestShort = 16 * 1024;

    // As the main thread has: llama.cpp splits texts with expressions that recurse.
    private const int StackSize = 8 << 20;

    private readonly object _lock = new();
    private readonly FrameBuffer _line = new();
    private (uint Id, CancellationTokenSource Cancellation)? _current;
    private Thread? _thread;

    /// <summary>
    /// Whether the frame is long, and was taken. Throws <c>EngineException</c> with <c>EngineFailure.QueueFull</c> where too many are.
    /// </summary>
    public bool Take(Frame frame)
    {
        if (frame.Payload.Length <= LongestShort)
            return false;
        lock (_lock)
        {
            _line.Add(frame);
            Monitor.Pulse(_lock);
            if (_thread is null)
            {
                _thread = new Thread(Run, StackSize) { IsBackground = true, Name = "long frames" };
                _thread.Start();
            }
        }
        return true;
    }

    /// <summary>Ends a request. False where the frame is none of those that wait here: it was dealt with, or is just now.</summary>
    public bool Cancel(uint id)
    {
        lock (_lock)
        {
            if (_current?.Id == id)
                _current.Value.Cancellation.Cancel();
            return _line.Remove(id);
        }
    }

    private void Run()
    {
        while (true)
        {
            using var cancellation = new CancellationTokenSource();
            Frame? frame;
            lock (_lock)
            {
                while ((frame = _line.Take()) is null)
                    Monitor.Wait(_lock);
                _current = (frame.Value.Id, cancellation);
            }
            handle(frame.Value, cancellation.Token);
            lock (_lock)
                _current = null;
        }
    }
}
