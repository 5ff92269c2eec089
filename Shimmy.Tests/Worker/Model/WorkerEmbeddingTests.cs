using System.Text.Json.Nodes;
using Shimmy.Engine;
using Shimmy.Gguf;
using Shimmy.SafeTensors;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using static Shimmy.Tests.Fixtures.Servers.WorkerFixture;

namespace Shimmy.Tests.Worker.Model;

/// <summary>Embeddings and scores of real workers: of models that generate, that embed, and that rerank.</summary>
[TestClass]
[TestCategory("Worker")]
public sealed class WorkerEmbeddingTests
{
    private static readonly TemporaryFolder Folder = new();

    [ClassCleanup]
    public static void Clean() => Folder.Dispose();

    private static Task<ILoadedModel> LoadEncoderAsync(string name, int pooling) =>
        LoadAsync(Folder, spec => spec with { Name = name, Path = RandomEncoder.Write(Folder[name + ".gguf"], pooling) });

    private static Task<Embedding> EmbedAsync(ILoadedModel model, string text, string? document = null, LoraChoice[]? loras = null) =>
        model.EmbedAsync(
        new EmbeddingRequest
        {
            Prompt = Prompt.FromText(text),
            Document = document is null
            ? null
            : Prompt.FromText(document),
            Loras = loras
        }, CancellationToken.None);

    private static double Cosine(Embedding a, Embedding b) =>
        Dot(a, b) / Math.Sqrt(Dot(a, a) * Dot(b, b));

    private static double Dot(Embedding a, Embedding b) => a.Values.Zip(b.Values, (x, y) => (double)x * y).Sum();

    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    public async Task An_embedding_model_embeds_texts_between_its_marks(int pooling)
    {
        await using var model = await LoadEncoderAsync($"embedder{pooling}", pooling);

        var cat = await EmbedAsync(model, "the cat sat");
        var again = await EmbedAsync(model, "the cat sat");
        var other = await EmbedAsync(model, "what is a dog");

        Assert.IsFalse(model.Facts.CanGenerate);
        Assert.AreEqual(RandomEncoder.Width, model.Facts.EmbeddingLength);
        Assert.HasCount(RandomEncoder.Width, cat.Values);
        Assert.AreEqual(5, cat.Tokens, "[CLS] the cat sat [SEP]");
        CollectionAssert.AreEqual(cat.Values, again.Values);
        Assert.IsLessThan(0.99, Cosine(cat, other));
    }

    [TestMethod]
    public async Task An_embedding_model_generates_nothing_and_says_so()
    {
        await using var model = await LoadEncoderAsync("mute", 1);

        var error = await Assert.ThrowsExactlyAsync<EngineException>(() => RunAsync(model, Greedy("the cat", 3)));

        Assert.AreEqual(EngineFailure.InvalidRequest, error.Failure);
        StringAssert.Contains(error.Message, "does not generate");
    }

    [TestMethod]
    public async Task A_text_that_is_too_long_is_refused_with_both_numbers()
    {
        await using var model = await LoadEncoderAsync("short", 1);

        var error =
            await Assert.ThrowsExactlyAsync<EngineException>(() => EmbedAsync(model, string.Concat(Enumerable.Repeat("cat ", 200))));

        Assert.AreEqual(EngineFailure.PromptTooLong, error.Failure);
        Assert.AreEqual(202, error.PromptTokens);
        Assert.AreEqual(RandomEncoder.Context, error.ContextLength);
        Assert.AreEqual(3, (await EmbedAsync(model, "cat")).Tokens);
    }

    [TestMethod]
    public async Task A_reranker_scores_documents_by_a_query_and_embeds_nothing()
    {
        await using var model = await LoadEncoderAsync("reranker", 4);

        var first = await EmbedAsync(model, "what is a cat", "the cat sat on the mat");
        var second = await EmbedAsync(model, "what is a cat", "a dog");

        Assert.IsTrue(model.Facts.CanRerank);
        Assert.HasCount(1, first.Values);
        Assert.AreNotEqual(first.Values[0], second.Values[0]);
        var error = await Assert.ThrowsExactlyAsync<EngineException>(() => EmbedAsync(model, "no document"));
        StringAssert.Contains(error.Message, "reranker");
    }

    [TestMethod]
    public async Task A_folder_of_a_Qwen3_reranker_scores_by_its_yes_among_yes_and_no()
    {
        await using var writer = await LoadFolderAsync("tiny");
        await using var reranker = await LoadFolderAsync("tiny-Reranker");
        var template = GgufReader.ReadFile(Folder["tiny-Reranker.gguf"]).Text("tokenizer.chat_template.rerank")!;

        foreach (var (query, document) in new[] { ("what is a cat", "the cat sat on the mat"), ("what is a cat", "a dog") })
        {
            var prompt = await writer.TokenizeAsync(Prompt.FromText(
                template.Replace("{query}", query, StringComparison.Ordinal).Replace("{document}", document, StringComparison.Ordinal)),
                CancellationToken.None);
            var (yes, no) = (await LikelyAsync(prompt, 256), await LikelyAsync(prompt, 257));

            var score = await EmbedAsync(reranker, query, document);

            // A KV cache of half precision, and another shape of batch.
            Assert.AreEqual(1 / (1 + Math.Exp(no - yes)), score.Values[0], 5e-3);
        }

        async Task<double> LikelyAsync(IReadOnlyList<int> prompt, int token) => (await RunAsync(writer, new GenerationRequest
        {
            Prompt = Prompt.FromTokens([.. prompt, token]),
            Options = new GenerationOptions { MaxTokens = 0, ReportPrompt = true, TopLogProbabilities = 0 },
        })).LogProbabilities[^1]!.LogProbability;

        static Task<ILoadedModel> LoadFolderAsync(string name)
        {
            var folder = RandomFolder.Write(Folder[name], config => config["max_position_embeddings"] = 1024,
                family: FolderFamily.All.First(one => one.Class == "Qwen3ForCausalLM"));
            var path = Path.Combine(folder, "tokenizer.json");
            var tokenizer = JsonNode.Parse(File.ReadAllText(path))!;
            tokenizer["model"]!["merges"] = new JsonArray();
            var vocabulary = tokenizer["model"]!["vocab"]!.AsObject();
            (vocabulary["yes"], vocabulary["no"]) = (256, 257);
            vocabulary.Remove("th");
            vocabulary.Remove("the");
            File.WriteAllText(path, tokenizer.ToJsonString());
            FolderConversion.Of(folder).WriteFile(Folder[name + ".gguf"]);
            return LoadAsync(Folder, spec => spec with { Name = name, Path = Folder[name + ".gguf"] });
        }
    }

