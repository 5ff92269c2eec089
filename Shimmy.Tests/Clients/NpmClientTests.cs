using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Clients;

/// <summary>Clients from npm drive the program; each script checks what its client makes of the answers.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class NpmClientTests
{
    private static readonly TemporaryFolder Folder = new();
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
    public Task A_client_gets_what_it_expects(string script, string path) =>
        NpmScript.RunAsync(script, TimeSpan.FromMinutes(2), new Uri(_server.Client.BaseAddress!, path).ToString());
}
