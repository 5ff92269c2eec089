using Shimmy.Worker.Speculation;

namespace Shimmy.Tests.Worker.Speculation;

[TestClass]
[TestCategory("Unit")]
public sealed class DecodeCostsTests
{
    [TestMethod]
    public void What_was_measured_is_known_and_what_lies_between_is_reckoned()
    {
        var costs = new DecodeCosts();
        Assert.AreEqual(0.0, costs.Of(1));
        Observe(costs, 1, 1.0);
        Assert.IsLessThan(2.0, costs.Of(9), "what is not known is guessed low, so that it is tried");
        Observe(costs, 9, 5.0);

        Assert.AreEqual(1.0, costs.Of(1), 1e-9);
        Assert.AreEqual(5.0, costs.Of(9), 1e-9);
        Assert.AreEqual(3.0, costs.Of(5), 1e-9);
    }

    [TestMethod]
    public void One_decode_that_was_held_up_does_not_spoil_what_is_known()
    {
        var costs = new DecodeCosts();
        Observe(costs, 4, 1.0);
        costs.Observe(4, 1000.0);
        Assert.IsLessThan(1.2, costs.Of(4));
    }

    [TestMethod]
    public void What_was_measured_long_ago_is_tried_again()
    {
        var costs = new DecodeCosts();
        Observe(costs, 1, 1.0);
        Observe(costs, 9, 100.0);
        for (var i = 0; i < 5000; i++)
            costs.Observe(1, 1.0);
        Assert.IsLessThan(10.0, costs.Of(9));
    }

    private static void Observe(DecodeCosts costs, int tokens, double seconds)
    {
        for (var i = 0; i < 3; i++)
            costs.Observe(tokens, seconds);
    }
}
