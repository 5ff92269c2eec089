using Shimmy.Chat.Cache;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Chat.Cache;

/// <summary>What is kept, how much and how long.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ResponseCacheTests
{
    private readonly ManualTime _time = new();

    [TestMethod]
    public void The_least_recently_used_go_where_there_are_too_many_bytes()
    {
        var cache = new ResponseCache(10_000, _time);
        for (var i = 1; i <= 4; i++)
            cache.Store(Key(i), new byte[2_000]);
        Assert.IsNotNull(cache.Find(Key(1)));

        cache.Store(Key(5), new byte[2_000]);

        Assert.IsNull(cache.Find(Key(2)));
        foreach (var kept in new[] { 1, 3, 4, 5 })
            Assert.AreEqual(2_000, cache.Find(Key(kept))!.Value.Length);
        Assert.AreEqual((1, 4), (cache.Evictions, cache.Entries));
        Assert.IsInRange(8_000, 10_000, cache.Bytes);
    }

    [TestMethod]
    public void An_answer_goes_an_hour_after_it_was_computed_however_often_it_is_asked_for()
    {
        var cache = new ResponseCache(10_000, _time);
        cache.Store(Key(1), [1]);
        _time.Advance(ResponseCache.TimeToLive - TimeSpan.FromSeconds(1));
        Assert.IsNotNull(cache.Find(Key(1)));

        _time.Advance(TimeSpan.FromSeconds(1));

        Assert.IsNull(cache.Find(Key(1)));
        Assert.AreEqual((0, 0, 1), (cache.Entries, cache.Bytes, cache.Evictions));
    }

    [TestMethod]
    public void One_answer_does_not_drive_out_all_others()
    {
        var cache = new ResponseCache(10_000, _time);
        cache.Store(Key(1), [1]);
        cache.Store(Key(2), new byte[cache.LargestAnswer + 1]);
        Assert.IsNull(cache.Find(Key(2)));

        cache.Store(Key(2), new byte[cache.LargestAnswer]);

        Assert.IsNotNull(cache.Find(Key(1)));
        Assert.IsNotNull(cache.Find(Key(2)));
    }

    [TestMethod]
    public void An_answer_that_was_computed_anew_replaces_the_old_one()
    {
        var cache = new ResponseCache(10_000, _time);
        cache.Store(Key(1), new byte[1_000]);
        var bytes = cache.Bytes;
        cache.Store(Key(1), new byte[500]);

        Assert.AreEqual(500, cache.Find(Key(1))!.Value.Length);
        Assert.AreEqual((1, bytes - 500, 0), (cache.Entries, cache.Bytes, cache.Evictions));
    }

    [TestMethod]
    public void Many_threads_leave_it_whole()
    {
        var cache = new ResponseCache(20_000, _time);
        Parallel.For(0, 8, thread =>
        {
            var random = new Random(thread);
            for (var i = 0; i < 5_000; i++)
            {
                var key = Key(random.Next(60));
                if (cache.Find(key) is { } found)
                    Assert.AreEqual((byte)key.Low, found.Span[0]);
                else
                    cache.Store(key, [.. Enumerable.Repeat((byte)key.Low, random.Next(1, 900))]);
            }
        });

        Assert.IsInRange(1, 20_000, cache.Bytes);
        var kept = Enumerable.Range(0, 60).Select(i => cache.Find(Key(i))).Where(answer => answer is not null)
            .Sum(answer => answer!.Value.Length);
        Assert.AreEqual(cache.Bytes, kept + cache.Entries * 200L);
    }

    private static CacheKey Key(int number) => new(0, (UInt128)number);
}
