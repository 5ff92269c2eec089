using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable.Fleets;

/// <summary>What a server among others tells those that choose among them, by the options of the command line.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class FleetOptionTests
{
    [TestMethod]
    public async Task Blocks_that_are_reported_have_the_tokens_that_render_gives()
    {
        using var folder = new TemporaryFolder();
        var port = ServerProcess.FreePort();
        using var server = await ServerProcess.StartAsync(folder, "--kv-events", $"{port}", "--kv-events-pod", "10.0.0.7:11435");
        // There before the model is, which is loaded by its first request.
        using var subscriber = await ZmtpSubscriber.ConnectAsync(port, "kv@");
        var body = new
        {
            model = "shimmy-demo",
            prompt = string.Join(' ', Enumerable.Range(0, 150).Select(i => "word item list fact name day".Split(' ')[i * i % 6])),
            max_tokens = 1,
        };
        using var answer = await server.Client.PostAsJsonAsync("v1/completions", body);
        Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode, await answer.Content.ReadAsStringAsync());
        using var rendered = await server.Client.PostAsJsonAsync("v1/completions/render", body);
        var tokens = (await rendered.Content.ReadFromJsonAsync<JsonElement>())[0].GetProperty("token_ids").EnumerateArray()
            .Select(token => token.GetInt64()).ToArray();
        Assert.IsGreaterThan(2 * CellBlocks.Tokens, tokens.Length);

        var told = new List<long>();
        object? parent = null;
        for (var number = 0L; told.Count < tokens.Length / CellBlocks.Tokens * CellBlocks.Tokens; number++)
        {
            var message = await subscriber.ReceiveAsync();
            Assert.AreEqual(("kv@10.0.0.7:11435@shimmy-demo", number), (message.Topic, message.Number));
            foreach (var one in message.Events)
            {
                CollectionAssert.AreEqual(new[] { "BlockStored", parent, 64L, null, "GPU", null },
                    new[] { one[0], one[2], one[4], one[5], one[6], one[7] });
                told.AddRange(((List<object?>)one[3]!).Cast<long>());
                parent = ((List<object?>)one[1]!)[^1];
            }
        }
        CollectionAssert.AreEqual(tokens[..told.Count], told);

        using var unloaded = await server.Client.PostAsync("api/models/shimmy-demo/unload", null);
        Assert.AreEqual("AllBlocksCleared", (await subscriber.ReceiveAsync()).Events.Single()[0]);
    }

    [TestMethod]
    public async Task Scrapers_have_a_key_and_an_address_of_their_own_and_vLLMs_names()
    {
        using var folder = new TemporaryFolder();
        var port = ServerProcess.FreePort();
        using var server = await ServerProcess.StartAsync(folder, "--api-key", "client", "--metrics-key", "scraper",
            "--metrics-names", "vllm", "--metrics-bind", $"{port}");
        Assert.AreEqual(HttpStatusCode.Unauthorized, (await GetAsync(server.Client, "metrics", null)).Status);
        Assert.AreEqual(HttpStatusCode.Unauthorized, (await GetAsync(server.Client, "v1/models", "scraper")).Status);
        var (status, text) = await GetAsync(server.Client, "metrics", "scraper");
        Assert.AreEqual(HttpStatusCode.OK, status);
        using var scraper = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}/") };
        foreach (var metrics in new[] { text, (await GetAsync(scraper, "metrics", null)).Text })
        {
            Assert.Contains("\nshimmy_requests_waiting 0\n", metrics);
            Assert.Contains("\nvllm:num_requests_waiting 0\n", metrics);
        }
        Assert.Contains("shimmy-demo", (await GetAsync(scraper, "v1/models", null)).Text);
    }

    private static async Task<(HttpStatusCode Status, string Text)> GetAsync(HttpClient client, string path, string? key)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        if (key is not null)
            request.Headers.Authorization = new("Bearer", key);
        using var answer = await client.SendAsync(request);
        return (answer.StatusCode, await answer.Content.ReadAsStringAsync());
    }
}
