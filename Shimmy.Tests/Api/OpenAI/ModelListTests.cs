using System.Net;
using Shimmy.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.OpenAI;

[TestClass]
[TestCategory("Unit")]
public sealed class ModelListTests
{
    private const string Meta = """
        "meta":{"n_ctx":64,"n_ctx_train":0,"n_embd":0,"size":0,"ftype":"unknown"}}
        """;

    private const string Talker =
        """{"id":"talker","object":"model","created":0,"owned_by":"shimmy","size":0,"context_length":64,"capabilities":["completion"],"""
            + Meta;
    private const string Other =
        """{"id":"people/other:7b","object":"model","created":0,"owned_by":"shimmy","size":0,"context_length":64,"capabilities":["completion"],""" + Meta;

    private const string Models =
        """
        [{"name":"talker","model":"talker","size":0,"capabilities":["completion"],"details":{"format":"gguf","family":"unknown","parameter_size":"unknown","quantization_level":"unknown"}},{"name":"people/other:7b","model":"people/other:7b","size":0,"capabilities":["completion"],"details":{"format":"gguf","family":"unknown","parameter_size":"unknown","quantization_level":"unknown"}}]
        """;

    [TestMethod]
    public async Task All_models_are_listed_and_none_is_loaded_for_it()
    {
        await using var server = await ServerFixture.StartAsync(models: ["talker", "people/other:7b"]);

        Assert.AreEqual($$"""{"object":"list","data":[{{Talker}},{{Other}}],"models":{{Models}}}""",
            await server.Client.GetStringAsync("v1/models"));
        Assert.AreEqual($$"""{"object":"list","data":[{{Talker}},{{Other}}],"models":{{Models}}}""",
            await server.Client.GetStringAsync("v1/models/"));
        Assert.IsEmpty(server.Residency.Resident);
    }

    [TestMethod]
    [DataRow("talker", Talker)]
    [DataRow("TALKER", Talker)]
    [DataRow("people/other:7b", Other)]
    [DataRow("people%2Fother%3A7b", Other)]
    public async Task One_model_is_found_by_its_name_which_may_hold_slashes(string id, string expected)
    {
        await using var server = await ServerFixture.StartAsync(models: ["talker", "people/other:7b"]);
        Assert.AreEqual(expected, await server.Client.GetStringAsync("v1/models/" + id));
    }

    [TestMethod]
    public async Task A_model_in_memory_is_found_whatever_the_case_of_its_name()
    {
        // As after a configuration that spells it otherwise was read again.
        await using var server = await ServerFixture.StartAsync(models: ["talker"]);
        (await server.Residency.AcquireAsync(new ModelEntry { Name = "Talker", Path = "/nowhere/talker.gguf" })).Dispose();

        Assert.Contains("\"n_vocab\"", await server.Client.GetStringAsync("v1/models"));
        Assert.IsFalse((await server.JsonAsync("props")).GetProperty("is_sleeping").GetBoolean());
    }

    [TestMethod]
    public async Task An_unknown_model_is_404_and_names_close_ones()
    {
        await using var server = await ServerFixture.StartAsync(models: ["zebra", "walker", "talker"]);
        using var answer = await server.Client.GetAsync("v1/models/talkr");

        Assert.AreEqual(HttpStatusCode.NotFound, answer.StatusCode);
        Assert.AreEqual(
            """{"error":{"message":"the model 'talkr' does not exist here; the closest names are talker, walker, zebra","type":"not_found_error","param":"model","code":"model_not_found"}}""",
            await answer.Content.ReadAsStringAsync());
    }
}
