using System.Diagnostics;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using static Shimmy.Tests.Fixtures.Servers.WorkerFixture;

namespace Shimmy.Tests.Worker.Scheduling;

[TestClass]
[TestCategory("Worker")]
public sealed class WorkerSchedulingTests
{
    private const int Prefix = 300;

    [TestMethod]
    public async Task A_prefix_that_nobody_has_computed_is_prefilled_once_for_all_who_share_it()
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, spec => spec with { Parallel = 8, BatchSize = 64 });

        var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => RunAsync(model, WithSharedPrefix(i))));
        var statistics = await model.GetStatisticsAsync(CancellationToken.None);

        Assert.AreEqual(8L * (Prefix + 2), statistics.PromptTokens);
        Assert.AreEqual(Prefix + 8 * 2, statistics.PrefilledTokens);
        Assert.AreEqual(7L * Prefix, statistics.CachedTokens);
        Assert.AreEqual(7, answers.Count(answer => answer.Start.CachedTokens == Prefix));
        await using var alone = await LoadAsync(folder, spec => spec with { SharePrefixes = false });
        for (var i = 0; i < 8; i++)
            CollectionAssert.AreEqual((await RunAsync(alone, WithSharedPrefix(i))).Tokens, answers[i].Tokens, "sharing changed an answer");
        Assert.AreEqual(0L, (await alone.GetStatisticsAsync(CancellationToken.None)).CachedTokens);
    }

    [TestMethod]
    public async Task A_generation_that_is_asked_to_finish_ends_with_its_counts()
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, spec => spec with { Parallel = 1 });
        using var finish = new CancellationTokenSource();
        using var finishWaiting = new CancellationTokenSource();
        var waiting = Task.CompletedTask;
        var events = new List<GenerationEvent>();
        var ofWaiting = new List<GenerationEvent>();
        await foreach (var engineEvent in model.GenerateAsync(Greedy("a", 100_000), CancellationToken.None, finish.Token))
        {
            events.Add(engineEvent);
            if (events.Count == 2)
            {
                // The other has no slot, so it ends without a start.
                waiting = Task.Run(async () =>
                {
                    await foreach (var other in model.GenerateAsync(Greedy("b", 3), CancellationToken.None, finishWaiting.Token))
                        ofWaiting.Add(other);
                });
                while ((await model.GetStatisticsAsync(CancellationToken.None)).Waiting < 1)
                    await Task.Yield();
                await finishWaiting.CancelAsync();
                await waiting;
                await finish.CancelAsync();
            }
        }

        var end = events[^1].End!;
        Assert.AreEqual((FinishReason.Cancelled, events.Count(one => one.IsToken)), (end.Reason, end.GeneratedTokens));
        Assert.AreEqual(events.Sum(one => one.Draft.Drafted), end.Timings.DraftedTokens);
        Assert.AreEqual(events.Count(one => one.Draft.Accepted), end.Timings.AcceptedTokens);
        Assert.IsGreaterThan(0, end.Timings.DecodeMilliseconds);
        var endOfWaiting = ofWaiting.Single().End!;
        Assert.AreEqual((FinishReason.Cancelled, 0, 0.0),
            (endOfWaiting.Reason, endOfWaiting.GeneratedTokens, endOfWaiting.Timings.DecodeMilliseconds));
        Assert.IsGreaterThan(0, endOfWaiting.Timings.QueueMilliseconds);
        Assert.AreEqual(0, (await model.GetStatisticsAsync(CancellationToken.None)).SlotsBusy);
    }

    [TestMethod]
    public async Task Beyond_the_queue_a_request_is_refused_with_a_time_to_come_back()
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, spec => spec with { Parallel = 1, Queue = 2, Speculate = false });
        using var leaving = new CancellationTokenSource();
        var begun = new TaskCompletionSource();
        var first = Task.Run(async () =>
        {
            await foreach (var _ in model.GenerateAsync(Greedy("a", 100_000), leaving.Token))
                begun.TrySetResult();
        });
        await begun.Task;
        // Of the two that wait, the one with the better place is next, though it came later.
        var order = new List<string>();
        var later = RunAsync(model, Greedy("b", 200) with { Place = new QueuePlace("", 0, 5) }, _ => Note("later"));
        await Poll.UntilAsync(async () => (await model.GetStatisticsAsync(CancellationToken.None)).Waiting == 1, "one request waits");
        var sooner = RunAsync(model, Greedy("c", 3) with { Place = new QueuePlace("", 0, 1) }, _ => Note("sooner"));
        await Poll.UntilAsync(async () => (await model.GetStatisticsAsync(CancellationToken.None)).Waiting == 2, "two requests wait");

        var refused = await Assert.ThrowsExactlyAsync<EngineException>(() => RunAsync(model, Greedy("d", 3)));
        Assert.AreEqual(EngineFailure.QueueFull, refused.Failure);
        Assert.IsInRange(1, 60, refused.RetryAfterSeconds);
        Assert.Contains("2 requests wait for this model already and 1 run", refused.Message);

        await leaving.CancelAsync();
        await first.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await Task.WhenAll(later, sooner);
        // Each is noted by a task of its own, some of them late; but not by 200 tokens.
        Assert.IsLessThan(order.LastIndexOf("later"), order.LastIndexOf("sooner"));
        var statistics = await model.GetStatisticsAsync(CancellationToken.None);
        Assert.AreEqual((1L, 0, 0), (statistics.Refused, statistics.Waiting, statistics.SlotsBusy));
        Assert.AreEqual(statistics.DecodeCalls, statistics.BatchSizes.Sum());
        // Every token of a batch is one of a prompt, or one that was generated and read again; the last of an answer is never read.
        Assert.AreEqual(statistics.PrefilledTokens + statistics.GeneratedTokens - 3, statistics.BatchTokens);

        void Note(string who)
        {
            lock (order)
                order.Add(who);
        }
    }

    [TestMethod]
    public async Task Without_a_queue_only_what_has_a_slot_is_taken()
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, spec => spec with { Parallel = 2, Queue = 0 });
        var answers = await Task.WhenAll(RunAsync(model, Greedy("a", 50)), RunAsync(model, Greedy("b", 50)));
        Assert.AreEqual(100, answers.Sum(answer => answer.Tokens.Count));
    }

    [TestMethod]
    public async Task A_conversation_computes_only_what_is_new()
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder);
        var first = await RunAsync(model, WithSharedPrefix(0));
        int[] next = [.. PromptOf(0), .. first.Tokens, 310, 311, 312];

        var second = await RunAsync(model, WithSharedPrefix(0) with { Prompt = Prompt.FromTokens(next) });

        // The last generated token was never decoded, so it is new as well.
        Assert.AreEqual(PromptOf(0).Length + first.Tokens.Count - 1, second.Start.CachedTokens);
        var uncached =
            await RunAsync(model, WithSharedPrefix(0) with { Options = WithSharedPrefix(0).Options with { CachePrompt = false } });
        Assert.AreEqual(0, uncached.Start.CachedTokens);
        CollectionAssert.AreEqual(first.Tokens, uncached.Tokens);
    }

    [TestMethod]
    public async Task Those_who_wait_for_a_prefix_go_on_when_the_one_who_computes_it_leaves()
    {
        using var folder = new TemporaryFolder();
        await using var model =
            await LoadAsync(folder, spec => spec with { Parallel = 4, BatchSize = 32 },
                new RandomModelShape { Layers = 8, Embedding = 256, FeedForward = 1024 });
        using var leaving = new CancellationTokenSource();
        var first = Task.Run(async () =>
        {
            await foreach (var _ in model.GenerateAsync(WithSharedPrefix(0), leaving.Token))
            {
            }
        });
        var others = Enumerable.Range(1, 3).Select(i => RunAsync(model, WithSharedPrefix(i))).ToArray();
        await Poll.UntilAsync(async () => (await model.GetStatisticsAsync(CancellationToken.None)).SlotsBusy > 0,
            "the first one computes the prefix");
        await leaving.CancelAsync();

        await Assert.ThrowsAsync<OperationCanceledException>(() => first);
        var answers = await Task.WhenAll(others);
        Assert.IsTrue(answers.All(answer => answer.End.GeneratedTokens == 8));
        Assert.AreEqual(0, (await model.GetStatisticsAsync(CancellationToken.None)).SlotsBusy);
    }

    [TestMethod]
    public async Task More_requests_than_slots_wait_their_turn()
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, spec => spec with { Parallel = 2 });

        var answers = await Task.WhenAll(Enumerable.Range(0, 12).Select(i => RunAsync(model, Greedy($"request {i}", 20))));

        Assert.IsTrue(answers.All(answer => answer.End.GeneratedTokens == 20));
        Assert.IsTrue(answers.Any(answer => answer.End.Timings.QueueMilliseconds > 1));
    }

    [TestMethod]
    public async Task When_cells_run_out_sequences_step_back_and_still_give_their_whole_answer()
    {
        using var folder = new TemporaryFolder();
        var alone = new List<int>[6];
        await using (var roomy = await LoadAsync(folder, spec => spec with { Parallel = 1 }))
        {
            for (var i = 0; i < alone.Length; i++)
                alone[i] = (await RunAsync(roomy, Greedy($"cells {i}", 200))).Tokens;
        }
        await using var model = await LoadAsync(folder, spec => spec with { Parallel = 6, Cells = 512 });
        Assert.AreEqual(512, model.Facts.Cells);

        var answers = await Task.WhenAll(Enumerable.Range(0, 6).Select(i => RunAsync(model, Greedy($"cells {i}", 200))));
        var statistics = await model.GetStatisticsAsync(CancellationToken.None);

        Assert.IsGreaterThan(0, statistics.Preemptions);
        Assert.IsLessThanOrEqualTo(
            statistics.PromptTokens, statistics.CachedTokensFrom.Values.Sum(), "what comes back is not counted again");
        for (var i = 0; i < alone.Length; i++)
        {
            Assert.AreEqual(200, answers[i].End.GeneratedTokens);
            // Cells that are computed again, now as a prompt, differ in the last bits, and random weights have many near ties; so
            // only the part that every sequence gives before the cells run out is the same for sure.
            CollectionAssert.AreEqual(alone[i][..40], answers[i].Tokens[..40]);
        }
    }

    [TestMethod]
    public async Task Idle_prefixes_give_way_to_a_long_prompt()
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, spec => spec with { Parallel = 4, Cells = 512, PrefixMemoryBytes = 0 });
        for (var i = 0; i < 4; i++)
            await RunAsync(model, Greedy($"an idle prefix, number {i}, of no further use to anybody", 60));

        var answer = await RunAsync(model, new GenerationRequest
        {
            Prompt = Prompt.FromTokens(Enumerable.Range(0, 480).Select(i => 300 + i % 90).ToArray()),
            Options = new GenerationOptions { Temperature = 0, MaxTokens = 20, IgnoreEos = true },
        });

        Assert.AreEqual(20, answer.End.GeneratedTokens);
        Assert.IsGreaterThan(0, (await model.GetStatisticsAsync(CancellationToken.None)).PrefixesDropped);
    }

    [TestMethod]
    public async Task A_request_that_nobody_reads_any_more_leaves_its_slot_at_once()
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, spec => spec with { Parallel = 1 });
        await foreach (var engineEvent in model.GenerateAsync(Greedy("endless", 400), CancellationToken.None))
        {
            if (engineEvent.IsToken)
                break;
        }
        var start = Stopwatch.GetTimestamp();

        var answer = await RunAsync(model, Greedy("next", 2));

        Assert.AreEqual(2, answer.End.GeneratedTokens);
        Assert.IsLessThan(2000, Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        var statistics = await model.GetStatisticsAsync(CancellationToken.None);
        Assert.AreEqual(0, statistics.SlotsBusy);
        Assert.IsLessThan(300, statistics.GeneratedTokens, "the abandoned request ran on");
    }

    [TestMethod]
    public async Task Statistics_of_an_idle_worker_stand_until_it_gets_something_to_do()
    {
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, spec => spec with { Parallel = 2, Speculate = false });
        var last = await AskAsync();
        // It is the same object where the worker was not asked again.
        await Poll.UntilAsync(async () => ReferenceEquals(last, last = await AskAsync()), "an answer stands");
        // Others ask all the time, so that there are answers from before, between and behind the frames of a request.
        using var end = new CancellationTokenSource();
        var others = Enumerable.Range(0, 2).Select(_ => Task.Run(async () =>
        {
            while (!end.IsCancellationRequested)
                await AskAsync();
        })).ToArray();
        for (var round = 1; round <= 30; round++)
        {
            await RunAsync(model, Greedy("short", 2));
            Assert.AreEqual((2L * round) - 1, (await AskAsync()).Requests, "one that the thread of the pipe hands to the scheduler");
            await RunAsync(model, Long());
            var statistics = await AskAsync();
            Assert.AreEqual(2L * round, statistics.Requests, "one that another thread hands to it later");
            Assert.AreEqual((4L * round, 0, 0), (statistics.GeneratedTokens, statistics.SlotsBusy, statistics.Waiting));
        }
        await foreach (var engineEvent in model.GenerateAsync(Greedy("endless", 100_000), CancellationToken.None))
        {
            if (!engineEvent.IsToken)
                continue;
            Assert.AreEqual(1, (await AskAsync()).SlotsBusy);
            break;
        }
        await Poll.UntilAsync(async () => (await AskAsync()).SlotsBusy == 0, "what nobody reads has ended");
        await end.CancelAsync();
        await Task.WhenAll(others);

        Task<EngineStatistics> AskAsync() => model.GetStatisticsAsync(CancellationToken.None);

        static GenerationRequest Long() => Greedy("long", 2) with
        {
            Options = Greedy("", 2).Options with { LogitBias = [.. Enumerable.Range(0, 10_000).Select(i => new LogitBias(i % 400, 0))] },
        };
    }

    [TestMethod]
    public async Task mutex_single()
    {
        // One decode at a time on a context, whatever the load: concurrent decodes crash llama.cpp or mix up answers.
        using var folder = new TemporaryFolder();
        await using var model = await LoadAsync(folder, spec => spec with { Parallel = 8 });
        var alone = (await RunAsync(model, Greedy("the one true answer", 30))).Tokens;

        var answers =
            await Task.WhenAll(Enumerable.Range(0, 64).Select(_ => Task.Run(() => RunAsync(model, Greedy("the one true answer", 30)))));

        foreach (var answer in answers)
            CollectionAssert.AreEqual(alone, answer.Tokens);
    }

    private static int[] PromptOf(int request) => [.. Enumerable.Range(0, Prefix).Select(i => 300 + i * 7 % 90), 400 + request, 350];

    private static GenerationRequest WithSharedPrefix(int request) => new()
    {
        Prompt = Prompt.FromTokens(PromptOf(request)),
        Options = new GenerationOptions { Temperature = 0, MaxTokens = 8, IgnoreEos = true },
    };
}
