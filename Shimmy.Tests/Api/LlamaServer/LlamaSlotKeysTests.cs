using System.Net;
using System.Text;
using System.Text.Json;
using Shimmy.Api;
using Shimmy.Engine;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.LlamaServer;

/// <summary>The files of slots between clients with keys of their own.</summary>
[TestClass]
[TestCategory("Worker")]
public sealed class LlamaSlotKeysTests
{
    private const string Ask =
        """{"prompt":"What one client has asked is no concern of others","n_predict":2,"temperature":0,"cache_prompt":true,"id_slot":0}""";

    [TestMethod]
    public async Task What_one_key_has_computed_is_neither_saved_nor_erased_nor_restored_by_another()
    {
        using var folder = new TemporaryFolder();
        await using var server = await StartAsync(folder, "one", "two");
        var cold = await ComputedAsync(server, "one");
        await SendAsync(server, "two", "slots/0?action=save", """{"filename":"stolen"}""", HttpStatusCode.BadRequest);
        await SendAsync(server, "two", "slots/0?action=erase", "{}", HttpStatusCode.BadRequest);
        await SendAsync(server, "one", "slots/0?action=save", """{"filename":"kept"}""");

        await SendAsync(server, "two", "slots/1?action=restore", """{"filename":"kept"}""", HttpStatusCode.BadRequest);
        await SendAsync(server, "one", "slots/0?action=erase", "{}");
        await SendAsync(server, "one", "slots/0?action=restore", """{"filename":"kept"}""");

        Assert.AreEqual(1, await ComputedAsync(server, "one"), "its own");
        await SendAsync(server, "one", "slots/0?action=restore", """{"filename":"kept"}""");
        Assert.AreEqual(cold, await ComputedAsync(server, "two"), "what was restored is for who restored it");

        // What lies beside the folders of keys was put there for all.
        var kept = Directory.GetFiles(folder["slots"], "kept", SearchOption.AllDirectories).Single();
        File.Copy(kept, folder["slots/shared"]);
        await SendAsync(server, "two", "slots/0?action=restore", """{"filename":"shared"}""");
        Assert.AreEqual(1, await ComputedAsync(server, "two"));
    }

    [TestMethod]
    public async Task The_only_key_has_the_folder_to_itself()
    {
        using var folder = new TemporaryFolder();
        await using var server = await StartAsync(folder, "one");
        await ComputedAsync(server, "one");

        await SendAsync(server, "one", "slots/0?action=save", """{"filename":"kept"}""");

        Assert.IsTrue(File.Exists(folder["slots/kept"]));
    }

    private static Task<ServerFixture> StartAsync(TemporaryFolder folder, params string[] keys)
    {
        RandomModel.Write(folder["random.gguf"], new RandomModelShape());
        Directory.CreateDirectory(folder["slots"]);
        var mode = new LlamaServerMode { IsOn = true, SlotFolder = folder["slots"] };
        mode.Loading.SetResult();
        return ServerFixture.StartAsync(WorkerFixture.NewEngine(),
            entry => new ModelSpec { Name = entry.Name, Path = entry.Path, Threads = 1, Parallel = 2, PrefixMemoryBytes = 0 },
            new ServerOptions { LlamaServer = mode, Keys = ApiKeyFile.Read(keys) }, null, ["random"], name => folder[name + ".gguf"]);
    }

    private static async Task<int> ComputedAsync(ServerFixture server, string key) =>
        (await SendAsync(server, key, "completion", Ask)).GetProperty("timings").GetProperty("prompt_n").GetInt32();

    private static async Task<JsonElement> SendAsync(
        ServerFixture server, string key, string path, string body, HttpStatusCode status = HttpStatusCode.OK)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path)
        {
            Content = new StringContent(body, Encoding.UTF8, "application/json"),
            // The response cache would answer.
            Headers = { { "Authorization", "Bearer " + key }, { "Cache-Control", "no-store" } },
        };
        using var answer = await server.Client.SendAsync(request);
        Assert.AreEqual(status, answer.StatusCode, await answer.Content.ReadAsStringAsync());
        return await answer.JsonAsync();
    }
}
