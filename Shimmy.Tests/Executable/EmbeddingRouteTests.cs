using System.Net;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable;

/// <summary><c>/v1/embeddings</c> and <c>/v1/rerank</c> of the program on models made here.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class EmbeddingRouteTests
{
    private static readonly TemporaryFolder Folder = new();
    private static ServerProcess _server = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext _)
    {
        RandomEncoder.Write(Folder["models/embedder.gguf"], pooling: 1);
        RandomEncoder.Write(Folder["models/reranker.gguf"], pooling: 4);
        RandomModel.Write(Folder["models/generator.gguf"]);
        _server = await ServerProcess.StartAsync(Folder, "--threads", "1");
    }

    [ClassCleanup]
    public static void Clean()
    {
        _server.Dispose();
        Folder.Dispose();
    }

    private static async Task<(HttpStatusCode Status, JsonElement Body)> PostAsync(string path, string body)
    {
        using var answer = await _server.Client.PostAsync(path, new StringContent(body, Encoding.UTF8, "application/json"));
        using var json = JsonDocument.Parse(await answer.Content.ReadAsStringAsync());
        return (answer.StatusCode, json.RootElement.Clone());
    }

    private static float[] Floats(JsonElement body, int index) =>
        [.. body.GetProperty("data")[index].GetProperty("embedding").EnumerateArray().Select(value => value.GetSingle())];

    [TestMethod]
    [DataRow("embedder")]
    [DataRow("generator")]
    public async Task Texts_and_tokens_become_embeddings_of_length_1_in_their_order(string model)
    {
        var (status, body) = await PostAsync("v1/embeddings", $$"""{"model":"{{model}}","input":["the cat","a dog","the cat"]}""");

        Assert.AreEqual(HttpStatusCode.OK, status, body.ToString());
        Assert.AreEqual("list", body.GetProperty("object").GetString());
        Assert.AreEqual(model, body.GetProperty("model").GetString());
        CollectionAssert.AreEqual(new[] { 0, 1, 2 }, body.GetProperty("data").EnumerateArray()
            .Select(data => data.GetProperty("index").GetInt32()).ToArray());
        CollectionAssert.AreEqual(Floats(body, 0), Floats(body, 2));
        CollectionAssert.AreNotEqual(Floats(body, 0), Floats(body, 1));
        Assert.AreEqual(1, Floats(body, 1).Sum(value => value * value), 1e-4);
        var usage = body.GetProperty("usage");
        Assert.IsGreaterThan(5, usage.GetProperty("prompt_tokens").GetInt32());
        Assert.AreEqual(usage.GetProperty("prompt_tokens").GetInt32(), usage.GetProperty("total_tokens").GetInt32());
        var (tokenStatus, tokens) = await PostAsync("v1/embeddings", $$"""{"model":"{{model}}","input":[[4,5],[6]]}""");
        Assert.AreEqual(HttpStatusCode.OK, tokenStatus, tokens.ToString());
        Assert.AreEqual(3, tokens.GetProperty("usage").GetProperty("prompt_tokens").GetInt32());
    }

    [TestMethod]
    public async Task Base64_holds_the_same_numbers()
    {
        var (_, numbers) = await PostAsync("v1/embeddings", """{"model":"embedder","input":"the cat"}""");
        var (_, base64) =
            await PostAsync("v1/embeddings", """{"model":"embedder","input":"the cat","encoding_format":"base64","dimensions":64}""");

        var bytes = base64.GetProperty("data")[0].GetProperty("embedding").GetBytesFromBase64();
        CollectionAssert.AreEqual(Floats(numbers, 0), MemoryMarshal.Cast<byte, float>(bytes).ToArray());
    }

    [TestMethod]
    [DataRow("""{"model":"embedder"}""", "input")]
    [DataRow("""{"model":"embedder","input":[]}""", "input")]
    [DataRow("""{"model":"embedder","input":["a",3]}""", "input[1]")]
    [DataRow("""{"model":"embedder","input":[[1,99999999]]}""", "input")]
    [DataRow("""{"model":"embedder","input":"a","dimensions":65}""", "dimensions")]
    [DataRow("""{"model":"embedder","input":"a","encoding_format":"int8"}""", "encoding_format")]
    [DataRow("""{"model":"reranker","input":"a"}""", "model")]
    public async Task What_is_wrong_with_an_embedding_request_is_named(string request, string field)
    {
        var (status, body) = await PostAsync("v1/embeddings", request);

        Assert.AreEqual(HttpStatusCode.BadRequest, status, body.ToString());
        Assert.AreEqual(field, body.GetProperty("error").GetProperty("param").GetString(), body.ToString());
    }

    [TestMethod]
    public async Task An_input_that_is_too_long_is_named_with_both_numbers()
    {
        var text = string.Concat(Enumerable.Repeat("cat ", 300));

        var (status, body) = await PostAsync("v1/embeddings", $$"""{"model":"embedder","input":["cat","{{text}}"]}""");

        Assert.AreEqual(HttpStatusCode.BadRequest, status);
        Assert.AreEqual("input[1]", body.GetProperty("error").GetProperty("param").GetString());
        Assert.MatchesRegex("maximum context length is 128 tokens.* 302 tokens", body.GetProperty("error").GetProperty("message").GetString()!);
    }

    [TestMethod]
    public async Task Documents_come_back_by_relevance()
    {
        var (status, body) = await PostAsync("v1/rerank",
            """{"model":"reranker","query":"what is the cat","documents":["the dog sat","the cat sat on the mat",{"text":"what"}],"top_n":2}""");

        Assert.AreEqual(HttpStatusCode.OK, status, body.ToString());
        var results = body.GetProperty("results").EnumerateArray().ToArray();
        Assert.HasCount(2, results);
        Assert.IsGreaterThanOrEqualTo(results[1].GetProperty("relevance_score").GetSingle(),
            results[0].GetProperty("relevance_score").GetSingle());
        var texts = new[] { "the dog sat", "the cat sat on the mat", "what" };
        foreach (var result in results)
        {
            Assert.IsInRange(0f, 1f, result.GetProperty("relevance_score").GetSingle());
            Assert.AreEqual(texts[result.GetProperty("index").GetInt32()], result.GetProperty("document").GetProperty("text").GetString());
        }
        var (_, wrong) = await PostAsync("v1/rerank", """{"model":"generator","query":"a","documents":["b"]}""");
        Assert.Contains("is not a reranking model", wrong.ToString());
    }
}
