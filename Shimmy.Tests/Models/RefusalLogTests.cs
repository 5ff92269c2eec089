using Shimmy.Models;
using Shimmy.Models.Configuration;
using Shimmy.Models.Discovery;
using Shimmy.Models.Registry;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Models;

/// <summary>Kind: what cannot be used or was refused, and where a person finds out why.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class RefusalLogTests
{
    [TestMethod]
    [DataRow("v1/completions", """{"model":"nobody","prompt":"x"}""", " nobody 404: ", "does not exist here")]
    [DataRow("v1/completions", """{"model":"talker","prompt":"x","top_p":7}""", " talker 400: ", "top_p")]
    [DataRow("v1/messages", """{"model":"talker","messages":[]}""", " talker 400: ", "messages")]
    [DataRow("api/generate", """{"model":7}""", " - 400: ", "prompt: is missing")]
    public async Task A_refused_request_leaves_its_reason_and_model_in_the_log(string path, string body, string status, string reason)
    {
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(loggers: log);
        using var answer = await server.PostAsync(path, body);
        var line = await log.WaitForAsync(path);
        Assert.Contains(status, line);
        Assert.Contains(reason, line);
        Assert.DoesNotContain("generated", line);
    }

    [TestMethod]
    public async Task What_the_door_refuses_is_in_the_log_too()
    {
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(loggers: log);
        using var request = new HttpRequestMessage(HttpMethod.Get, "v1/models") { Headers = { Host = "evil.example" } };
        using var answer = await server.Client.SendAsync(request);
        Assert.Contains("--allow-host", await log.WaitForAsync("v1/models"));
    }

    [TestMethod]
    public async Task A_refusal_cannot_forge_a_line()
    {
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(loggers: log);
        using var answer = await server.PostAsync("v1/completions", """{"model":"a\nb\u001b[0m","prompt":"x"}""");
        Assert.IsFalse((await log.WaitForAsync("v1/completions")).Any(char.IsControl));
    }

    [TestMethod]
    public async Task A_request_that_generates_nothing_has_no_zeros()
    {
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(loggers: log);
        _ = await server.Client.GetStringAsync("v1/models");
        var line = await log.WaitForAsync("v1/models");
        Assert.Contains(" 200: ", line);
        Assert.DoesNotContain("tokens", line);
    }

    [TestMethod]
    public async Task An_alias_that_leads_nowhere_is_known()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["there.gguf"]);
        var registry = new ModelRegistry(new ModelDiscovery([new FolderSource("models", folder.Path)]));
        registry.AddAlias(new ModelAlias("good", "there"));
        registry.AddAlias(new ModelAlias("bad", "absent"));
        await registry.RefreshAsync();
        Assert.AreEqual("bad", registry.LostAliases.Single().Pattern);
    }

    [TestMethod]
    public async Task A_registered_model_whose_file_comes_back_is_found_by_its_next_request()
    {
        using var folder = new TemporaryFolder();
        var registry = new ModelRegistry(new ModelDiscovery([]), RegisteredModels.Again);
        registry.Register(RegisteredModels.Open(folder["mine.gguf"], "mine", ModelSettings.None));
        await registry.RefreshAsync();
        Assert.IsNotNull((await registry.FindAsync("mine"))!.WhyUnloadable);

        RandomModel.Write(folder["mine.gguf"]);
        Assert.IsNull((await registry.FindAsync("mine"))!.WhyUnloadable);
    }
}
