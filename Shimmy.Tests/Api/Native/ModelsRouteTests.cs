using System.Net;
using System.Text.Json;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.Native;

/// <summary>What <c>/api/models</c> tells of the memory, and the pin of a load.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ModelsRouteTests
{
    [TestMethod]
    public async Task The_list_has_the_memory_and_what_was_skipped()
    {
        await using var server = await ServerFixture.StartAsync();
        await server.AnswerAsync("api/models/talker/load", "{}");

        var list = JsonElement.Parse(await server.Client.GetStringAsync("api/models"));

        Assert.AreEqual(0, list.GetProperty("skipped").GetArrayLength());
        Assert.AreEqual(JsonValueKind.Null, list.GetProperty("memory").GetProperty("budget_bytes").ValueKind, "there is no limit here");
        Assert.AreEqual(server.Residency.Resident.Single().MemoryBytes,
            list.GetProperty("memory").GetProperty("resident_bytes").GetInt64());
    }

    [TestMethod]
    public async Task A_load_pins_and_lets_go_again()
    {
        await using var server = await ServerFixture.StartAsync();
        foreach (var (body, pinned) in ((string, bool)[])[("""{"pinned":true}""", true), ("{}", true), ("""{"pinned":false}""", false)])
        {
            var status = JsonElement.Parse(await server.AnswerAsync("api/models/talker/load", body));
            Assert.AreEqual(pinned, status.GetProperty("pinned").GetBoolean(), body);
            Assert.AreEqual(pinned, server.Residency.Resident.Single().Pinned, body);
        }
        using var refused = await server.PostAsync("api/models/talker/load", """{"pinned":"yes"}""");
        Assert.AreEqual(HttpStatusCode.BadRequest, refused.StatusCode);
        Assert.Contains("pinned", await refused.Content.ReadAsStringAsync());
    }

    [TestMethod]
    public async Task The_status_tells_what_a_load_would_need_before_it_is_done()
    {
        await using var server = await ServerFixture.StartAsync();

        var status = JsonElement.Parse(await server.Client.GetStringAsync("api/models/talker/status"));

        Assert.AreEqual("unloaded", status.GetProperty("status").GetString());
        Assert.AreEqual(JsonValueKind.Number, status.GetProperty("needs_bytes").ValueKind);
        Assert.IsEmpty(server.Residency.Resident);
    }
}
