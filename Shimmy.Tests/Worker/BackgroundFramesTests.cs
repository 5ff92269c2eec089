using System.Collections.Concurrent;
using Shimmy.Engine.Protocol;
using Shimmy.Worker;

namespace Shimmy.Tests.Worker;

/// <summary>What a worker deals with beside its reading.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class BackgroundFramesTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(10);

    [TestMethod]
    public void Only_what_takes_long_to_read_is_taken()
    {
        var frames = new BackgroundFrames((_, _) => { });

        Assert.IsTrue(frames.Take(Long(1)));
        Assert.IsFalse(frames.Take(new Frame(FrameKind.Generate, 2, new byte[100])));
    }

    [TestMethod]
    public void They_come_one_after_the_other_without_those_that_were_cancelled()
    {
        var begun = new BlockingCollection<uint>();
        var gate = new SemaphoreSlim(0);
        var cancelled = new ConcurrentQueue<uint>();
        var frames = new BackgroundFrames((frame, cancellation) =>
        {
            begun.Add(frame.Id, CancellationToken.None);
            gate.Wait(Soon, CancellationToken.None);
            if (cancellation.IsCancellationRequested)
                cancelled.Enqueue(frame.Id);
        });
        for (var id = 1u; id <= 4; id++)
            frames.Take(Long(id));
        Assert.AreEqual(1u, Begun());

        Assert.IsTrue(frames.Cancel(2), "it waited here, and nobody else knows it");
        Assert.IsFalse(frames.Cancel(1), "it is being dealt with, and may be known elsewhere by now");
        Assert.IsFalse(frames.Cancel(9));
        gate.Release();
        Assert.AreEqual(3u, Begun());
        gate.Release();
        Assert.AreEqual(4u, Begun());
        Assert.AreEqual("1", string.Join(' ', cancelled));
        gate.Release();

        uint Begun() => begun.TryTake(out var id, Soon) ? id : 0;
    }

    private static Frame Long(uint id) => new(FrameKind.Generate, id, new byte[100_000]);
}
