using Shimmy.Cli.Servers;

namespace Shimmy.Tests.Cli.Servers;

/// <summary>The variables of a command that <c>exec</c> or <c>launch</c> starts.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class GuardedCommandTests
{
    private const string Local = "127.0.0.1,localhost,::1";

    [TestMethod]
    [DataRow("PATH=/bin", null, null)]
    [DataRow("no_proxy=a", null, "a")]
    [DataRow("http_proxy=", null, null)]
    [DataRow("http_proxy=http://p:1", Local, Local)]
    [DataRow("HTTPS_PROXY=http://p:1;NO_PROXY=a, b", "a, b," + Local, "a, b," + Local)]
    [DataRow("all_proxy=socks5://p:1;NO_PROXY=a;no_proxy=localhost,b", "a," + Local, "localhost,b," + Local)]
    [DataRow("http_proxy=http://p:1;no_proxy=*", null, "*")]
    public void A_proxy_is_passed_by_for_this_machine(string variables, string? upper, string? lower)
    {
        var environment = variables.Split(';').Select(one => one.Split('=', 2)).ToDictionary(one => one[0], one => (string?)one[1]);
        GuardedCommand.PassLocalBy(environment);

        Assert.AreEqual(upper, environment.GetValueOrDefault("NO_PROXY"));
        Assert.AreEqual(lower, environment.GetValueOrDefault("no_proxy"));
    }
}
