using System.Text;
using Shimmy.Http;

namespace Shimmy.Tests.Http;

/// <summary>What a stream that outlives its client keeps.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ConversationStreamTests
{
    [TestMethod]
    public async Task Every_byte_of_the_last_4_MiB_is_there_and_no_older_one()
    {
        var stream = new ConversationStream("id", "id", DateTimeOffset.UnixEpoch);
        var all = new byte[(5 << 20) + 12345];
        new Random(1).NextBytes(all);
        for (var at = 0; at < all.Length; at += 100_003)
            stream.Write(all.AsSpan(at, Math.Min(100_003, all.Length - at)));
        stream.End();

        Assert.AreEqual((all.Length, all.Length - (4 << 20)), (stream.Length, stream.First));
        foreach (var from in new[] { stream.First, stream.First + 1, stream.Length - 1 })
        {
            var read = await stream.ReadAsync(from, CancellationToken.None);
            Assert.IsTrue(all.AsSpan((int)from).SequenceEqual(read!.Value.Bytes));
        }
        Assert.IsNull(await stream.ReadAsync(stream.First - 1, CancellationToken.None));
        Assert.IsFalse((await stream.ReadAsync(stream.Length, CancellationToken.None))!.Value.More);
    }

    [TestMethod]
    public async Task A_reader_waits_for_what_is_not_said_yet()
    {
        var stream = new ConversationStream("id", "id", DateTimeOffset.UnixEpoch);
        stream.Write("one"u8);
        var next = stream.ReadAsync(3, CancellationToken.None).AsTask();
        Assert.IsFalse(next.IsCompleted);

        stream.Write("two"u8);

        Assert.AreEqual("two", Encoding.UTF8.GetString((await next)!.Value.Bytes));
    }

    [TestMethod]
    public void One_write_beyond_all_that_is_kept_leaves_its_end()
    {
        var stream = new ConversationStream("id", "id", DateTimeOffset.UnixEpoch);
        stream.Write("one"u8);

        stream.Write(new byte[(4 << 20) + 10]);

        Assert.AreEqual(13, stream.First);
    }
}
