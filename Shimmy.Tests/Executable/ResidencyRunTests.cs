using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable;

/// <summary>Models come and go under load without a wrong answer, without thrashing and without a trace.</summary>
[TestClass]
[TestCategory("Executable")]
[DoNotParallelize]
public sealed class ResidencyRunTests
{
    public TestContext TestContext { get; set; } = null!;

    [TestMethod]
    public async Task Random_requests_over_five_models_with_memory_for_two()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("Linux alone tells the workers.");

        var run = await ResidencyRun.RunAsync(TimeSpan.FromSeconds(8));

        TestContext.WriteLine(run.ToString());
        Assert.AreEqual(0, run.Wrong, run.ToString());
        Assert.IsGreaterThan(40, run.Requests);
        Assert.IsLessThanOrEqualTo(2, run.MostLoaded);
        Assert.AreEqual(0, run.WorkersLeft);
        Assert.IsLessThanOrEqualTo(1.2 * run.LeastLoads, run.Loads, run.ToString());
        Assert.IsLessThan(30_000_000, run.BytesAfter - run.BytesBefore, run.ToString());
    }
}
