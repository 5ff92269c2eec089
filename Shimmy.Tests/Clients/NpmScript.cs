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
        var start = new ProcessStartInfo("node", [script, .. arguments])
        {
            WorkingDirectory = Folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var node = Process.Start(start)!;
        using var end = new CancellationTokenSource(limit);
        try
        {
            var output = node.StandardOutput.ReadToEndAsync(end.Token);
            var errors = node.StandardError.ReadToEndAsync(end.Token);
            await node.WaitForExitAsync(end.Token);
            var said = await output;
            Assert.AreEqual(0, node.ExitCode, said + await errors);
            Assert.StartsWith("ok ", said);
        }
        finally
        {
            if (!node.HasExited)
                node.Kill(entireProcessTree: true);
        }
    }
}
