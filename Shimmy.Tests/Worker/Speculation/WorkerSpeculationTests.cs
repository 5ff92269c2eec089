using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;
using static Shimmy.Tests.Fixtures.Servers.WorkerFixture;

namespace Shimmy.Tests.Worker.Speculation;

/// <summary>Drafted tokens change how fast an answer comes, never what it says.</summary>
[TestClass]
[TestCategory("Worker")]
public sealed class WorkerSpeculationTests
{
    private static readonly string Demo = Path.Combine(AppContext.BaseDirectory, "models", "shimmy-demo.gguf");

    private static readonly string[] Questions =
        ["What is Shimmy?", "Which APIs are there?", "Repeat after me: soft gold turtle", "Why Shimmy?", "Tell me a story about a lamp."];

    [TestMethod]
    public async Task Text_is_the_same_with_drafts_and_without_under_greedy_and_under_seeds()
    {
        await using var with = await LoadDemoAsync(speculate: true);
        await using var without = await LoadDemoAsync(speculate: false);
        var drafted = 0;
        for (var i = 0; i < 10; i++)
        {
            var request = Asked(i, i % 2 == 0 ? 0f : 0.9f);
            var (a, b) = (await RunAsync(with, request), await RunAsync(without, request));
            CollectionAssert.AreEqual(b.Tokens, a.Tokens, $"request {i}\n{b.Text}\n{a.Text}");
            Assert.AreEqual(b.End.Reason, a.End.Reason);
            Assert.AreEqual((a.End.Timings.DraftedTokens, a.End.Timings.AcceptedTokens), (a.Drafted, a.Accepted), "counted token by token");
            Assert.AreEqual((0, 0), (b.End.Timings.DraftedTokens, b.End.Timings.AcceptedTokens));
            Assert.IsLessThanOrEqualTo(a.End.Timings.DraftedTokens, a.End.Timings.AcceptedTokens);
            drafted += a.End.Timings.DraftedTokens;
        }
        var statistics = await with.GetStatisticsAsync(CancellationToken.None);
        Assert.IsGreaterThan(0, drafted);
        Assert.AreEqual(drafted, statistics.DraftedTokens);
        Assert.IsGreaterThan(0L, statistics.AcceptedTokens);
        Assert.IsLessThan(statistics.GeneratedTokens, statistics.AcceptedTokens);
    }

    [TestMethod]
    public async Task Penalties_grammars_log_probabilities_and_limits_are_kept_through_drafts()
    {
        await using var with = await LoadDemoAsync(speculate: true);
        await using var without = await LoadDemoAsync(speculate: false);
        var drafted = 0;
        for (var most = 1; most < 40; most += 6)
        {
            var limited = Asked(1, 0f);
            limited = limited with { Options = limited.Options with { MaxTokens = most, TopLogProbabilities = 3 } };
            var (a, b) = (await RunAsync(with, limited), await RunAsync(without, limited));
            CollectionAssert.AreEqual(b.Tokens, a.Tokens);
            Assert.IsLessThanOrEqualTo(most, a.Tokens.Count);
            CollectionAssert.AreEqual(b.LogProbabilities.Select(Shown).ToArray(), a.LogProbabilities.Select(Shown).ToArray());
        }
        foreach (var change in new Func<GenerationRequest, GenerationRequest>[]
        {
            request => request with { Options = request.Options with { RepeatPenalty = 1.1f, FrequencyPenalty = 0.2f } },
            request => request with { Grammar = "root ::= (\"ab \" | \"abc \")+ \"x\"" },
            request => request with { Options = request.Options with { Mirostat = 2 } },
            request => request with { Options = request.Options with { DryMultiplier = 0.8f, XtcProbability = 0.5f } },
        })
        {
            var request = change(Asked(2, 0.7f) with { Prompt = Prompt.FromText("ab abc ab abc ab abc ab abc ab") });
            var (a, b) = (await RunAsync(with, request), await RunAsync(without, request));
            CollectionAssert.AreEqual(b.Tokens, a.Tokens, $"{b.Text}\n{a.Text}");
            drafted += a.End.Timings.DraftedTokens;
        }
        Assert.IsGreaterThan(0, drafted);

        static string Shown(TokenLogProbability? one) => $"{one!.LogProbability:F4} {string.Join(' ', one.Top.Select(top => top.Token))}";
    }

    [TestMethod]
    public async Task Several_at_once_with_drafts_say_what_each_says_alone()
    {
        await using var with = await LoadDemoAsync(speculate: true);
        await using var without = await LoadDemoAsync(speculate: false);
        // Without the story, where many words are as likely: on runtimes that compute one row otherwise than several, near ties fall otherwise.
        var asked = Enumerable.Range(0, 10).Where(i => i % Questions.Length != 4).ToArray();
        var alone = new List<Answer>();
        foreach (var i in asked)
            alone.Add(await RunAsync(without, Asked(i, 0.5f)));

        var together = await Task.WhenAll(asked.Select(i => RunAsync(with, Asked(i, 0.5f))));

        for (var i = 0; i < asked.Length; i++)
            CollectionAssert.AreEqual(alone[i].Tokens, together[i].Tokens, $"{alone[i].Text}\n{together[i].Text}");
        Assert.IsGreaterThan(0, together.Sum(answer => answer.End.Timings.DraftedTokens));
    }

