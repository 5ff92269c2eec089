using System.Diagnostics;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Clients;

/// <summary>Runs a script of this folder, which checks something with packages from npm.</summary>
internal static class NpmScript
{
    private static readonly string Scripts = Path.Combine(Repository.Root, "Shimmy.Tests", "Clients");

    /// <summary>Runs it; a check that fails fails the test, and without the packages it is skipped.</summary>
    public static async Task RunAsync(string script, TimeSpan limit, params string[] arguments)
    {
        if (!Directory.Exists(Path.Combine(Scripts, "node_modules")))
            Assert.Inconclusive("the clients are not installed: npm ci in Shimmy.Tests/Clients; .ci/run does it.");
        var start = new ProcessStartInfo("node", [script, .. arguments])
        {
            WorkingDirectory = Scripts,
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
