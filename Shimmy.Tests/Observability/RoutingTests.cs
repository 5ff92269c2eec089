using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Observability;

/// <summary>What a picker gains by the metrics that it scrapes, on servers that are simulated with the times of a measured one.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class RoutingTests
{
    // Seconds for a token of a prompt and of an answer: a model of 143 MB on two cores.
    private const double Prompt = 0.0046;
    private const double Answer = 0.03;

    public TestContext TestContext { get; set; } = null!;

    [TestMethod]
    [DataRow(3, 60)]
    [DataRow(1000, 12)]
    public void Picked_servers_answer_at_least_twice_as_soon_as_servers_in_turn(int servers, int requestsOfServer)
    {
        var turn = new SimulatedFleet(servers, Prompt, Answer, requestsOfServer).Run(picks: false);
        var picked = new SimulatedFleet(servers, Prompt, Answer, requestsOfServer).Run(picks: true);
        var said = $"seconds to the first token: {turn.Median:F2} in turn, {picked.Median:F2} picked; found {turn.Hits:P0} and {picked.Hits:P0}";
        TestContext.WriteLine(said);
        Assert.IsGreaterThanOrEqualTo(2 * picked.Median, turn.Median, said);
        Assert.IsGreaterThan(turn.Hits, picked.Hits);
    }
}
