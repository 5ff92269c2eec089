using Shimmy.Engine;
using Shimmy.Engine.Protocol;

namespace Shimmy.Tests.Engine.Protocol;

/// <summary>What is sent to a worker that reads when it likes.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class FrameQueueTests
{
    [TestMethod]
    public async Task What_is_sent_while_nobody_reads_waits_for_the_reader_and_the_sender_does_not()
    {
        using var pipe = new Pipe();
        var queue = new FrameQueue(pipe);

        queue.Send(FrameKind.Generate, 1, [11]);
        queue.Send(FrameKind.Tokenize, 2, [22]);
        queue.Send(FrameKind.Statistics, 3, []);
        Assert.AreEqual("", await pipe.ReadAsync(frames: 0));

        Assert.AreEqual("Generate 1: 11|Tokenize 2: 22|Statistics 3: ", await pipe.ReadAsync(frames: 3));
        queue.Send(FrameKind.Embed, 4, [44]);
        Assert.AreEqual("Embed 4: 44", await pipe.ReadAsync(frames: 1));
    }

    [TestMethod]
    public async Task What_is_cancelled_before_it_was_written_is_never_written_and_what_is_on_its_way_is_cancelled_behind_it()
    {
        using var pipe = new Pipe();
        var queue = new FrameQueue(pipe);
        queue.Send(FrameKind.Generate, 1, [11]);
        queue.Send(FrameKind.Generate, 2, [22]);
        queue.Send(FrameKind.Generate, 3, [33]);

        queue.Cancel(2);
        queue.Cancel(1);

        Assert.AreEqual("Generate 1: 11|Generate 3: 33|Cancel 1: ", await pipe.ReadAsync(frames: 3));
    }

    [TestMethod]
    public async Task Behind_too_much_that_is_unread_a_request_is_refused_and_a_cancel_is_not()
    {
        using var pipe = new Pipe();
        var queue = new FrameQueue(pipe);
        var megabytes = new byte[33 << 20];
        queue.Send(FrameKind.Generate, 1, []);
        queue.Send(FrameKind.Generate, 2, megabytes);
        queue.Send(FrameKind.Generate, 3, megabytes);

        var refused = Assert.ThrowsExactly<EngineException>(() => queue.Send(FrameKind.Generate, 4, [44]));
        queue.Cancel(1);

        Assert.AreEqual(EngineFailure.QueueFull, refused.Failure);
        Assert.Contains("66 MiB", refused.Message);
        queue.Cancel(2);
        queue.Send(FrameKind.Generate, 5, [55]);
        queue.Cancel(3);
        Assert.AreEqual("Generate 1: |Cancel 1: |Generate 5: 55", await pipe.ReadAsync(frames: 3));
    }

    [TestMethod]
    public async Task A_pipe_is_closed_behind_the_frame_that_is_being_written_and_takes_nothing_more()
    {
        using var pipe = new Pipe();
        var queue = new FrameQueue(pipe);
        queue.Send(FrameKind.Generate, 1, [11]);
        queue.Send(FrameKind.Generate, 2, [22]);

        queue.Close();
        Assert.IsFalse(pipe.Closed.IsCompleted, "it was closed in the middle of a frame");

        Assert.Throws<IOException>(() => queue.Send(FrameKind.Generate, 3, [33]));
        Assert.AreEqual("Generate 1: 11", await pipe.ReadAsync(frames: 1));
        await pipe.Closed.WaitAsync(TimeSpan.FromSeconds(10));
    }

    [TestMethod]
    public async Task A_reader_that_is_gone_closes_it()
    {
        using var pipe = new Pipe();
        var queue = new FrameQueue(pipe);
        queue.Send(FrameKind.Generate, 1, [11]);

        pipe.Break();

        await pipe.Closed.WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Throws<IOException>(() => queue.Send(FrameKind.Generate, 2, [22]));
    }

    /// <summary>A pipe without any room: each write waits until it is read.</summary>
    private sealed class Pipe : MemoryStream
    {
        private readonly TaskCompletionSource _closed = new();
        private readonly SemaphoreSlim _room = new(0);
        private readonly SemaphoreSlim _written = new(0);
        private readonly List<byte[]> _frames = [];
        private bool _broken;

        public Task Closed => _closed.Task;

        public async Task<string> ReadAsync(int frames)
        {
            var before = _frames.Count;
            if (frames > 0)
                _room.Release(frames);
            for (var i = 0; i < frames; i++)
                Assert.IsTrue(await _written.WaitAsync(TimeSpan.FromSeconds(10)), "no frame was written");
            return string.Join('|', _frames[before..].Select(Describe));
        }

        public void Break()
        {
            _broken = true;
            _room.Release();
        }

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            await _room.WaitAsync(cancellationToken);
            if (_broken)
                throw new IOException("broken pipe");
            _frames.Add(buffer.ToArray());
            _written.Release();
        }

        protected override void Dispose(bool disposing)
        {
            _closed.TrySetResult();
            base.Dispose(disposing);
        }

        private static string Describe(byte[] written)
        {
            using var reader = new FrameReader(new MemoryStream(written));
            var frame = reader.Read()!.Value;
            return $"{frame.Kind} {frame.Id}: {string.Join(' ', frame.Payload)}";
        }
    }
}
