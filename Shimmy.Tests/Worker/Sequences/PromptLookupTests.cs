using Shimmy.Worker.Sequences;

namespace Shimmy.Tests.Worker.Sequences;

[TestClass]
[TestCategory("Unit")]
public sealed class PromptLookupTests
{
    [TestMethod]
    public void What_followed_the_last_tokens_before_is_foretold()
    {
        var (lookup, foretold) = (new PromptLookup(), new List<int>());
        int[] tokens = [1, 2, 3, 4, 5, 9, 8, 2, 3];

        lookup.Follow(tokens);
        lookup.Predict(tokens, 3, foretold);

        Assert.AreEqual(2, lookup.Match);
        CollectionAssert.AreEqual(new[] { 4, 5, 9 }, foretold);
    }

    [TestMethod]
    public void The_place_that_agrees_for_longest_wins_and_among_equals_the_latest()
    {
        Assert.AreEqual(7, Next(1, 2, 3, 7, 5, 2, 3, 8, 6, 1, 2, 3));
        Assert.AreEqual(8, Next(4, 2, 3, 7, 5, 2, 3, 8, 6, 2, 3));
        Assert.IsNull(Next(1, 2, 3, 4));
        Assert.IsNull(Next(1, 2, 3, 4, 2));
    }

    [TestMethod]
    public void A_repetition_is_continued_beyond_its_end()
    {
        var (lookup, foretold) = (new PromptLookup(), new List<int> { 0 });
        int[] tokens = [9, 1, 2, 3, 1, 2, 3];

        lookup.Follow(tokens);
        lookup.Predict(tokens, 7, foretold);

        CollectionAssert.AreEqual(new[] { 0, 1, 2, 3, 1, 2, 3, 1 }, foretold);
    }

    [TestMethod]
    public void Tokens_that_come_teach_how_far_to_trust_it()
    {
        var lookup = new PromptLookup();
        List<int> tokens = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2];
        lookup.Follow(tokens.ToArray());
        var before = (lookup.AcceptanceRate.Of(2), lookup.AcceptanceRate.Of(3));

        tokens.Add(3);
        lookup.Follow(tokens.ToArray());
        Assert.AreEqual(3, lookup.Match);
        Assert.IsGreaterThan(before.Item1, lookup.AcceptanceRate.Of(2));
        tokens.Add(1);
        lookup.Follow(tokens.ToArray());

        Assert.IsLessThan(before.Item2, lookup.AcceptanceRate.Of(3));
        Assert.AreEqual(0, lookup.Match);
    }

    [TestMethod]
    public void Random_tokens_that_come_true_by_chance_are_soon_not_trusted()
    {
        var lookup = new PromptLookup();
        var random = new Random(1);
        var tokens = new List<int>();
        for (var i = 0; i < 2000; i++)
        {
            tokens.Add(random.Next(20));
            lookup.Follow(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(tokens));
        }
        Assert.IsLessThan(0.15, lookup.AcceptanceRate.Of(2));
    }

    private static int? Next(params int[] tokens)
    {
        var (lookup, foretold) = (new PromptLookup(), new List<int>());
        lookup.Follow(tokens);
        lookup.Predict(tokens, 1, foretold);
        return foretold.Count == 0 ? null : foretold[0];
    }
}
