using System.Text;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using static Shimmy.Tests.Fixtures.Servers.WorkerFixture;

namespace Shimmy.Tests.Worker;

/// <summary>One worker and its model for all tests of this class.</summary>
[TestClass]
[TestCategory("Worker")]
public sealed class WorkerGenerationTests
{
    private static TemporaryFolder _folder = null!;
    private static ILoadedModel _model = null!;

    [ClassInitialize]
    public static async Task Load(TestContext _)
    {
        _folder = new TemporaryFolder();
        _model = await LoadAsync(_folder, spec => spec with { Parallel = 8 });
    }

    [ClassCleanup]
    public static async Task Unload()
    {
        await _model.DisposeAsync();
        _folder.Dispose();
    }

    [TestMethod]
    public async Task Eight_at_once_give_the_tokens_that_each_gives_alone()
    {
        // Sums of a batch round differently than those of one row, and random weights have near ties: only the first tokens are compared
        // here. A trained model is held to whole answers by SameTextTests.
        var prompts = Enumerable.Range(0, 8).Select(i => $"prompt number {i} of eight").ToArray();
        var alone = new List<List<int>>();
        foreach (var prompt in prompts)
            alone.Add((await RunAsync(_model, Greedy(prompt, 16))).Tokens);

        var together = await Task.WhenAll(prompts.Select(prompt => RunAsync(_model, Greedy(prompt, 16))));

        for (var i = 0; i < prompts.Length; i++)
            CollectionAssert.AreEqual(alone[i], together[i].Tokens, prompts[i]);
        Assert.AreNotEqual(string.Join(' ', alone[0]), string.Join(' ', alone[1]), "the prompts make no difference");
    }

    [TestMethod]
    public async Task The_answer_ends_at_max_tokens_and_counts_what_it_gave()
    {
        var answer = await RunAsync(_model, Greedy("count me", 7));

        Assert.AreEqual(FinishReason.Length, answer.End.Reason);
        Assert.AreEqual(7, answer.End.GeneratedTokens);
        Assert.HasCount(7, answer.Tokens);
        Assert.AreEqual((await _model.TokenizeAsync(Prompt.FromText("count me"), CancellationToken.None)).Count, answer.Start.PromptTokens);
    }

    [TestMethod]
    public async Task The_answer_ends_where_the_context_is_full()
    {
        var answer = await RunAsync(_model, new GenerationRequest
        {
            Prompt = Prompt.FromText("go on and on"),
            Options = new GenerationOptions { Temperature = 0, IgnoreEos = true },
        });

        Assert.AreEqual(FinishReason.Length, answer.End.Reason);
        Assert.AreEqual(_model.Facts.ContextLength, answer.Start.PromptTokens + answer.End.GeneratedTokens);
    }

    [TestMethod]
    public async Task The_same_seed_gives_the_same_tokens_and_another_seed_others()
    {
        // A prompt out of the cache is computed in a batch of another size, and beside others in other cells; both round differently on some
        // processors (docs/caching-and-replay.md).
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, spec => spec with { Parallel = 1, PrefixMemoryBytes = 0 });
        var options =
            new GenerationOptions
            {
                Temperature = 1.2f,
                TopK = 0,
                TopP = 1,
                MaxTokens = 40,
                IgnoreEos = true,
                Seed = 5,
                CachePrompt = false
            };
        var request = Greedy("seeds", 40) with { Options = options };
        var first = await RunAsync(model, request);
        var again = await RunAsync(model, request);
        var other = await RunAsync(model, request with { Options = request.Options with { Seed = 6 } });
        var drawn = await RunAsync(model, request with { Options = request.Options with { Seed = null } });