    [TestMethod]
    public async Task Adapters_that_a_request_names_act_on_its_embedding_and_no_others()
    {
        var adapter = RandomAdapter.Write(Folder["style.gguf"]);
        await using var bare = await LoadAsync(Folder);
        await using var model = await LoadAsync(Folder, spec => spec with { Loras = [new LoraSetting(adapter)] });

        var plain = (await EmbedAsync(bare, "some text")).Values;
        var acting = (await EmbedAsync(model, "some text")).Values;
        var without = (await EmbedAsync(model, "some text", null, [])).Values;
        var named = (await EmbedAsync(model, "some text", null, [new(null, "style", 1)])).Values;
        var weak = (await EmbedAsync(model, "some text", null, [new(0, null, 0.1f)])).Values;

        CollectionAssert.AreEqual(plain, without);
        CollectionAssert.AreEqual(acting, named);
        CollectionAssert.AreNotEqual(plain, acting);
        CollectionAssert.AreNotEqual(weak, acting);
        CollectionAssert.AreEqual(acting, (await EmbedAsync(model, "some text")).Values);
        var refused = await Assert.ThrowsExactlyAsync<EngineException>(() => EmbedAsync(model, "some text", null, [new(7, null, 1)]));
        Assert.AreEqual((EngineFailure.InvalidRequest, "lora[0].id"), (refused.Failure, refused.Option));
    }

    [TestMethod]
    public async Task A_model_that_generates_embeds_as_well_while_it_streams()
    {
        await using var model = await LoadAsync(Folder);
        var first = new TaskCompletionSource();
        var stream = RunAsync(model, Greedy("stream on", 300), _ => first.TrySetResult());
        await first.Task;

        var embeddings = await Task.WhenAll(Enumerable.Range(0, 6).Select(i => EmbedAsync(model, i % 2 == 0 ? "even text" : "odd one")));

        Assert.HasCount(model.Facts.EmbeddingLength, embeddings[0].Values);
        CollectionAssert.AreEqual(embeddings[0].Values, embeddings[2].Values);
        Assert.IsLessThan(0.999, Cosine(embeddings[0], embeddings[1]));
        Assert.AreEqual(300, (await stream).End.GeneratedTokens);
        var undisturbed = await RunAsync(model, Greedy("stream on", 20));
        CollectionAssert.AreEqual(undisturbed.Tokens, (await stream).Tokens.Take(20).ToArray());
        var notRanking = await Assert.ThrowsExactlyAsync<EngineException>(() => EmbedAsync(model, "query", "document"));
        StringAssert.Contains(notRanking.Message, "not a reranker");
    }

    [TestMethod]
    public async Task Texts_that_wait_are_counted_and_embedded_by_the_place_of_who_sent_them()
    {
        await using var model =
            await LoadAsync(Folder,
                spec => spec with
                {
                    Name = "slow",
                    Path = RandomModel.Write(Folder["slow.gguf"],
                        new RandomModelShape { Layers = 4, Embedding = 256, FeedForward = 768 })
                });
        var text = string.Concat(Enumerable.Repeat("a text that takes its time ", 10));
        var alice = Enumerable.Range(0, 30).Select(_ => SendAsync(new QueuePlace("alice"))).ToArray();
        var carol = Enumerable.Range(0, 6).Select(_ => SendAsync(new QueuePlace("carol"))).ToArray();
        var bob = SendAsync(new QueuePlace("bob", Rank: 5));
        var statistics = await model.GetStatisticsAsync(CancellationToken.None);

        await bob;
        Assert.IsFalse(carol[^1].IsCompleted, "a higher rank comes first");
        await Task.WhenAll(carol);
        Assert.IsFalse(alice[^1].IsCompleted, "clients take turns");
        await Task.WhenAll(alice);

        Assert.AreEqual(1, statistics.SlotsBusy);
        Assert.IsInRange(1, 36, statistics.Waiting);
        statistics = await model.GetStatisticsAsync(CancellationToken.None);
        Assert.AreEqual((0, 0), (statistics.SlotsBusy, statistics.Waiting));

        Task<Embedding> SendAsync(QueuePlace place) =>
            model.EmbedAsync(new EmbeddingRequest { Prompt = Prompt.FromText(text), Place = place }, CancellationToken.None);
    }
}
