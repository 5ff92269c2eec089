using Shimmy.Worker.Scheduling;

namespace Shimmy.Tests.Worker.Scheduling;

/// <summary>How much of a prompt a turn computes, by the time of a token.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ChunkLimitTests
{
    [TestMethod]
    [DataRow(false, 0.0, 512)]
    [DataRow(false, 0.0001, 512)]
    [DataRow(false, 0.002, 128)]
    [DataRow(false, 0.5, 64, DisplayName = "alone: no fewer, however slow")]
    [DataRow(true, 0.0, 32, DisplayName = "among streams, not known yet")]
    [DataRow(true, 0.001, 64)]
    [DataRow(true, 0.5, 32, DisplayName = "among streams")]
    public void A_chunk_takes_half_a_second_alone_and_a_tenth_among_streams(bool others, double secondsPerToken, int tokens)
    {
        Assert.AreEqual(tokens, BatchBuilder.ChunkLimit(others, secondsPerToken, batchSize: 512));
        Assert.AreEqual(Math.Min(tokens, 16), BatchBuilder.ChunkLimit(others, secondsPerToken, batchSize: 16));
    }
}
