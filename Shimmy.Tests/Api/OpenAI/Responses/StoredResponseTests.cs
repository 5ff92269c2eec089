using System.Net;
using System.Text.Json;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.OpenAI.Responses;

/// <summary><c>/v1/responses/{id}</c> and what lies below it.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class StoredResponseTests
{
    private const string Route = "v1/responses";

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public async Task An_answer_can_be_read_again_until_it_is_deleted(bool stream)
    {
        await using var server = await ServerFixture.StartAsync();
        var body = await server.AnswerAsync(Route, $$"""{"model":"talker","input":"hi","stream":{{(stream ? "true" : "false")}}}""");
        var answer = stream ? ResponseEvents.Read(body)[^1].GetProperty("response").GetRawText() : body;
        var id = IdOf(answer);

        Assert.AreEqual(answer, await server.Client.GetStringAsync($"{Route}/{id}"));
        using var deleted = await server.Client.DeleteAsync($"{Route}/{id}");
        Assert.AreEqual($$"""{"id":"{{id}}","object":"response.deleted","deleted":true}""", await deleted.Content.ReadAsStringAsync());
        foreach (var (method, path) in new[] { ("GET", id), ("DELETE", id), ("POST", id + "/cancel"), ("GET", id + "/input_items") })
        {
            using var gone = await server.Client.SendAsync(new HttpRequestMessage(new HttpMethod(method), $"{Route}/{path}"));
            Assert.AreEqual(HttpStatusCode.NotFound, gone.StatusCode, path);
            Assert.AreEqual("response_not_found", (await gone.JsonAsync()).GetProperty("error").GetProperty("code").GetString());
        }
        using var next = await server.PostAsync(Route, $$"""{"model":"talker","input":"more","previous_response_id":"{{id}}"}""");
        Assert.AreEqual(HttpStatusCode.BadRequest, next.StatusCode);
        var error = (await next.JsonAsync()).GetProperty("error");
        Assert.AreEqual(("previous_response_not_found", "previous_response_id"),
            (error.GetProperty("code").GetString(), error.GetProperty("param").GetString()));
    }

    [TestMethod]
    public async Task What_is_not_to_be_stored_is_not()
    {
        await using var server = await ServerFixture.StartAsync();
        var id = IdOf(await server.AnswerAsync(Route, """{"model":"talker","input":"hi","store":false}"""));
        using var gone = await server.Client.GetAsync($"{Route}/{id}");
        Assert.AreEqual(HttpStatusCode.NotFound, gone.StatusCode);
    }

    [TestMethod]
    public async Task Input_items_are_all_that_was_said_before_the_answer()
    {
        await using var server = await ServerFixture.StartAsync();
        var first =
            IdOf(await server.AnswerAsync(Route,
                """{"model":"talker","input":[{"id":"msg_a","role":"user","content":"a"},{"id":"msg_b","role":"user","content":"b"}]}"""));
        var second =
            IdOf(await server.AnswerAsync(Route,
                $$"""{"model":"talker","previous_response_id":"{{first}}","input":[{"id":"msg_c","role":"user","content":"c"}]}"""));

        var all = await Items("?order=asc");
        Assert.AreEqual(
            """{"id":"msg_a","type":"message","status":"completed","role":"user","content":[{"type":"input_text","text":"a"}]}""",
                all.GetProperty("data")[0].GetRawText());
        Assert.AreEqual("a b I am talker c",
            string.Join(' ', all.GetProperty("data").EnumerateArray()
                .Select(item => item.GetProperty("content")[0].GetProperty("text").GetString())));
        Assert.AreEqual(("msg_a", "msg_c", false),
            (all.GetProperty("first_id").GetString(), all.GetProperty("last_id").GetString(), all.GetProperty("has_more").GetBoolean()));
        var page = await Items("?limit=1&after=msg_a&order=asc");
        Assert.AreEqual(("msg_b", 1, true),
            (page.GetProperty("first_id").GetString(), page.GetProperty("data").GetArrayLength(),
                page.GetProperty("has_more").GetBoolean()));
        Assert.AreEqual("msg_c", (await Items("")).GetProperty("first_id").GetString());
        foreach (var (query, field) in new[] { ("limit=0", "limit"), ("limit=101", "limit"),
            ("order=up", "order"), ("after=msg_z", "after") })
        {
            using var wrong = await server.Client.GetAsync($"{Route}/{second}/input_items?{query}");
            Assert.AreEqual(HttpStatusCode.BadRequest, wrong.StatusCode);
            Assert.AreEqual(field, (await wrong.JsonAsync()).GetProperty("error").GetProperty("param").GetString());
        }

        async Task<JsonElement> Items(string query)
        {
            using var document = JsonDocument.Parse(await server.Client.GetStringAsync($"{Route}/{second}/input_items{query}"));
            return document.RootElement.Clone();
        }
    }

    [TestMethod]
    public async Task An_answer_that_runs_can_be_seen_and_cancelled()
    {
        var tokens = 0;
        await using var server = await ServerFixture.StartAsync(new ScriptedEngine
        {
            BeforeToken = cancellation =>
                Interlocked.Increment(ref tokens) == 1 ? Task.CompletedTask : Task.Delay(Timeout.Infinite, cancellation),
        });
        using var stream = await server.OpenAsync(Route, """{"model":"talker","input":"hi","stream":true}""");
        using var reader = new StreamReader(await stream.Content.ReadAsStreamAsync());
        var text = await ReadToDeltaAsync(reader, "I");
        var id = IdOf(text.Split("data: ")[1], "response");

        using var running = JsonDocument.Parse(await server.Client.GetStringAsync($"{Route}/{id}"));
        Assert.AreEqual("in_progress", running.RootElement.GetProperty("status").GetString());
        using var busy = await server.Client.DeleteAsync($"{Route}/{id}");
        Assert.AreEqual(HttpStatusCode.Conflict, busy.StatusCode);

        var cancelled = await server.AnswerAsync($"{Route}/{id}/cancel", "");
        using var json = JsonDocument.Parse(cancelled);
        Assert.AreEqual(("cancelled", "I"),
            (json.RootElement.GetProperty("status").GetString(), json.RootElement.GetProperty("output")[0]
                .GetProperty("content")[0].GetProperty("text").GetString()));
        var events = ResponseEvents.Read(text + await reader.ReadToEndAsync());
        Assert.AreEqual(("response.incomplete", cancelled), (events[^1].Type(), events[^1].GetProperty("response").GetRawText()));
        // Twice is no error, and it stays what it is.
        Assert.AreEqual(cancelled, await server.AnswerAsync($"{Route}/{id}/cancel", ""));
        Assert.AreEqual(cancelled, await server.Client.GetStringAsync($"{Route}/{id}"));
        await Poll.UntilAsync(() => server.Residency.Resident.All(model => model.Requests == 0), "the request has left the model");
    }

    [TestMethod]
    public async Task The_metrics_of_a_cancelled_answer_count_tokens_that_made_no_text_of_their_own()
    {
        var tokens = 0;
        await using var server = await ServerFixture.StartAsync(new ScriptedEngine
        {
            Answer = (_, _) => ["I", "", "", " am", " here"],
            BeforeToken = cancellation =>
                Interlocked.Increment(ref tokens) < 5 ? Task.CompletedTask : Task.Delay(Timeout.Infinite, cancellation),
        });
        using var stream = await server.OpenAsync(Route, """{"model":"talker","input":"hi","stream":true}""");
        using var reader = new StreamReader(await stream.Content.ReadAsStreamAsync());
        var text = await ReadToDeltaAsync(reader, " am");
        var id = IdOf(text.Split("data: ")[1], "response");

        await server.AnswerAsync($"{Route}/{id}/cancel", "");
        await reader.ReadToEndAsync();
        await Poll.UntilInFlightAsync(server.Client, 0);
        Assert.Contains("\nshimmy_generated_tokens_total{model=\"talker\"} 4\n", await server.Client.GetStringAsync("metrics"));
    }

    [TestMethod]
    public async Task An_answer_that_has_ended_cannot_be_cancelled_or_streamed_again()
    {
        await using var server = await ServerFixture.StartAsync();
        var id = IdOf(await server.AnswerAsync(Route, """{"model":"talker","input":"hi"}"""));
        using var cancelled = await server.PostAsync($"{Route}/{id}/cancel", "");
        Assert.AreEqual(HttpStatusCode.BadRequest, cancelled.StatusCode);
        Assert.Contains("is completed; only one that is in_progress", await cancelled.Content.ReadAsStringAsync());
        using var streamed = await server.Client.GetAsync($"{Route}/{id}?stream=true");
        Assert.AreEqual(HttpStatusCode.BadRequest, streamed.StatusCode);
    }

    // The stream's text as far as the piece with this delta, all of it.
    private static async Task<string> ReadToDeltaAsync(StreamReader reader, string delta)
    {
        var text = "";
        while (!text.EndsWith($"\"delta\":\"{delta}\",\"logprobs\":[]}}\n\n", StringComparison.Ordinal))
            text += await reader.ReadLineAsync() + "\n";
        return text;
    }

    private static string IdOf(string json, string? inside = null)
    {
        using var document = JsonDocument.Parse(json.Split('\n')[0]);
        return (inside is null ? document.RootElement : document.RootElement.GetProperty(inside)).GetProperty("id").GetString()!;
    }
}
