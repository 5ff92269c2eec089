using Shimmy.Api.OpenAI.Responses;

namespace Shimmy.Tests.Api.OpenAI.Responses;

/// <summary>What the store keeps, and what goes.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ResponseStoreTests
{
    [TestMethod]
    public void The_oldest_go_where_there_are_too_many()
    {
        var store = new ResponseStore(most: 3);
        for (var i = 0; i < 10; i++)
            store.Add(Response($"{i}"));

        Assert.AreEqual(3, store.Count);
        Assert.IsNull(store.Find("6"));
        Assert.IsNotNull(store.Find("7"));
        Assert.AreEqual(3 * Response("0").Size, store.Bytes);
    }

    [TestMethod]
    public void The_oldest_go_where_they_are_too_large()
    {
        var size = Response("0").Size;
        var store = new ResponseStore(mostBytes: (size * 5) + 1);
        for (var i = 0; i < 10; i++)
            store.Add(Response($"{i}"));

        Assert.AreEqual(5, store.Count);
        Assert.AreEqual(size * 5, store.Bytes);
        store.Add(Response("large", text: (int)size * 6));
        Assert.AreEqual((0, 0L), (store.Count, store.Bytes));
    }

    [TestMethod]
    public void What_came_before_an_answer_is_kept_with_it_and_counted()
    {
        var store = new ResponseStore(most: 1);
        var first = Response("a");
        var second = Response("b", first);
        store.Add(first);
        store.Add(second);

        Assert.IsNull(store.Find("a"));
        Assert.AreEqual("a-in a-out b-in", string.Join(' ', store.Find("b")!.Context.Select(item => item.Id)));
        Assert.AreEqual(first.Size + second.Size, store.Bytes);
        // One that was forgotten before the answer to it came counts again.
        store.Remove("b");
        Assert.AreEqual(0, store.Bytes);
        store.Add(Response("c", second));
        Assert.AreEqual(first.Size + second.Size + Response("c").Size, store.Bytes);
        store.Add(Response("d"));
        Assert.AreEqual(Response("d").Size, store.Bytes);
    }

    [TestMethod]
    public void Two_that_follow_the_same_share_it()
    {
        var store = new ResponseStore();
        var first = Response("a");
        store.Add(first);
        store.Add(Response("b", first));
        store.Add(Response("c", first));

        Assert.AreEqual(3 * first.Size, store.Bytes);
        foreach (var (id, left) in new[] { ("a", 3), ("b", 2), ("c", 0) })
        {
            Assert.IsTrue(store.Remove(id));
            Assert.AreEqual(left * first.Size, store.Bytes);
        }
        Assert.IsFalse(store.Remove("c"));
    }

    [TestMethod]
    public void Items_are_found_while_their_answer_is()
    {
        var store = new ResponseStore(most: 1);
        store.Add(Response("a"));
        Assert.AreEqual("a-out", store.FindItem("a-out")!.Id);
        Assert.AreEqual("a-in", store.FindItem("a-in")!.Id);
        store.Add(Response("b"));
        Assert.IsNull(store.FindItem("a-out"));
    }

    [TestMethod]
    public void An_item_that_two_answers_hold_is_found_until_both_are_gone()
    {
        var store = new ResponseStore();
        store.Add(Response("a"));
        store.Add(Response("a") with { Id = "b" });
        store.Remove("b");
        Assert.AreEqual("a-in", store.FindItem("a-in")!.Id);
        store.Remove("a");
        Assert.IsNull(store.FindItem("a-in"));
    }

    private static StoredResponse Response(string id, StoredResponse? previous = null, int text = 5) => new(id, "completed", new byte[10],
        [new MessageItem(id + "-in", "user", [new ItemPart("input_text", new string('x', text))])],
        [new MessageItem(id + "-out", "assistant", [new ItemPart("output_text", "answer")])], previous);
}
