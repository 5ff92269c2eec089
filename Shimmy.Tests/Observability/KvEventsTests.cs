using System.Net;
using System.Net.Sockets;
using Shimmy.Engine;
using Shimmy.Observability;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Observability;

/// <summary>What is held, over ZeroMQ. A real libzmq has read the same, by hand.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class KvEventsTests
{
    [TestMethod]
    public async Task Blocks_that_come_and_go_are_events_in_the_topic_of_their_model()
    {
        using var publisher = new ZmtpPublisher([new IPEndPoint(IPAddress.Loopback, 0)]);
        using var events = new KvEvents(publisher, "10.0.0.7:11435", TimeProvider.System,
            (model, adapter) => $"{model}/{adapter}");
        using var all = await ZmtpSubscriber.ConnectAsync(publisher.Port, "kv@");
        using var other = await ZmtpSubscriber.ConnectAsync(publisher.Port, "kv@10.0.0.7:11435@other");
        await Poll.UntilAsync(() => publisher.Subscriptions == 2, "both have subscribed");
        var tokens = Enumerable.Range(1, 2 * CellBlocks.Tokens).Select(i => 1000 * i).ToArray();

        events.Changed("one", Bytes(new CellChange(false, [long.MaxValue, 7], tokens, null, "style\0a, b")));
        events.Changed("other", Bytes(new CellChange(true, [8], tokens[..CellBlocks.Tokens], 5)));
        events.Changed("one", Bytes(new CellChange(false, [7]), new CellChange(true, [7])));
        events.Gone("one");
        events.Gone("other");
        events.Gone("other");

        var first = await all.ReceiveAsync();
        Assert.AreEqual(("kv@10.0.0.7:11435@one", 0L), (first.Topic, first.Number));
        AssertEvent(first.Events.Single(), "BlockStored", new object?[] { long.MaxValue, 7L }, null,
            tokens.Select(token => (object?)(long)token).ToArray(), 64L, null, "GPU", "one/style,one/a_ b");
        var second = await all.ReceiveAsync();
        Assert.AreEqual(("kv@10.0.0.7:11435@other", 1L), (second.Topic, second.Number));
        Assert.AreEqual(5L, second.Events.Single()[2]);
        Assert.AreEqual("CPU", second.Events.Single()[6]);
        var third = await all.ReceiveAsync();
        Assert.AreEqual(2L, third.Number, "one row of numbers for all topics");
        AssertEvent(third.Events[0], "BlockRemoved", new object?[] { 7L }, "GPU");
        AssertEvent(third.Events[1], "BlockRemoved", new object?[] { 7L }, "CPU");
        // Another model still holds some, and all that the server holds would be taken for gone.
        AssertEvent((await all.ReceiveAsync()).Events.Single(), "BlockRemoved", new object?[] { long.MaxValue }, "GPU");
        AssertEvent((await all.ReceiveAsync()).Events.Single(), "AllBlocksCleared");
        Assert.AreEqual("kv@10.0.0.7:11435@other", (await other.ReceiveAsync()).Topic);
        AssertEvent((await other.ReceiveAsync()).Events.Single(), "AllBlocksCleared");
    }

    [TestMethod]
    public async Task Whoever_reads_nothing_speaks_something_else_or_leaves_stops_nobody()
    {
        using var publisher = new ZmtpPublisher([new IPEndPoint(IPAddress.Loopback, 0)]);
        using var stranger = new TcpClient();
        await stranger.ConnectAsync(IPAddress.Loopback, publisher.Port);
        await stranger.GetStream()
            .WriteAsync("GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a browser that is long enough\r\n\r\n"u8.ToArray());
        using var asleep = await ZmtpSubscriber.ConnectAsync(publisher.Port, "a");
        var leaving = await ZmtpSubscriber.ConnectAsync(publisher.Port, "a");
        using var reader = await ZmtpSubscriber.ConnectAsync(publisher.Port, "a", "b");
        await Poll.UntilAsync(() => publisher.Subscriptions == 4, "all have subscribed");
        await reader.CancelAsync("a");
        await Poll.UntilAsync(() => publisher.Subscriptions == 3, "one no longer to a");
        leaving.Dispose();
        await Poll.UntilAsync(() => publisher.Subscriptions == 2, "one has left");

        var large = new byte[1 << 16];
        for (var i = 0; i < 1000; i++)
            publisher.Send("a"u8.ToArray(), large, large);
        publisher.Send("b"u8.ToArray(), new byte[8], [0x93, 0xCB, 0, 0, 0, 0, 0, 0, 0, 0, 0x90, 0]);

        Assert.AreEqual("b", (await reader.ReceiveAsync()).Topic);
    }

    [TestMethod]
    public async Task Whoever_asks_for_too_much_is_sent_away_and_so_are_too_many()
    {
        using var publisher = new ZmtpPublisher([new IPEndPoint(IPAddress.Loopback, 0)]);
        using var most = await ZmtpSubscriber.ConnectAsync(publisher.Port, [.. Enumerable.Range(0, 64).Select(i => $"{i}")]);
        await Poll.UntilAsync(() => publisher.Subscriptions == 64, "as many topics as are allowed");
        using var more = await ZmtpSubscriber.ConnectAsync(publisher.Port, [.. Enumerable.Range(0, 65).Select(i => $"{i}")]);
        await Assert.ThrowsAsync<IOException>(more.ReceiveAsync);
        await Poll.UntilAsync(() => publisher.Subscriptions == 64, "what was asked for too much is forgotten");

        // Those that say nothing count, too; whoever leaves makes room.
        var silent = new List<TcpClient>();
        for (var i = 0; i < 300; i++)
        {
            silent.Add(new TcpClient());
            await silent[i].ConnectAsync(IPAddress.Loopback, publisher.Port);
        }
        await Assert.ThrowsAsync<IOException>(() => ZmtpSubscriber.ConnectAsync(publisher.Port, "late"));
        silent.ForEach(one => one.Dispose());
        await Poll.UntilAsync(async () =>
        {
            try
            {
                (await ZmtpSubscriber.ConnectAsync(publisher.Port, "late")).Dispose();
                return true;
            }
            catch (IOException)
            {
                return false;
            }
        }, "there is room again");
    }

    private static void AssertEvent(IReadOnlyList<object?> told, params object?[] expected) =>
        Assert.AreEqual(Flat(expected), Flat(told));

    private static string Flat(object? value) =>
        value is IEnumerable<object?> list ? $"[{string.Join(',', list.Select(Flat))}]" : value?.ToString() ?? "nil";

    private static byte[] Bytes(params CellChange[] changes)
    {
        using var stream = new MemoryStream();
        foreach (var change in changes)
            CellBlocks.Write(stream, change);
        return stream.ToArray();
    }
}
