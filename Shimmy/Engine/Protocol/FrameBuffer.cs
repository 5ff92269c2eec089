namespace Shimmy.Engine.Protocol;

/// <summary>Frames that wait for the one that deals with them, in order. Guarded by who has it.</summary>
internal sealed class FrameBuffer
{
    // Some hundred long prompts. A worker that has so much before it does not get on, and what it holds is somebody's memory.
    private const long Most = 64 << 20;

    private readonly LinkedList<Frame> _frames = new();
    private long _bytes;

    /// <summary>Adds one; throws <see cref="EngineException"/> with <see cref="EngineFailure.QueueFull"/> behind too much that waits already.</summary>
    public void Add(Frame frame)
    {
        // What has no payload, a cancel above all, costs next to nothing.
        if (_bytes > Most && frame.Payload.Length > 0)
        {
            throw new EngineException(EngineFailure.QueueFull, $"{_bytes >> 20} MiB of requests wait already until the worker of this model reads them")
            {
                RetryAfterSeconds = 5,
            };
        }

        _frames.AddLast(frame);
        _bytes += frame.Payload.Length;
    }

    /// <summary>Takes out the first; null where none waits.</summary>
    public Frame? Take()
    {
        if (_frames.First is not { } first)
            return null;
        Remove(first);
        return first.Value;
    }

    /// <summary>Takes out the one of this id; false where it does not wait (any more).</summary>
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

    /// <summary>Forgets all.</summary>
    public void Clear()
    {
        _frames.Clear();
        _bytes = 0;
    }

    private void Remove(LinkedListNode<Frame> node)
    {
        _frames.Remove(node);
        _bytes -= node.Value.Payload.Length;
    }
}
