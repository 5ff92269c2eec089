using Shimmy.Worker.Prefixes;

namespace Shimmy.Tests.Worker.Prefixes;

[TestClass]
[TestCategory("Unit")]
public sealed class CheckpointPlanTests
{
    private const int Control = 1;
    private const int Blank = 2;
    private const int Word = 5;

    [TestMethod]
    public void A_plain_prompt_has_checkpoints_at_regular_places_and_at_its_end()
    {
        CollectionAssert.AreEqual(new[] { 256, 512, 743, 998, 1000 }, PlanOf(Words(1000), 0));
        CollectionAssert.AreEqual(new[] { 743, 998, 1000 }, PlanOf(Words(1000), 600));
    }

    [TestMethod]
    public void Some_way_before_the_end_is_one_whatever_the_regular_places()
    {
        CollectionAssert.Contains(PlanOf(Words(1600), 0, step: 512), 1343);
        CollectionAssert.Contains(PlanOf(Words(2300), 0, step: 512), 2043);
        // 512 is a regular place, of which large states have fewer.
        CollectionAssert.Contains(PlanOf(Words(769), 0, step: 512), 511);
        CollectionAssert.DoesNotContain(PlanOf([.. Words(1300), Control, Control, .. Words(300)], 0), 1345);
    }

    [TestMethod]
    public void The_last_turns_begin_with_a_checkpoint()
    {
        int[] prompt = [.. Words(100), Control, Blank, Control, .. Words(300), Control, Control, .. Words(200), Control, Blank, Control, Word];

        CollectionAssert.AreEqual(new[] { 404, 512, 607 }, PlanOf(prompt, 260));
        // The oldest turn is not among the last two.
        CollectionAssert.AreEqual(new[] { 256, 404, 512, 607 }, PlanOf(prompt, 0));
    }

    [TestMethod]
    public void What_is_quick_to_compute_has_no_checkpoint()
    {
        Assert.IsEmpty(PlanOf(Words(70), 0));
        Assert.IsEmpty(PlanOf(Words(1000), 940));
        // Tokens of a picture are no control tokens.
        Assert.HasCount(2, PlanOf([.. Words(100), -3, -3, .. Words(100)], 0));
    }

    [TestMethod]
    public void Large_states_are_taken_seldom()
    {
        Assert.AreEqual(256, CheckpointPlan.StepOf(256, 1 << 20));
        Assert.AreEqual(2560, CheckpointPlan.StepOf(256, 75L << 20));
    }

    private static int[] PlanOf(int[] prompt, int cached, int step = 256) =>
        CheckpointPlan.Of(prompt, cached, step, token => token == Control, token => token == Blank);

    private static int[] Words(int count) => [.. Enumerable.Repeat(Word, count)];
}
