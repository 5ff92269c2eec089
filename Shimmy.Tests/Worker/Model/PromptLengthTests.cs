using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using static Shimmy.Tests.Fixtures.Servers.WorkerFixture;

namespace Shimmy.Tests.Worker.Model;

/// <summary>Texts of megabytes, which cost whoever sends them their answer and others nothing.</summary>
[TestClass]
[TestCategory("Worker")]
public sealed class PromptLengthTests
{
    private static readonly string Megabytes = string.Concat(Enumerable.Repeat("on and on it goes, ", 200_000));

    [TestMethod]
    public async Task A_prompt_far_too_long_is_refused_by_its_beginning()
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder);

        foreach (var (asked, limit) in new (Func<Task>, string)[]
        {
            (() => RunAsync(model, Greedy(Megabytes, 3)), "512"),
            (() => model.EmbedAsync(new EmbeddingRequest { Prompt = Prompt.FromText(Megabytes) }, CancellationToken.None), "512"),
        })
        {
            var error = await Assert.ThrowsExactlyAsync<EngineException>(asked);
            Assert.AreEqual((EngineFailure.PromptTooLong, 512), (error.Failure, error.ContextLength));
            Assert.MatchesRegex($"maximum context length is {limit} tokens.*more than [0-9]+ tokens", error.Message);
            // All of it are millions.
            Assert.IsInRange(640, 30_000, error.PromptTokens);
        }
    }

    [TestMethod]
    public async Task Neither_short_nor_long_prompts_wait_for_megabytes_whose_tokens_are_asked_for()
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder);
        var megabytes = model.TokenizeAsync(Prompt.FromText(Megabytes), CancellationToken.None);

        var answer = await RunAsync(model, Greedy("short", 3));
        var statistics = await model.GetStatisticsAsync(CancellationToken.None);
        await Assert.ThrowsExactlyAsync<EngineException>(() => RunAsync(model, Greedy(Megabytes[..100_000], 3)));

        Assert.IsFalse(megabytes.IsCompleted);
        Assert.AreEqual((3, 1L), (answer.End.GeneratedTokens, statistics.Requests));
        Assert.IsGreaterThan(1_000_000, (await megabytes).Count);
    }

    [TestMethod]
    public async Task A_long_text_of_few_tokens_is_taken()
    {
        using var folder = new TemporaryFolder();
        await using var model =
            await LoadAsync(folder, spec => spec with { Path = RandomEncoder.Write(folder["encoder.gguf"], pooling: 1) });

        // One word that the vocabulary does not know, however long, is one unknown token.
        var embedding =
            await model.EmbedAsync(new EmbeddingRequest { Prompt = Prompt.FromText(new string('ж', 100_000)) }, CancellationToken.None);

        Assert.AreEqual(3, embedding.Tokens);
    }
}
