using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Models.Pull;

/// <summary>Registries that lie; the soak program <c>registries</c> tries many more.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class RegistryFuzzTests
{
    [TestMethod]
    public async Task What_registries_send_stays_in_the_folders_of_the_tools()
    {
        using var fuzz = new RegistryFuzz();
        for (var i = 0; i < 300; i++)
            Assert.IsNull(await fuzz.TryAsync(seed: 1, i));
    }
}
