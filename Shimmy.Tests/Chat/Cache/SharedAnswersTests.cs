using System.Text.Json;
using Shimmy.Server.Recording;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Chat.Cache;

/// <summary>Kind: two equal requests at once. What has one answer is computed once, also where who asked first leaves.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class SharedAnswersTests
{
    private const string Route = "v1/chat/completions";

    private static string Ask(string question, bool stream = false) =>
        $$"""{"model":"talker","temperature":0,"stream":{{(stream ? "true" : "false")}},"messages":[{"role":"user","content":"{{question}}"}]}""";

    [TestMethod]
    public async Task Equal_determined_requests_at_once_are_computed_once()
    {
        var computed = 0;
        var go = new TaskCompletionSource();
        var engine = new ScriptedEngine
        {
            Answer = (_, _) =>
            {
                Interlocked.Increment(ref computed);
                return ["one", " two"];
            },
            BeforeToken = cancellation => go.Task.WaitAsync(cancellation),
        };
        await using var server = await ServerFixture.StartAsync(engine);
        var asked = Enumerable.Range(0, 8).Select(i => server.AnswerAsync(Route, Ask("?", stream: i % 2 == 1))).ToArray();
        await Poll.UntilAsync(() => Volatile.Read(ref computed) > 0, "one is computed");
        await Poll.UntilInFlightAsync(server.Client, asked.Length);
        go.SetResult();
        foreach (var answer in await Task.WhenAll(asked))
            Assert.Contains(" two", answer);
        Assert.AreEqual(1, computed);
    }

    [TestMethod]
    public async Task Where_the_first_leaves_another_goes_on()
    {
        var computed = 0;
        var go = new TaskCompletionSource();
        var engine = new ScriptedEngine
        {
            Answer = (_, _) =>
            {
                Interlocked.Increment(ref computed);
                return ["one", " two"];
            },
            BeforeToken = cancellation => go.Task.WaitAsync(cancellation),
        };
        await using var server = await ServerFixture.StartAsync(engine);
        using var leave = new CancellationTokenSource();
        var first = server.OpenAsync(Route, Ask("??", stream: true), leave.Token);
        await Poll.UntilAsync(() => Volatile.Read(ref computed) == 1, "the first is computed");
        var second = server.AnswerAsync(Route, Ask("??"));
        await Poll.UntilInFlightAsync(server.Client, 2);
        Assert.AreEqual(1, computed, "the second waits for the first");
        await leave.CancelAsync();
        await ((Task)first).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (first.IsCompletedSuccessfully)
            first.Result.Dispose();
        await Poll.UntilAsync(() => Volatile.Read(ref computed) == 2, "the second goes on");
        go.SetResult();
        Assert.Contains("one two", await second);
    }

    [TestMethod]
    [DataRow("choices", """{"choices":[{"index":0,"delta":{"content":"TEXT"}}]}""")]
    [DataRow("responses", """{"type":"response.output_text.delta","item_id":"m","delta":"TEXT"}""")]
    [DataRow("messages", """{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"TEXT"}}""")]
    [DataRow("native", """{"token":"TEXT"}""")]
    public void A_key_that_is_spelled_out_over_several_deltas_is_blanked(string dialect, string shape)
    {
        const string key = "sk-0123456789abcdef";
        var texts = new[] { "your key is sk-", "0123", "", "456789abc", "def, keep it" };
        var pieces = texts.Select(text => new StreamPiece($"data: {shape.Replace("TEXT", text, StringComparison.Ordinal)}\n\n", 1)).ToList();
        var blanked = SplitKeys.Blank(pieces, [key]);
        var told = string.Concat(blanked.Select(piece => TextIn(JsonDocument.Parse(piece.Text["data: ".Length..]).RootElement)));
        Assert.AreEqual("your key is [key], keep it", told, dialect);
    }

    [TestMethod]
    public void Texts_of_two_answers_that_take_turns_are_not_mixed_up()
    {
        var pieces = new[] { (0, "sk-01"), (1, "other"), (0, "23456789abcdef") }.Select(one => new StreamPiece(
            $$"""data: {"choices":[{"index":{{one.Item1}},"delta":{"content":"{{one.Item2}}"} }]}""" + "\n\n", 1)).ToList();
        var told = string.Concat(SplitKeys.Blank(pieces, ["sk-0123456789abcdef"]).Select(piece => piece.Text));
        Assert.DoesNotContain("sk-01", told);
        Assert.DoesNotContain("89abcdef", told);
        Assert.Contains("other", told);
    }

    private static string TextIn(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => string.Concat(value.EnumerateObject().Where(field => field.Name is not ("type" or "item_id"))
            .Select(field => TextIn(field.Value))),
        JsonValueKind.Array => string.Concat(value.EnumerateArray().Select(TextIn)),
        JsonValueKind.String => value.GetString()!,
        _ => "",
    };
}
