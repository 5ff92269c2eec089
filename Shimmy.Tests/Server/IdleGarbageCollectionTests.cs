using Shimmy.Server;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Server;

/// <summary>Memory is given back when nothing runs, and only then.</summary>
[TestClass]
[TestCategory("Unit")]
[DoNotParallelize]
public sealed class IdleGarbageCollectionTests
{
    [TestMethod]
    public void A_server_with_nothing_to_do_gives_memory_back_once()
    {
        var time = new ManualTime();
        using var collection = new IdleGarbageCollection(() => true, time);
        Allocate();

        collection.Begin();
        time.Advance(IdleGarbageCollection.Moment / 2);
        Assert.AreEqual(0, collection.Collections);
        time.Advance(IdleGarbageCollection.Moment / 2);
        Assert.AreEqual(1, collection.Collections);
        time.Advance(IdleGarbageCollection.Moment * 5);
        Assert.AreEqual(1, collection.Collections);
    }

    [TestMethod]
    public void A_busy_server_does_not_stop_for_it()
    {
        var time = new ManualTime();
        using var collection = new IdleGarbageCollection(() => false, time);
        Allocate();

        collection.Begin();
        time.Advance(IdleGarbageCollection.Moment * 2);

        Assert.AreEqual(0, collection.Collections);
    }

    private static void Allocate() => GC.KeepAlive(new byte[2 << 20]);
}
