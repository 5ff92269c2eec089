using System.Diagnostics;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Clients;

/// <summary>Clients from npm drive the program; each script checks what its client makes of the answers.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class NpmClientTests
{
    private static readonly TemporaryFolder Folder = new();
    private static readonly string Scripts = Path.Combine(Repository.Root, "Shimmy.Tests", "Clients");
    private static ServerProcess _server = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext _) => _server = await ServerProcess.StartAsync(Folder, "--threads", "1");

    [ClassCleanup]
    public static void Clean()
    {
        _server.Dispose();
        Folder.Dispose();
    }

    [TestMethod]
    [DataRow("openai.mjs", "v1")]
    [DataRow("ai.mjs", "v1")]
    [DataRow("anthropic.mjs", "")]
    [DataRow("ollama.mjs", "")]
    [DataRow("ollama-ai.mjs", "")]
    public async Task A_client_gets_what_it_expects(string script, string path)
    {
        if (!Directory.Exists(Path.Combine(Scripts, "node_modules")))
            Assert.Inconclusive("the clients are not installed: npm ci in Shimmy.Tests/Clients; .ci/run does it.");
        var start = new ProcessStartInfo("node", [script, new Uri(_server.Client.BaseAddress!, path).ToString()])
        {
            WorkingDirectory = Scripts,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var node = Process.Start(start)!;
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        var output = node.StandardOutput.ReadToEndAsync(limit.Token);
        var errors = node.StandardError.ReadToEndAsync(limit.Token);
        await node.WaitForExitAsync(limit.Token);
        var said = await output;

        Assert.AreEqual(0, node.ExitCode, said + await errors);
        Assert.StartsWith("ok ", said);
    }
}
