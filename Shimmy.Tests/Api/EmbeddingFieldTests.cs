using System.Net;
using Shimmy.Engine;
using Shimmy.Gguf;
using Shimmy.Models;
using Shimmy.Models.Discovery;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api;

/// <summary>Kind: what clients ask of embeddings beyond the text, and what models of their kind only claim.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class EmbeddingFieldTests
{
    [TestMethod]
    public async Task Fewer_dimensions_are_the_first_ones_normalised_again_with_one_warning()
    {
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(EngineOf(matryoshka: false), loggers: log);
        for (var i = 0; i < 2; i++)
            Assert.Contains("\"embedding\":[1]", await AskAsync(server, "\"dimensions\":1"));
        Assert.HasCount(1, log.Lines.Where(line => line.Contains("are cut to 1 of 2 dimensions", StringComparison.Ordinal)));
    }

    [TestMethod]
    public async Task A_model_that_was_made_for_it_is_not_warned_of()
    {
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(EngineOf(matryoshka: true), loggers: log);
        Assert.Contains("\"embedding\":[1]", await AskAsync(server, "\"dimensions\":1"));
        Assert.DoesNotContain("are cut to", string.Join('\n', log.Lines));
    }

    [TestMethod]
    [DataRow("\"dimensions\":3", "dimensions")]
    [DataRow("\"dimensions\":0", "dimensions")]
    [DataRow("\"truncate\":\"START\"", "truncate")]
    public async Task What_cannot_be_is_refused(string field, string named)
    {
        await using var server = await ServerFixture.StartAsync(EngineOf(matryoshka: false));
        using var answer = await server.PostAsync("v1/embeddings", $$"""{"model":"talker","input":"a",{{field}}}""");
        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.AreEqual(named, (await answer.JsonAsync()).GetProperty("error").GetProperty("param").GetString());
    }

    [TestMethod]
    [DataRow("v1/embeddings", "\"input\":\"a\"")]
    [DataRow("v1/rerank", "\"query\":\"a\",\"documents\":[\"b\"]")]
    public async Task What_cannot_be_honoured_is_refused_by_name_and_what_nobody_knows_is_logged(string route, string ask)
    {
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(EngineOf(matryoshka: false), loggers: log);
        using var refused = await server.PostAsync(route, $$"""{"model":"talker","options":{"num_ctx":8},{{ask}}}""");
        Assert.AreEqual("options", (await refused.JsonAsync()).GetProperty("error").GetProperty("param").GetString());
        using var taken = await server.PostAsync(route, $$"""{"model":"talker","user":"me","of_some_other_server":1,{{ask}}}""");
        Assert.Contains("'of_some_other_server'", await log.WaitForAsync("left out fields"));
    }

    [TestMethod]
    [DataRow(true, "reranker")]
    [DataRow(false, "embedding")]
    public void Only_a_file_with_a_classification_head_is_listed_as_a_reranker(bool withHead, string type)
    {
        using var folder = new TemporaryFolder();
        RandomEncoder.Write(folder["bge-reranker.gguf"], pooling: 4, withHead: withHead);
        Assert.AreEqual(type, new ModelDiscovery([new FolderSource("models", folder.Path)]).Scan().Models.Single().Type.Label());
    }

    [TestMethod]
    public void A_name_alone_makes_no_reranker()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["my-reranker.gguf"]);
        Assert.AreEqual(ModelType.Completion, new ModelDiscovery([new FolderSource("models", folder.Path)]).Scan().Models.Single().Type);
    }

    [TestMethod]
    public void Tags_say_what_a_model_was_made_for()
    {
        using var folder = new TemporaryFolder();
        new GgufWriter().Add("general.architecture", "bert").Add("general.tags", new[] { "mteb", "Matryoshka" })
            .AddTensor("cls.output.weight", GgmlType.F32, [4], output => output.Write(new byte[16])).WriteFile(folder["m.gguf"]);
        Assert.AreEqual(new EmbeddingTraits(HasRankingHead: true, IsMatryoshka: true), EmbeddingTraits.Read(folder["m.gguf"]));
    }

    private static async Task<string> AskAsync(ServerFixture server, string field) =>
        await server.AnswerAsync("v1/embeddings", $$"""{"model":"talker","input":"a",{{field}}}""");

    // It embeds every text as (3, 4).
    private static ScriptedEngine EngineOf(bool matryoshka) => new()
    {
        Facts = spec => new ModelFacts
        {
            Architecture = "scripted",
            Description = spec.Name,
            ContextLength = spec.ContextLength,
            Slots = spec.Parallel,
            EmbeddingLength = 2,
            IsMatryoshka = matryoshka,
        },
    };
}

/// <summary>The same where only llama.cpp can tell.</summary>
[TestClass]
[TestCategory("Worker")]
public sealed class EmbeddingWorkerTests
{
    private static readonly TemporaryFolder Folder = new();

    [ClassCleanup]
    public static void Clean() => Folder.Dispose();

    [TestMethod]
    public async Task A_reranker_without_a_head_is_refused_as_such_and_still_embeds()
    {
        await using var server = await StartAsync("headless", pooling: 4, withHead: false);
        using var ranked = await server.PostAsync("v1/rerank", """{"model":"headless","query":"cat","documents":["the cat","a dog"]}""");
        Assert.AreEqual(HttpStatusCode.BadRequest, ranked.StatusCode);
        Assert.Contains("no classification head", await ranked.Content.ReadAsStringAsync());
        Assert.Contains("\"embedding\":[", await server.AnswerAsync("v1/embeddings", """{"model":"headless","input":"the cat"}"""));
    }

    [TestMethod]
    public async Task A_text_that_is_too_long_is_cut_where_the_request_wants_it()
    {
        await using var server = await StartAsync("embedder", pooling: 1);
        var text = string.Concat(Enumerable.Repeat("cat ", 5000));
        using var refused = await server.PostAsync("v1/embeddings", $$"""{"model":"embedder","input":"{{text}}"}""");
        Assert.AreEqual(HttpStatusCode.BadRequest, refused.StatusCode);
        foreach (var value in new[] { "true", "\"END\"" })
        {
            var answer = await server.AnswerAsync("v1/embeddings", $$"""{"model":"embedder","input":["{{text}}","cat"],"truncate":{{value}}}""");
            Assert.Contains("\"index\":1", answer);
        }
    }

    [TestMethod]
    public async Task A_document_that_is_too_long_is_cut_where_the_request_wants_it()
    {
        await using var server = await StartAsync("ranker", pooling: 4);
        var text = string.Concat(Enumerable.Repeat("cat ", 5000));
        var answer = await server.AnswerAsync("v1/rerank",
            $$"""{"model":"ranker","query":"cat","documents":["{{text}}","dog"],"truncate":true,"return_documents":false}""");
        Assert.Contains("relevance_score", answer);
    }

    private static Task<ServerFixture> StartAsync(string name, int pooling, bool withHead = true)
    {
        var path = RandomEncoder.Write(Folder[name + ".gguf"], pooling, withHead: withHead);
        return ServerFixture.StartAsync(WorkerFixture.NewEngine(),
            entry => new ModelSpec { Name = entry.Name, Path = entry.Path, Threads = 1, Parallel = 1 }, null, null, [name], _ => path);
    }
}