    [TestMethod]
    public async Task What_a_draft_left_in_the_cells_is_gone_for_the_next_request()
    {
        await using var with = await LoadDemoAsync(speculate: true);
        await using var without = await LoadDemoAsync(speculate: false);
        var first = Asked(0, 0f);
        var answer = await RunAsync(with, first);
        await RunAsync(without, first);
        var next = first with { Prompt = Prompt.FromText(TextOf(0) + answer.Text + "<|im_end|>\n" + Turn("Why Shimmy?")) };

        var (a, b) = (await RunAsync(with, next), await RunAsync(without, next));

        Assert.AreEqual(b.Start.CachedTokens, a.Start.CachedTokens);
        Assert.IsGreaterThan(answer.Start.PromptTokens, a.Start.CachedTokens);
        CollectionAssert.AreEqual(b.Tokens, a.Tokens);
    }

    [TestMethod]
    public async Task When_cells_run_out_drafts_are_given_up_first()
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, spec => spec with { Parallel = 4, Cells = 512 });

        var prompt = (await RunAsync(model, Greedy("cells 9 cells 9", 1))).Start.PromptTokens;
        // All cells in the end but for drafts; the last token of an answer needs none.
        var most = (512 / 4) - prompt + 1;

        var answers = await Task.WhenAll(Enumerable.Range(0, 4).Select(i => RunAsync(model, Greedy($"cells {i} cells {i}", most))));

        Assert.IsTrue(answers.All(answer => answer.End.GeneratedTokens == most));
        Assert.IsGreaterThan(0, answers.Sum(answer => answer.End.Timings.DraftedTokens));
        Assert.AreEqual(0L, (await model.GetStatisticsAsync(CancellationToken.None)).Preemptions);
    }

    [TestMethod]
    public async Task A_draft_model_says_nothing_new()
    {
        using var folder = new TemporaryFolder();
        File.Copy(Demo, folder["draft.gguf"]);
        await using var with = await LoadDemoAsync(speculate: true, folder["draft.gguf"]);
        await using var without = await LoadDemoAsync(speculate: false);
        // What a proposal takes is not known at first, so the draft model is asked; being the same model, it is right.
        var first = Asked(0, 0f);
        var begun =
            await RunAsync(with,
                first with { Prompt = Prompt.FromText(Turn(Questions[0])), Options = first.Options with { MaxTokens = 12 } });
        Assert.IsGreaterThan(0, begun.End.Timings.DraftedTokens);
        Assert.IsGreaterThan(begun.End.Timings.DraftedTokens / 2, begun.End.Timings.AcceptedTokens);
        foreach (var temperature in new[] { 0f, 0.6f })
        {
            for (var i = 0; i < Questions.Length; i++)
            {
                var request = Asked(i, temperature) with { Prompt = Prompt.FromText(Turn(Questions[i])) };
                var (a, b) = (await RunAsync(with, request), await RunAsync(without, request));
                CollectionAssert.AreEqual(b.Tokens, a.Tokens, $"{b.Text}\n{a.Text}");
            }
        }
    }

    [TestMethod]
    [DataRow(2048, "it has another vocabulary than the model: 2048 tokens, not 1024")]
    [DataRow(1025, null)]
    public async Task A_draft_model_of_another_vocabulary_is_refused_with_the_difference(int vocabulary, string? reason)
    {
        using var folder = new TemporaryFolder();
        var draft =
            RandomModel.Write(folder["draft.gguf"],
                new RandomModelShape { Vocabulary = vocabulary, Says = reason is null ? "elsewhere" : null });

        var refused = await Assert.ThrowsExactlyAsync<EngineException>(() => LoadAsync(folder, spec => spec with { Draft = draft }));

        Assert.AreEqual(EngineFailure.LoadFailed, refused.Failure);
        StringAssert.Contains(refused.Message, $"cannot draft with {draft}: ");
        StringAssert.Contains(refused.Message, reason ?? "token 261 is '▁elsewhere', not '▁shimmy'");
    }

    // What was asked and answered before is asked again.
    private static string TextOf(int i) =>
        $"{Turn(Questions[i % Questions.Length])}Shimmy is a local server for language models: it finds the models on your computer, runs them.<|im_end|>\n"
        + Turn(Questions[i % Questions.Length]);

    private static string Turn(string text) => $"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";

    // Without cells of earlier requests, so that both compute the prompt in the same pieces.
    private static GenerationRequest Asked(int i, float temperature) => new()
    {
        Prompt = Prompt.FromText(TextOf(i)),
        Options = new GenerationOptions { Temperature = temperature, Seed = (uint)i, MaxTokens = 64, CachePrompt = i == 0 },
    };

    private static Task<ILoadedModel> LoadDemoAsync(bool speculate, string? draft = null) => NewEngine().LoadAsync(
        new ModelSpec { Name = "demo", Path = Demo, Threads = 1, Parallel = 8, Speculate = speculate, Draft = draft },
            null, CancellationToken.None);
}
