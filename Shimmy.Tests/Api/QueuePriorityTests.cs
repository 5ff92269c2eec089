using System.Net;
using System.Security.Cryptography;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Server;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api;

/// <summary>Where requests stand among those that wait.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class QueuePriorityTests
{
    [TestMethod]
    [DataRow("v1/completions", """{"model":"talker","priority":-5,"prompt":"?"}""", 1)]
    [DataRow("v1/embeddings", """{"model":"talker","priority":-5,"input":["one","two"]}""", 2)]
    [DataRow("v1/rerank", """{"model":"talker","priority":-5,"query":"?","documents":["one","two"]}""", 2)]
    public async Task What_is_asked_of_a_model_has_the_place_of_its_key_and_its_request(string path, string body, int asked)
    {
        var engine =
            new ScriptedEngine { Facts = spec => new ModelFacts { Architecture = "scripted", Description = spec.Name, CanRerank = true } };
        await using var server = await ServerFixture.StartAsync(engine,
            new ServerOptions { Keys = [new ApiKey("bob", SHA256.HashData("1"u8)) { Rank = 5 }] });
        using var request =
            new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(body), Headers = { { "x-api-key", "1" } } };
        request.Content.Headers.ContentType = new("application/json");

        using var answer = await server.Client.SendAsync(request);

        Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode, await answer.Content.ReadAsStringAsync());
        CollectionAssert.AreEqual(Enumerable.Repeat(new QueuePlace("bob", 5, -5), asked).ToArray(), engine.Places.ToArray());
    }
}
