using System.Text;
using Shimmy.Chat;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output;
using Shimmy.Engine;
using Shimmy.Models.Residency;
using Shimmy.Tests.Chat.Output;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Chat;

[TestClass]
[TestCategory("Unit")]
public sealed class ChatPipelineTests
{
    [TestMethod]
    public async Task Bytes_and_stop_strings_that_span_tokens_come_out_as_text()
    {
        var random = new Random(4);
        for (var round = 0; round < 300; round++)
        {
            var text = RandomText.Next(random, 0, 20) + "中<stop>" + RandomText.Next(random, 0, 10);
            var model = new FixedTokensModel([.. RandomText.Split(random, Encoding.UTF8.GetBytes(text))]);

            var events = await RunAsync(model, "<stop>", "never");

            Assert.AreEqual(text[..text.IndexOf("<stop>", StringComparison.Ordinal)], string.Concat(events.Select(one => one.Text)));
            Assert.AreEqual(42u, events[0].Start!.Seed);
            Assert.IsTrue(events[1..^1].All(one => one is { Start: null, End: null, Text.Length: > 0 }));
            var end = events[^1].End!;
            Assert.AreEqual((FinishReason.Stop, "<stop>"), (end.Reason, end.StopString));
            // Counted up to the token that completed the stop string; the engine was left there.
            Assert.AreEqual(new Usage(7, 3, model.Given), end.Usage);
            Assert.IsTrue(model.Left);
        }
    }

    [TestMethod]
    public async Task An_answer_that_a_stop_string_ends_tells_what_was_drafted_and_accepted_up_to_there()
    {
        var model = new FixedTokensModel(["a"u8.ToArray(), "b"u8.ToArray(), "c"u8.ToArray(), "<stop>"u8.ToArray(), "d"u8.ToArray()])
        {
            Drafts = [new(0, false), new(4, true), new(0, true), new(3, false), new(2, true)],
        };

        var end = (await RunAsync(model, "<stop>"))[^1].End!;

        Assert.AreEqual("<stop>", end.StopString);
        Assert.AreEqual((7, 2), (end.Timings.DraftedTokens, end.Timings.AcceptedTokens));
    }

    [TestMethod]
    public async Task What_a_thinking_budget_broke_off_counts_in_the_tokens_and_the_times_of_the_answer()
    {
        var model = new FixedTokensModel([.. Enumerable.Repeat("hm "u8.ToArray(), 9)]);
        var request = new GenerationRequest { Prompt = Prompt.FromText("?"), Options = new GenerationOptions { MaxTokens = 30 } };
        var events = new List<OutputEvent>();
        await foreach (var outputEvent in ReasoningBudget.RunAsync(new ModelLease(model), request,
            new ReasoningLimit(4, new ReasoningTags("<think>", "</think>"), Begun: true), new AnswerClock(), CancellationToken.None))
        {
            events.Add(outputEvent);
        }

        var end = events[^1].End!;
        Assert.AreEqual(new Usage(7, 3, 4 + 9), end.Usage);
        // The second request alone would have the times that the model gives each answer.
        Assert.AreNotEqual((1.0, 2.0, 3.0),
            (end.Timings.QueueMilliseconds, end.Timings.PrefillMilliseconds, end.Timings.DecodeMilliseconds));
        Assert.IsGreaterThan(0.0, end.Timings.DecodeMilliseconds);
    }

    [TestMethod]
    public async Task Without_a_stop_string_the_engines_own_end_is_reported()
    {
        var events = await RunAsync(new FixedTokensModel([[(byte)'a'], [0xE4, 0xB8]], FinishReason.Length), "b");

        Assert.AreEqual("a\uFFFD", string.Concat(events.Select(one => one.Text)));
        var end = events[^1].End!;
        Assert.AreEqual((FinishReason.Length, null), (end.Reason, end.StopString));
        Assert.AreEqual(new Usage(7, 3, 2), end.Usage);
        Assert.AreEqual(new GenerationTimings(1, 2, 3), end.Timings);
    }

    [TestMethod]
    public async Task A_beginning_of_a_stop_string_at_the_end_is_text()
    {
        var events = await RunAsync(new FixedTokensModel(["one <st"u8.ToArray(), "op"u8.ToArray()]), "<stop>");

        Assert.AreEqual("one <stop", string.Concat(events.Select(one => one.Text)));
        Assert.IsNull(events[^1].End!.StopString);
    }

    [TestMethod]
    public async Task A_stop_string_may_be_completed_by_the_last_unfinished_character()
    {
        var events = await RunAsync(new FixedTokensModel(["a!"u8.ToArray(), [0xE4]], FinishReason.Length), "!\uFFFD");

        Assert.AreEqual("a", string.Concat(events.Select(one => one.Text)));
        Assert.AreEqual((FinishReason.Stop, "!\uFFFD"), (events[^1].End!.Reason, events[^1].End!.StopString));
    }

    private static async Task<List<OutputEvent>> RunAsync(ILoadedModel model, params string[] stops)
    {
        var events = new List<OutputEvent>();
        var request = new CompletionRequest { Prompt = Prompt.FromText("?"), Options = new GenerationOptions { Stop = stops } };
        await foreach (var outputEvent in ChatPipeline.CompleteAsync(new ModelLease(model), request, CancellationToken.None))
            events.Add(outputEvent);
        return events;
    }
}
