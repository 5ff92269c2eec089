using Shimmy.Cli.Commands;

namespace Shimmy.Tests.Cli.Commands;

[TestClass]
[TestCategory("Unit")]
public sealed class SpreadTests
{
    [TestMethod]
    public void The_median_of_an_odd_number_is_the_middle_one() => Assert.AreEqual(new Spread(2, 1, 9), Spread.Of([9, 1, 2]));

    [TestMethod]
    public void The_median_of_an_even_number_lies_between_the_middle_ones() =>
    Assert.AreEqual(new Spread(2.5, 1, 9), Spread.Of([9, 1, 2, 3]));
}
