using Shimmy.Worker.Model;
using Shimmy.Worker.Native;
using Shimmy.Worker.Prefixes;
using Shimmy.Worker.Sequences;

namespace Shimmy.Tests.Worker.Prefixes;

[TestClass]
[TestCategory("Unit")]
public sealed class PrefixStoreTests
{
    private const int Tokens = 50;
    private const int Bytes = 1000;
    private static readonly PrefixKey None = new(new AdapterSet([]), "");

    [TestMethod]
    public void The_least_valuable_state_leaves_first()
    {
        var store = new PrefixStore(4 * Bytes);
        for (var i = 0; i < 4; i++)
            store.Add(Of(i), replacesShorter: false);
        // The first was of use again, the second not; the third spares twice as much for its bytes.
        store.Remove(store.States[2]);
        store.Add(Of(2, 2 * Tokens), replacesShorter: false);
        Assert.IsTrue(store.Holds(Words(0, Tokens), None, checkpoint: false, exactly: true));

        store.Add(Of(4), replacesShorter: false);

        Assert.AreEqual(1L, store.Evicted);
        Assert.AreEqual(4L * Bytes, store.Bytes);
        CollectionAssert.AreEquivalent(new[] { 0, 2, 3, 4 }, store.States.Select(state => state.Tokens[0] / 1000).ToArray());
    }

    [TestMethod]
    public void A_protected_state_stays_and_one_that_is_too_large_is_not_taken()
    {
        var store = new PrefixStore(4 * Bytes);
        var states = Enumerable.Range(0, 4).Select(i => Of(i)).ToArray();
        foreach (var state in states)
            store.Add(state, replacesShorter: false);

        using (store.Protect(states[0], states[1]))
        {
            store.Add(Of(5), replacesShorter: false);
            store.Add(Of(6), replacesShorter: false);
        }
        var large = Of(7, bytes: (3 * Bytes) + 1);
        store.Add(large, replacesShorter: false);

        CollectionAssert.AreEquivalent(new[] { 0, 1, 5, 6 }, store.States.Select(state => state.Tokens[0] / 1000).ToArray());
        Assert.IsTrue(large.Buffer.IsClosed);
    }

    [TestMethod]
    public void One_state_may_take_three_quarters_of_the_memory()
    {
        var store = new PrefixStore(4 * Bytes);
        for (var i = 0; i < 4; i++)
            store.Add(Of(i), replacesShorter: false);

        Assert.IsTrue(store.Add(Of(4, bytes: 3 * Bytes), replacesShorter: false));

        CollectionAssert.AreEquivalent(new[] { 3, 4 }, store.States.Select(state => state.Tokens[0] / 1000).ToArray());
        Assert.AreEqual(4L * Bytes, store.Bytes);
    }

    [TestMethod]
    public void Kept_logits_are_counted()
    {
        var ends = new PromptLogitsCache(10_000);
        ends.Keep(Words(1, Tokens), None, new float[1000]);
        ends.Keep(Words(2, Tokens), None, new float[1000]);
        ends.Keep(Words(3, Tokens), None, new float[1000]);

        Assert.AreEqual(2 * sizeof(float) * (1000L + Tokens), ends.Bytes);
    }

    [TestMethod]
    public void A_checkpoint_without_cells_or_a_whole_state_leaves_before_all_others()
    {
        var store = new PrefixStore(4 * Bytes) { Holder = state => state.Tokens[0] == 3000 };
        store.Add(Of(1), replacesShorter: false);
        store.Add(Of(1, Tokens / 2, checkpoint: true), replacesShorter: false);
        store.Add(Of(2, 2 * Tokens, checkpoint: true), replacesShorter: false);
        store.Add(Of(3, checkpoint: true), replacesShorter: false);

        store.Add(Of(4), replacesShorter: false);
        CollectionAssert.AreEquivalent(new[] { 1, 1, 3, 4 }, store.States.Select(state => state.Tokens[0] / 1000).ToArray());

        // Nothing that is of use is older than the two that came last.
        Assert.IsFalse(HasRoom(5, Tokens, spared: 5));
        Assert.IsTrue(HasRoom(5, Tokens, spared: 4));
        Assert.IsTrue(HasRoom(4, 2 * Tokens, spared: 5), "in the place of a shorter one");
        Assert.IsFalse(store.Add(Of(5), replacesShorter: false, spared: 5));
        Assert.IsTrue(store.Add(Of(6), replacesShorter: false, spared: 4));
        CollectionAssert.AreEquivalent(new[] { 1, 3, 4, 6 }, store.States.Select(state => state.Tokens[0] / 1000).ToArray());

        bool HasRoom(int first, int tokens, long spared) =>
            store.HasRoom(Words(first, tokens), None, Bytes - (sizeof(int) * tokens), replacesShorter: true, spared);
    }

    [TestMethod]
    public void A_longer_state_takes_the_place_of_a_shorter_one()
    {
        var store = new PrefixStore(10 * Bytes);
        store.Add(Of(1), replacesShorter: true);
        store.Add(Of(2), replacesShorter: true);
        store.Add(Of(1, Tokens, checkpoint: true), replacesShorter: false);

        store.Add(Of(1, 2 * Tokens), replacesShorter: true);

        CollectionAssert.AreEquivalent(
            new[] { Tokens, Tokens, 2 * Tokens }, store.States.Select(state => state.Length).ToArray(), "of the other, and a checkpoint");
        Assert.HasCount(3, store.States);
        Assert.AreEqual(Tokens, store.LongestCheckpoint(Words(1, 70), None, 60)!.Length);
        Assert.IsNull(store.LongestCheckpoint(Words(1, 70), None, Tokens - 1));
        Assert.IsNull(store.LongestCheckpoint(Words(1, 70), None with { Adapters = new AdapterSet([1f]) }, 60));
        Assert.IsNull(store.LongestCheckpoint(Words(1, 70), None with { Client = "other" }, 60));
        Assert.AreEqual(70, store.Wholes(Words(1, 70), None).Single().Common);
    }

    private static SavedState Of(int first, int tokens = Tokens, bool checkpoint = false, int bytes = Bytes) =>
        new(Words(first, tokens), [], None, StateBuffer.Create(bytes - (sizeof(int) * tokens))!) { IsCheckpoint = checkpoint };

    private static int[] Words(int first, int count) => [.. Enumerable.Range(first * 1000, count)];
}
