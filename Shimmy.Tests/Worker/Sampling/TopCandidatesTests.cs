using Shimmy.Worker.Native;
using Shimmy.Worker.Sampling;

namespace Shimmy.Tests.Worker.Sampling;

[TestClass]
[TestCategory("Unit")]
public sealed class TopCandidatesTests
{
    [TestMethod]
    [DataRow(7, 3)]
    [DataRow(512, 40)]
    [DataRow(5000, 1)]
    [DataRow(150_001, 40)]
    [DataRow(3000, 3000)]
    public void The_selection_is_what_a_full_sort_gives(int size, int k)
    {
        var random = new Random(size + k);
        // Few distinct values, so that there are ties at the edge of the selection.
        var logits = Enumerable.Range(0, size).Select(_ => random.Next(0, size / 2) * 0.25f).ToArray();
        var expected = logits.Select((logit, id) => (logit, id)).OrderByDescending(x => x.logit).ThenBy(x => x.id).Take(k).ToArray();
        var candidates = new LlamaTokenData[Sampler.CandidatesCapacity(size)];

        var count = TopCandidates.Select(logits, k, candidates);

        Assert.AreEqual(Math.Min(k, size), count);
        CollectionAssert.AreEqual(expected.Select(x => x.id).ToArray(), candidates.Take(count).Select(c => c.Id).ToArray());
        Assert.AreEqual(expected[0].id, TopCandidates.IndexOfMax(logits));
    }

    [TestMethod]
    public void Rising_logits_are_the_worst_case_and_still_right()
    {
        var logits = Enumerable.Range(0, 100_000).Select(i => (float)i).ToArray();
        var candidates = new LlamaTokenData[Sampler.CandidatesCapacity(logits.Length)];

        var count = TopCandidates.Select(logits, 5, candidates);

        CollectionAssert.AreEqual(new[] { 99_999, 99_998, 99_997, 99_996, 99_995 }, candidates.Take(count).Select(c => c.Id).ToArray());
    }

    [TestMethod]
    public void NaN_and_negative_infinity_are_never_chosen()
    {
        var logits = new float[1000];
        Array.Fill(logits, float.NegativeInfinity);
        Array.Fill(logits, float.NaN, 100, 300);
        var candidates = new LlamaTokenData[Sampler.CandidatesCapacity(logits.Length)];
        Assert.AreEqual(-1, TopCandidates.IndexOfMax(logits));
        Assert.AreEqual(0, TopCandidates.Select(logits, 10, candidates));

        logits[777] = -3f;

        Assert.AreEqual(777, TopCandidates.IndexOfMax(logits));
        Assert.AreEqual(1, TopCandidates.Select(logits, 10, candidates));
        Assert.AreEqual(777, candidates[0].Id);
    }
}
