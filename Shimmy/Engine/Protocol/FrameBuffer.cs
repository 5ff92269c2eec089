namespace Shimmy.Engine.Protocol;

/// <summary>Queue of frames, bounded in bytes. Not thread-safe: its owner holds a lock.</summary>
internal sealed class FrameBuffer
{
    // In bytes: some hundred long prompts. More than that means that the worker does not keep up, and the memory is the server's.
    private const long Most = 64 << 20;

    // The same for prompts with media, of which one photo has tens of megabytes. They count apart, so that no text is refused for them.
    private const long MostWithMedia = 1 << 30;

    private readonly LinkedList<Frame> _frames = new();
    private long _bytes;
    private long _bytesWithMedia;

    /// <summary>Whether there is none.</summary>
    public bool IsEmpty => _frames.Count == 0;

    /// <summary>
    /// Adds one; throws <see cref="EngineException"/> with <see cref="EngineFailure.QueueFull"/> where 64 MiB wait already, or 1 GiB of
    /// prompts with media.
    /// </summary>
    public void Add(Frame frame)
    {
        // Frames without payload (cancels above all) are always taken.
        var (waiting, most) = frame.HasMedia ? (_bytesWithMedia, MostWithMedia) : (_bytes, Most);
        if (waiting > most && frame.Payload.Length > 0)
        {
            var which = frame.HasMedia ? " with pictures and sounds" : "";
            throw EngineException.Held($"requests{which} that the worker of this model has not read yet", waiting, most);
        }

        _frames.AddLast(frame);
        Count(frame, frame.Payload.Length);
    }

    /// <summary>Removes and returns the first frame; null where the queue is empty.</summary>
    public Frame? Take()
    {
        if (_frames.First is not { } first)
            return null;
        Remove(first);
        return first.Value;
    }

    /// <summary>Removes the frame of this request; false where it is not in the queue.</summary>
    public bool Remove(uint id)
    {
        for (var node = _frames.First; node is not null; node = node.Next)
        {
            if (node.Value.Id != id)
                continue;
            Remove(node);
            return true;
        }
        return false;
    }

    /// <summary>Removes all frames.</summary>
    public void Clear()
    {
        _frames.Clear();
        (_bytes, _bytesWithMedia) = (0, 0);
    }

    private void Remove(LinkedListNode<Frame> node)
    {
        _frames.Remove(node);
        Count(node.Value, -node.Value.Payload.Length);
    }

    private void Count(Frame frame, int bytes)
    {
        if (frame.HasMedia)
            _bytesWithMedia += bytes;
        else
            _bytes += bytes;
    }
}
