using Shimmy.Engine.Protocol;
using Shimmy.Worker.Native;

namespace Shimmy.Worker;

/// <summary>
/// A thread that handles long frames one after the other: tokenizing megabytes of text takes seconds, during which short frames, cancels
/// above all, must not wait.
/// </summary>
/// <param name="handle">Handles a frame.</param>
/// <param name="isBehind">Whether its thread takes what the streams leave of the processors.</param>
internal sealed class BackgroundFrames(Action<Frame, CancellationToken> handle, bool isBehind = false)
{
    // In bytes: a shorter frame is handled in a few milliseconds.
    private const int LongestShort = 16 * 1024;

    // In bytes, as the main thread has: llama.cpp splits texts with regular expressions that recurse.
    private const int StackSize = 8 << 20;

    private readonly object _lock = new();
    private readonly FrameBuffer _frames = new();
    private (uint Id, CancellationTokenSource Cancellation)? _current;
    private Thread? _thread;

    /// <summary>Whether all frames that it took are handled.</summary>
    public bool IsIdle
    {
        get
        {
            lock (_lock)
                return _current is null && _frames.IsEmpty;
        }
    }

    /// <summary>
    /// Takes a frame where it is long or has media; false for a short one. Throws <c>EngineException</c> with
    /// <c>EngineFailure.QueueFull</c> where too much waits.
    /// </summary>
    public bool Take(Frame frame)
    {
        if (frame.Payload.Length <= LongestShort && !frame.HasMedia)
            return false;
        lock (_lock)
        {
            _frames.Add(frame);
            Monitor.Pulse(_lock);
            if (_thread is null)
            {
                _thread = new Thread(Run, StackSize) { IsBackground = true, Name = "long frames" };
                _thread.Start();
            }
        }
        return true;
    }

    /// <summary>
    /// Cancels a request. True where its frame waited here and is removed; false where it was handled already, or is being handled and is
    /// signalled.
    /// </summary>
    public bool Cancel(uint id)
    {
        lock (_lock)
        {
            if (_current?.Id == id)
                _current.Value.Cancellation.Cancel();
            return _frames.Remove(id);
        }
    }

    private void Run()
    {
        if (isBehind)
            Posix.LowerThreadPriority();
        while (true)
        {
            using var cancellation = new CancellationTokenSource();
            Frame? frame;
            lock (_lock)
            {
                while ((frame = _frames.Take()) is null)
                    Monitor.Wait(_lock);
                _current = (frame.Value.Id, cancellation);
            }
            handle(frame.Value, cancellation.Token);
            lock (_lock)
                _current = null;
        }
    }
}
