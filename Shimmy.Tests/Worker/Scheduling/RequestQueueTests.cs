using Shimmy.Engine;
using Shimmy.Worker.Model;
using Shimmy.Worker.Scheduling;
using Shimmy.Worker.Sequences;

namespace Shimmy.Tests.Worker.Scheduling;

/// <summary>Who gets the next slot.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class RequestQueueTests
{
    [TestMethod]
    [DataRow("a b c", "a b c", DisplayName = "one client: as they came")]
    [DataRow("a:2 b:1 c:2 d:-5", "d:-5 b:1 a:2 c:2", DisplayName = "its priorities, lower first")]
    [DataRow("a@x b@x c@x d@y e@y", "a@x d@y b@x e@y c@x", DisplayName = "clients take turns, whoever sent more")]
    [DataRow("a@x b@x:-9 c@x:-9 d@y:9", "b@x:-9 d@y:9 c@x:-9 a@x", DisplayName = "no priority takes another client's turn")]
    [DataRow("a@x b@x c@y+1 d@y+1 e@x", "c@y+1 d@y+1 a@x b@x e@x", DisplayName = "a higher rank comes first")]
    public void The_next_is_chosen(string arrived, string expected)
    {
        var line = new RequestQueue<Sequence>();
        foreach (var one in arrived.Split(' '))
            line.Add(Of(one));
        var order = new List<Sequence>();
        while (line.Count > 0)
            order.Add(line.TakeNext([]));
        Assert.AreEqual(expected, string.Join(' ', order.Select(NameOf)));
    }

    [TestMethod]
    public void A_client_with_less_running_comes_first_and_a_preempted_one_before_all()
    {
        var line = new RequestQueue<Sequence>();
        foreach (var one in (string[])["a@x", "b@y", "c@x+9"])
            line.Add(Of(one));
        line.Return(Of("p@x"));
        Assert.AreEqual("p@x", NameOf(line.TakeNext([])));
        Assert.AreEqual("c@x+9", NameOf(line.TakeNext([])));
        Assert.AreEqual("b@y", NameOf(line.TakeNext([Of("r@x")])));
    }

    [TestMethod]
    public void What_was_cancelled_leaves()
    {
        var line = new RequestQueue<Sequence>();
        var (stays, leaves, preempted) = (Of("a"), Of("b"), Of("c"));
        line.Add(stays);
        line.Add(leaves);
        line.Return(preempted);
        leaves.Cancelled = preempted.Cancelled = true;
        CollectionAssert.AreEquivalent(new[] { leaves, preempted }, line.TakeCancelled().ToArray());
        Assert.AreEqual(stays, line.Single());
    }

    // NAME[@CLIENT[+RANK]][:PRIORITY]
    private static Sequence Of(string text)
    {
        var priority = text.Split(':') is [_, var given] ? int.Parse(given, System.Globalization.CultureInfo.InvariantCulture) : 0;
        var client = text.Split(':')[0].Split('@') is [_, var named] ? named : "";
        var rank = client.Split('+') is [_, var high] ? int.Parse(high, System.Globalization.CultureInfo.InvariantCulture) : 0;
        return new Sequence(0, [text[0]], new GenerationOptions(), null!, 0, 100)
        {
            Adapters = new AdapterSet([]),
            Place = new QueuePlace(client.Split('+')[0], rank, priority)
        };
    }

    private static string NameOf(Sequence sequence)
    {
        var (client, rank, priority) = sequence.Place;
        return $"{(char)sequence.Tokens[0]}{(client.Length > 0 ? "@" + client : "")}{(rank != 0 ? "+" + rank : "")}{(priority != 0 ? ":" + priority : "")}";
    }
}
