using Shimmy.Cli.Setup;

namespace Shimmy.Tests.Cli.Setup;

[TestClass]
[TestCategory("Unit")]
public sealed class OpenSslLibraryTests
{
    [TestMethod]
    [DataRow("libssl.so.3", null)]
    [DataRow("libssl.so.1.1", null)]
    [DataRow("libssl.so.4", "4")]
    public void One_version_is_enough(string there, string? named) =>
        Assert.IsNull(OpenSslLibrary.WhyMissing(name => name == there, named));

    [TestMethod]
    public void Without_any_the_packages_are_named()
    {
        Assert.Contains("apt-get install libssl3", OpenSslLibrary.WhyMissing(_ => false, null)!);
        Assert.IsNotNull(OpenSslLibrary.WhyMissing(name => name == "libssl.so.4", null));
    }

    [TestMethod]
    public void This_machine_has_what_the_tests_run_on() => Assert.IsNull(OpenSslLibrary.WhyMissing());
}
