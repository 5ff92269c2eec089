using System.Diagnostics;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Clients;

/// <summary>Runs a script of this folder, which checks something with packages from npm.</summary>
internal static class NpmScript
{
    /// <summary>The folder of the scripts.</summary>
    public static string Folder { get; } = Path.Combine(Repository.Root, "Shimmy.Tests", "Clients");

    /// <summary>Skips the test where the packages are not installed.</summary>
    public static void Require()
    {
        if (!Directory.Exists(Path.Combine(Folder, "node_modules")))
            Assert.Inconclusive("the clients are not installed: npm ci in Shimmy.Tests/Clients; .ci/run does it.");
    }

    /// <summary>Runs it; a check that fails fails the test, and without the packages it is skipped.</summary>
    public static async Task RunAsync(string script, TimeSpan limit, params string[] arguments)
    {
        Require();
        var (exitCode, said) =
            await SystemTool.RunAsync(new ProcessStartInfo("node", [script, .. arguments]) { WorkingDirectory = Folder }, limit);
        Assert.AreEqual(0, exitCode, said);
        Assert.StartsWith("ok ", said);
    }
}