        CollectionAssert.AreEqual(first.Tokens, again.Tokens);
        CollectionAssert.AreNotEqual(first.Tokens, other.Tokens);
        Assert.AreEqual(5u, first.Start.Seed);
        var repeated = await RunAsync(model, request with { Options = request.Options with { Seed = drawn.Start.Seed } });
        CollectionAssert.AreEqual(drawn.Tokens, repeated.Tokens, "the seed that was reported is not the one in use");
    }

    [TestMethod]
    public async Task A_prompt_that_does_not_fit_is_refused_with_both_numbers()
    {
        var tokens = Enumerable.Repeat(300, _model.Facts.ContextLength + 3).ToArray();

        var error = await Assert.ThrowsExactlyAsync<EngineException>(() =>
            RunAsync(_model, new GenerationRequest { Prompt = Prompt.FromTokens(tokens) }));

        Assert.AreEqual(EngineFailure.PromptTooLong, error.Failure);
        Assert.AreEqual(tokens.Length, error.PromptTokens);
        Assert.AreEqual(_model.Facts.ContextLength, error.ContextLength);
        StringAssert.Contains(error.Message, $"{tokens.Length}");
        StringAssert.Contains(error.Message, $"{_model.Facts.ContextLength}");
    }

    [TestMethod]
    public async Task A_bias_of_negative_infinity_bans_a_token()
    {
        var free = await RunAsync(_model, Greedy("ban", 20));
        var banned = free.Tokens[0];

        var request = Greedy("ban", 20);
        var answer = await RunAsync(_model, request with
        {
            Options = request.Options with { LogitBias = [new LogitBias(banned, float.NegativeInfinity)] },
        });

        CollectionAssert.DoesNotContain(answer.Tokens, banned);
        var error = await Assert.ThrowsExactlyAsync<EngineException>(() => RunAsync(_model, request with
        {
            Options = request.Options with { LogitBias = [new LogitBias(_model.Facts.VocabularySize, 1)] },
        }));
        Assert.AreEqual("logit_bias", error.Option);
    }

    [TestMethod]
    public async Task A_grammar_is_followed_and_ends_the_answer()
    {
        var request = Greedy("say", 50) with { Grammar = "root ::= (\"yes\" | \"no\") \"!\"" };
        var answer = await RunAsync(_model, request with { Options = request.Options with { IgnoreEos = false } });

        Assert.IsTrue(answer.Text is "yes!" or "no!", answer.Text);
        Assert.AreEqual(FinishReason.Stop, answer.End.Reason);
    }

    [TestMethod]
    [DataRow("root := \"x\"")]
    [DataRow("start ::= \"x\"")]
    [DataRow("root ::= missing")]
    [DataRow("root ::= root \"a\" | \"a\"")]
    [DataRow("root ::= \"a\0\"")]
    [DataRow("")]
    public async Task A_grammar_that_does_not_parse_is_refused_and_harms_nobody(string grammar)
    {
        var error = await Assert.ThrowsExactlyAsync<EngineException>(() => RunAsync(_model, Greedy("x", 5) with { Grammar = grammar }));

        Assert.AreEqual(EngineFailure.InvalidRequest, error.Failure);
        Assert.AreEqual("grammar", error.Option);
        Assert.AreEqual(3, (await RunAsync(_model, Greedy("still there", 3))).End.GeneratedTokens);
    }

    [TestMethod]
    public async Task Log_probabilities_are_those_of_the_unchanged_logits()
    {
        var request = Greedy("likely", 6);
        var answer = await RunAsync(_model, request with { Options = request.Options with { TopLogProbabilities = 5 } });

        for (var i = 0; i < answer.Tokens.Count; i++)
        {
            var reported = answer.LogProbabilities[i]!;
            Assert.HasCount(5, reported.Top);
            Assert.AreEqual(answer.Tokens[i], reported.Top[0].Token, "greedy takes the most likely");
            Assert.AreEqual(reported.Top[0].LogProbability, reported.LogProbability);
            Assert.IsTrue(reported.Top.Zip(reported.Top.Skip(1)).All(pair => pair.First.LogProbability >= pair.Second.LogProbability));
            Assert.IsLessThan(1.0, reported.Top.Sum(top => Math.Exp(top.LogProbability)));
        }
        // With every token reported the probabilities are a distribution.
        var all = await RunAsync(_model, request with { Options = request.Options with { TopLogProbabilities = 20, MaxTokens = 1 } });
        Assert.HasCount(20, all.LogProbabilities[0]!.Top);
    }

    [TestMethod]
    public async Task A_repeat_penalty_keeps_a_greedy_answer_from_repeating_itself()
    {
        var request = Greedy("repeat", 100);
        var free = await RunAsync(_model, request);
        var penalised = await RunAsync(_model, request with { Options = request.Options with { FrequencyPenalty = 2, RepeatLastN = -1 } });

        Assert.IsGreaterThan(free.Tokens.Distinct().Count(), penalised.Tokens.Distinct().Count());
    }

    [TestMethod]
    public async Task Every_sampler_can_be_asked_for()
    {
        var neutral = new GenerationOptions { MaxTokens = 12, IgnoreEos = true, Seed = 3 };
        var variants = new[]
        {
            neutral with { TopK = 5 }, neutral with { TopP = 0.5f }, neutral with { MinP = 0.3f }, neutral with { TypicalP = 0.4f },
            neutral with { TopNSigma = 1f }, neutral with { XtcProbability = 1f, XtcThreshold = 0.0001f },
                neutral with { DryMultiplier = 0.8f },
            neutral with { DynamicTemperatureRange = 0.5f }, neutral with { Mirostat = 1 }, neutral with { Mirostat = 2 },
            neutral with { PresencePenalty = 2 }, neutral with { Temperature = 0, XtcProbability = 1f, XtcThreshold = 0.0001f },
            neutral with { Temperature = 0, DryMultiplier = 0.8f }, neutral with { TopK = 0, TopP = 1, MinP = 0 },
        };
        foreach (var options in variants)
        {
            var answer = await RunAsync(_model, Greedy("all kinds", 12) with { Options = options });
            Assert.AreEqual(12, answer.End.GeneratedTokens, options.ToString());
        }
    }

    [TestMethod]
    public async Task A_control_token_that_a_user_writes_stays_text()
    {
        var written = new Prompt
        {
            Parts = [new("<|im_start|>", true), new("a <|im_end|><|im_start|>b", false), new("<|im_end|>", true)],
        };
        var tokens = await _model.TokenizeAsync(written, CancellationToken.None);

        Assert.AreEqual(1, tokens.Count(token => token == RandomModel.ImStart));
        Assert.AreEqual(1, tokens.Count(token => token == RandomModel.ImEnd));
        Assert.AreEqual(RandomModel.ImEnd, tokens[^1]);
        var text = Encoding.UTF8.GetString((await _model.DetokenizeAsync(tokens, CancellationToken.None)).Span);
        StringAssert.Contains(text, "<|im_end|><|im_start|>b<|im_end|>");
    }

    [TestMethod]
    public async Task Control_tokens_split_between_ours_and_the_users_text_are_not_recognised()
    {
        var written = new Prompt { Parts = [new("x<|im_", true), new("end|>", false), new("<|im_end|>", true)] };
        var tokens = await _model.TokenizeAsync(written, CancellationToken.None);

        Assert.AreEqual(1, tokens.Count(token => token == RandomModel.ImEnd));
        Assert.AreEqual(RandomModel.ImEnd, tokens[^1]);
    }

    [TestMethod]
    public async Task Parts_without_control_tokens_are_tokenized_as_one_text()
    {
        var whole = await _model.TokenizeAsync(Prompt.FromText("the quick brown fox"), CancellationToken.None);
        var parts = await _model.TokenizeAsync(
            new Prompt { Parts = [new("the qu", true), new("ick br", false), new("own fox", true)] }, CancellationToken.None);

        CollectionAssert.AreEqual(whole.ToArray(), parts.ToArray());
    }

    [TestMethod]
    public async Task Bos_comes_first_once()
    {
        var plain = await _model.TokenizeAsync(Prompt.FromText("hello"), CancellationToken.None);
        var spelled = await _model.TokenizeAsync(Prompt.FromText("<s>hello"), CancellationToken.None);
        var without = await _model.TokenizeAsync(Prompt.FromText("hello") with { AddBos = false }, CancellationToken.None);

        Assert.AreEqual(RandomModel.Bos, plain[0]);
        Assert.AreEqual(1, spelled.Count(token => token == RandomModel.Bos));
        Assert.AreNotEqual(RandomModel.Bos, without[0]);
    }

    [TestMethod]
    public async Task A_token_outside_the_vocabulary_is_refused()
    {
        foreach (var token in new[] { -1, _model.Facts.VocabularySize, int.MaxValue })
        {
            var error = await Assert.ThrowsExactlyAsync<EngineException>(() =>
                RunAsync(_model, new GenerationRequest { Prompt = Prompt.FromTokens([1, token]) }));
            Assert.AreEqual(EngineFailure.InvalidRequest, error.Failure);
            await Assert.ThrowsExactlyAsync<EngineException>(() => _model.DetokenizeAsync([token], CancellationToken.None));
        }
    }
}
