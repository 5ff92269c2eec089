using Shimmy.Tests.Api;
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

    [TestMethod]
    public async Task Ollamas_client_pulls_and_deletes()
    {
        await using var run = await PullRouteTests.Run.StartAsync();
        run.Registry.AddOllama("library/tiny", "1b", ("model", PullRouteTests.Model), ("license", "free"u8.ToArray()));
        await NpmScript.RunAsync("ollama-pull.mjs", TimeSpan.FromMinutes(1), run.Http.Server.Address.ToString());
    }
}
