using Shimmy.Tests.Api;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Clients;

/// <summary>Clients from npm drive the program; each script checks what its client makes of the answers. <c>npm test</c> runs them all.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class NpmClientTests
{
    [TestMethod]
    public async Task The_clients_pass_their_own_tests_under_exec()
    {
        NpmScript.Require();
        var run = await ShimmyProcess.RunAsync(
            ["exec", "--quiet", "--threads", "1", "--", "npm", "test", "--silent"], NpmScript.Folder, limit: TimeSpan.FromMinutes(4));

        Assert.AreEqual(0, run.ExitCode, run.Output + run.Errors);
        Assert.IsGreaterThan(20, run.Output.Split('\n').Count(line => line.StartsWith("ok ", StringComparison.Ordinal)), run.Output);
    }

    [TestMethod]
    public async Task Ollamas_client_pulls_and_deletes()
    {
        await using var run = await PullRouteTests.Run.StartAsync();
        run.Registry.AddOllama("library/tiny", "1b", ("model", PullRouteTests.Model), ("license", "free"u8.ToArray()));
        await NpmScript.RunAsync("ollama-pull.mjs", TimeSpan.FromMinutes(1), run.Http.Server.Address.ToString());
    }
}
