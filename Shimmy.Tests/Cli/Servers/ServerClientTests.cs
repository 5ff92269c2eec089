using Shimmy.Api;
using Shimmy.Cli.Servers;
using Shimmy.Server;
using Shimmy.Models;
using Shimmy.Models.Discovery;
using Shimmy.Models.Registry;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Cli.Servers;

/// <summary>What commands ask a running server for.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ServerClientTests
{
    [TestMethod]
    public async Task A_model_is_found_by_its_name_in_any_spelling_by_an_alias_and_by_its_path()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["talker.gguf"]);
        var registry = new ModelRegistry(new ModelDiscovery([]));
        registry.Register(new ModelEntry { Name = "talker", Path = folder["talker.gguf"] });
        registry.AddAlias(ModelAlias.Parse("gpt-*=talker")!);
        await using var server = await ServerFixture.StartAsync(new ScriptedEngine(), registry);
        using var client = new ServerClient(server.Client.BaseAddress!, null);

        File.CreateSymbolicLink(folder["link.gguf"], folder["talker.gguf"]);
        foreach (var name in new[] { "talker", "TALKER:latest", "gpt-5", folder["talker.gguf"], folder["link.gguf"] })
            Assert.AreEqual("talker", await client.NameOfAsync(name, CancellationToken.None), name);
        Assert.IsNull(await client.NameOfAsync("walker", CancellationToken.None));
    }

    [TestMethod]
    public async Task A_server_that_answers_every_name_has_a_model_by_the_models_own_names_alone()
    {
        var mode = new LlamaServerMode { IsOn = true, Aliases = ["talker", "nick"] };
        mode.Loading.SetResult();
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions { LlamaServer = mode });
        using var client = new ServerClient(server.Client.BaseAddress!, null);

        foreach (var name in new[] { "talker", "TALKER:latest", "Nick" })
            Assert.AreEqual("talker", await client.NameOfAsync(name, CancellationToken.None), name);
        Assert.IsNull(await client.NameOfAsync("walker", CancellationToken.None));
        // Requests that generate go on naming what they like.
        await server.AnswerAsync("v1/chat/completions", """{"model":"walker","messages":[{"role":"user","content":"hi"}]}""");
    }
}
