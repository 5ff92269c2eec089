using Shimmy.Cli;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Models;

namespace Shimmy.Tests.Cli.Options;

[TestClass]
[TestCategory("Unit")]
public sealed class OptionReaderTests
{
    private static OptionReader With(params (string Name, string Value)[] variables)
    {
        var environment = variables.ToDictionary(pair => pair.Name, pair => pair.Value);
        return new OptionReader(environment.GetValueOrDefault);
    }

    [TestMethod]
    public void The_command_line_comes_before_the_environment_before_the_default()
    {
        Assert.AreEqual(1, With(("SHIMMY_TOP_K", "2")).Whole("--top-k", "1", 3, least: 0));
        Assert.AreEqual(2, With(("SHIMMY_TOP_K", "2")).Whole("--top-k", null, 3, least: 0));
        Assert.AreEqual(3, With().Whole("--top-k", null, 3, least: 0));
    }

    [TestMethod]
    public void An_empty_variable_counts_as_unset() => Assert.AreEqual(3, With(("SHIMMY_TOP_K", "")).Whole("--top-k", null, 3, least: 0));

    [TestMethod]
    [DataRow("0,5")]
    [DataRow("1,000.5")]
    [DataRow("NaN")]
    [DataRow("Infinity")]
    [DataRow(" 1")]
    [DataRow("0x1")]
    [DataRow("100.5")]
    [DataRow("")]
    public void A_number_is_read_strictly(string text)
    {
        var refused = Assert.ThrowsExactly<UsageException>(() => Temperature(text));
        StringAssert.StartsWith(refused.Message, "--temperature: ");
        StringAssert.Contains(refused.Message, "0 to 100");
    }

    [TestMethod]
    [DataRow("0.5", 0.5f)]
    [DataRow("2", 2f)]
    [DataRow("1e-3", 0.001f)]
    public void Numbers_are_written_with_a_point(string text, float expected) => Assert.AreEqual(expected, Temperature(text));

    private static float Temperature(string text) =>
        SamplingArguments.Read(With(), new GenerationOptions(), ("--temperature", text)).Temperature;

    [TestMethod]
    public void A_switch_can_be_set_and_refused_in_the_environment()
    {
        Assert.IsTrue(With(("SHIMMY_JSON", "true")).Flag("--json", given: false));
        Assert.IsFalse(With(("SHIMMY_JSON", "0")).Flag("--json", given: false));
        Assert.IsTrue(With(("SHIMMY_JSON", "0")).Flag("--json", given: true));
        Assert.ThrowsExactly<UsageException>(() => With(("SHIMMY_JSON", "yes please")).Flag("--json", given: false));
    }

    [TestMethod]
    [DataRow("0", 0)]
    [DataRow("90", 90)]
    [DataRow("30s", 30)]
    [DataRow("5m", 300)]
    [DataRow("1h", 3600)]
    [DataRow("1h30m", 5400)]
    [DataRow("1500ms", 1.5)]
    public void Durations_are_seconds_or_carry_units(string text, double seconds) =>
        Assert.AreEqual(TimeSpan.FromSeconds(seconds), With().Duration("--keep-alive", text, default, KeepAlive.Allowed));

    [TestMethod]
    [DataRow("")]
    [DataRow("5 minutes")]
    [DataRow("m")]
    [DataRow("5m3")]
    [DataRow("NaN")]
    public void Other_durations_are_refused(string text) =>
        Assert.ThrowsExactly<UsageException>(() => With().Duration("--keep-alive", text, default, KeepAlive.Allowed));

    [TestMethod]
    [DataRow("-1")]
    [DataRow("-5m")]
    [DataRow("99999999999h")]
    public void A_negative_or_endless_duration_is_for_ever(string text) =>
        Assert.IsLessThan(TimeSpan.Zero, With().Duration("--keep-alive", text, default, KeepAlive.Allowed));

    [TestMethod]
    public void Values_of_a_repeated_option_are_kept_apart()
    {
        var args = CommandLine.Join(["serve", "--api-key", "a,b", "--cors", "*", "--api-key", "c"]);
        CollectionAssert.AreEqual(new[] { "serve", "--api-key", "a,b\u001fc", "--cors", "*" }, args);
        CollectionAssert.AreEqual(new[] { "a,b", "c" }, With().Repeated("--api-key", args[2]).ToArray());
    }

    [TestMethod]
    public void What_follows_two_dashes_is_left_alone() =>
        CollectionAssert.AreEqual(new[] { "exec", "--", "--x", "--x" }, CommandLine.Join(["exec", "--", "--x", "--x"]));
}
