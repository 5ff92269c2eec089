using System.Text.Json;
using Shimmy.Models;

namespace Shimmy.Tests.Models;

[TestClass]
[TestCategory("Unit")]
public sealed class KeepAliveTests
{
    [TestMethod]
    [DataRow("\"5m\"", 300)]
    [DataRow("\"1h30m\"", 5400)]
    [DataRow("\"1.5s\"", 1.5)]
    [DataRow("\"250ms\"", 0.25)]
    [DataRow("\"300\"", 300)]
    [DataRow("\"+10s\"", 10)]
    [DataRow("300", 300)]
    [DataRow("0.5", 0.5)]
    [DataRow("0", 0)]
    [DataRow("\"0\"", 0)]
    [DataRow("\"0s\"", 0)]
    public void Seconds_and_durations_are_read(string json, double seconds)
    {
        Assert.IsTrue(KeepAlive.TryParse(Element(json), out var keepAlive));
        Assert.AreEqual(seconds, keepAlive.TotalSeconds, 1e-6);
    }

    [TestMethod]
    [DataRow("-1")]
    [DataRow("\"-1\"")]
    [DataRow("\"-5m\"")]
    [DataRow("1e300")]
    [DataRow("\"999999999h\"")]
    public void Negative_and_endless_ones_are_for_ever(string json)
    {
        Assert.IsTrue(KeepAlive.TryParse(Element(json), out var keepAlive));
        Assert.AreEqual(KeepAlive.Forever, keepAlive);
    }

    [TestMethod]
    [DataRow("\"\"")]
    [DataRow("\"-\"")]
    [DataRow("\"soon\"")]
    [DataRow("\"5\u00A0m\"")]
    [DataRow("\"5m3\"")]
    [DataRow("\"m\"")]
    [DataRow("\"1..5s\"")]
    [DataRow("\"NaN\"")]
    [DataRow("true")]
    [DataRow("null")]
    [DataRow("[5]")]
    public void Anything_else_is_refused(string json) => Assert.IsFalse(KeepAlive.TryParse(Element(json), out _));

    private static JsonElement Element(string json) => JsonDocument.Parse(json).RootElement;
}
