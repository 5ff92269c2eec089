using System.Buffers;

namespace Shimmy.Engine.Protocol;

/// <summary>
/// Non-blocking writer of the server's end of a worker's pipe. A sender never waits for the worker to read: while the pipe is not full, the
/// sender's call writes the frame; frames that come while it is full are written in order when it is so no more. From any thread.
/// </summary>
internal sealed class FrameQueue(Stream output)
{
    private const int MostComposed = 64 * 1024; // bytes, as many as a pipe holds

    private readonly Lock _lock = new();
    private readonly FrameBuffer _frames = new();
    private bool _writing;
    private bool _closed;

    /// <summary>
    /// Sends a frame, whose payload must not change any more. Throws <see cref="IOException"/> once the pipe is closed, and
    /// <see cref="EngineException"/> with <see cref="EngineFailure.QueueFull"/> where too much is unwritten.
    /// </summary>
    public void Send(FrameKind kind, uint id, byte[] payload)
    {
        lock (_lock)
        {
            if (_closed)
                throw new IOException("the pipe is closed");
            _frames.Add(new Frame(kind, id, payload));
            if (_writing)
                return;
            _writing = true;
        }
        _ = WriteAsync();
    }

    /// <summary>
    /// Ends a request: takes back its frame, or, where that is on its way, sends a cancel after it. Gives whether it was taken back.
    /// </summary>
    public bool Cancel(uint id)
    {
        lock (_lock)
        {
            if (_frames.Remove(id))
                return true;
        }
        Send(FrameKind.Cancel, id, []);
        return false;
    }

    /// <summary>Closes the pipe after the frame that is being written, if any, and drops the frames that wait. Returns at once.</summary>
    public void Close()
    {
        lock (_lock)
        {
            if (_closed)
                return;
            _closed = true;
            _frames.Clear();
            if (_writing)
                return;
        }
        CloseOutput();
    }

    private async Task WriteAsync()
    {
        while (Next() is { } frame)
        {
            byte[] buffer = [];
            try
            {
                // Pictures have tens of megabytes, which are not copied once more: the beginning of a frame alone goes with its header.
                var begin = Math.Min(frame.Payload.Length, MostComposed);
                buffer = ArrayPool<byte>.Shared.Rent(FrameWriter.HeaderLength + begin);
                FrameWriter.Compose(buffer, frame.Kind, frame.Id, frame.Payload.Length, frame.Payload.AsSpan(0, begin));
                await output.WriteAsync(buffer.AsMemory(0, FrameWriter.HeaderLength + begin)).ConfigureAwait(false);
                if (begin < frame.Payload.Length)
                    await output.WriteAsync(frame.Payload.AsMemory(begin)).ConfigureAwait(false);
                await output.FlushAsync().ConfigureAwait(false);
            }
            catch (Exception)
            {
                // The worker is gone, which its owner learns from the other pipe; or it has half a frame and must go.
                Close();
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }
        }
    }

    private Frame? Next()
    {
        lock (_lock)
        {
            if (_frames.Take() is { } frame)
                return frame;
            _writing = false;
            if (!_closed)
                return null;
        }
        CloseOutput();
        return null;
    }

    private void CloseOutput()
    {
        try
        {
            output.Dispose();
        }
        catch (IOException)
        {
            // The worker was gone already.
        }
    }
}
