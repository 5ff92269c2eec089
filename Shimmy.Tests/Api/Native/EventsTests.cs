using System.Text.Json;
using Microsoft.Extensions.Logging;
using Shimmy.Observability;
using Shimmy.Server;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.Native;

/// <summary><c>/api/events</c>: what a listener is told, and what not.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class EventsTests
{
    private const string Ask = """{"model":"talker","prompt":"good morning"}""";

    [TestMethod]
    public async Task A_request_is_reported_while_it_runs_and_at_its_end()
    {
        var gate = new TaskCompletionSource();
        var engine = new ScriptedEngine { BeforeToken = _ => gate.Task };
        await using var server = await ServerFixture.StartAsync(engine);
        await using var listener = await ListenAsync(server);
        Assert.AreEqual(5, (await listener.NextAsync("hello")).GetProperty("figures_seconds").GetInt32());

        var answer = server.AnswerAsync("api/generate", Ask);
        var running = await listener.NextAsync("requests", of => of.GetProperty("running").GetArrayLength() == 1
            && of.GetProperty("running")[0].GetProperty("state").GetString() is not "reading" and not "loading");
        Assert.AreEqual("/api/generate", running.GetProperty("running")[0].GetProperty("path").GetString());
        Assert.AreEqual("talker", running.GetProperty("running")[0].GetProperty("model").GetString());
        gate.SetResult();
        await answer;

        var ended = (await listener.NextAsync("requests", of => of.GetProperty("ended").GetArrayLength() == 1)).GetProperty("ended")[0];
        Assert.AreEqual(running.GetProperty("running")[0].GetProperty("id").GetString(), ended.GetProperty("id").GetString());
        Assert.AreEqual(200, ended.GetProperty("status").GetInt32());
        Assert.IsGreaterThan(0, ended.GetProperty("generated_tokens").GetInt32());
        Assert.IsFalse(ended.TryGetProperty("prompt", out _), "prompts are not logged, so they are not told");
    }

    [TestMethod]
    public async Task A_listener_that_comes_later_gets_what_was_and_the_models()
    {
        await using var server = await ServerFixture.StartAsync();
        await server.AnswerAsync("api/generate", Ask);
        await using var listener = await ListenAsync(server);

        var model = (await listener.NextAsync("models", of => of.GetArrayLength() == 1))[0];
        Assert.AreEqual("ready", model.GetProperty("status").GetString());
        Assert.AreEqual(1, (await listener.NextAsync("requests")).GetProperty("ended").GetArrayLength());
    }

    [TestMethod]
    public async Task Prompts_are_reported_with_log_prompts_to_the_key_that_sent_them_alone()
    {
        var keys = ApiKeyFile.Read(["one", "two"]);
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions { Keys = keys, LogPrompts = true });
        using var asking = new HttpRequestMessage(HttpMethod.Post, "api/generate")
        {
            Content = new StringContent(Ask),
            Headers = { { "x-api-key", "one" } },
        };
        using (var answer = await server.Client.SendAsync(asking))
            Assert.IsTrue(answer.IsSuccessStatusCode);

        await using var own = await ListenAsync(server, "one");
        await using var other = await ListenAsync(server, "two");

        var seen = (await own.NextAsync("requests")).GetProperty("ended")[0];
        Assert.Contains("good morning", seen.GetProperty("prompt").GetString()!);
        Assert.AreEqual("I am talker", seen.GetProperty("answer").GetString());
        var unseen = (await other.NextAsync("requests")).GetProperty("ended")[0];
        Assert.AreEqual(seen.GetProperty("id").GetString(), unseen.GetProperty("id").GetString());
        Assert.IsFalse(unseen.TryGetProperty("prompt", out _));
    }

    [TestMethod]
    public async Task The_log_is_reported_without_its_prompts()
    {
        using var tail = new LogTail();
        var logger = tail.CreateLogger("shimmy");
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions { LogTail = tail });
        await using var listener = await ListenAsync(server);
        logger.Log(LogLevel.Information, new EventId(1, LogTail.PromptEvent), "a secret", null, (state, _) => state);
        logger.Log(LogLevel.Warning, new EventId(2, "Other"), "no secret", null, (state, _) => state);

        var lines = await listener.NextAsync("log");

        Assert.AreEqual(1, lines.GetArrayLength());
        Assert.AreEqual("no secret", lines[0].GetProperty("text").GetString());
        Assert.AreEqual("warning", lines[0].GetProperty("level").GetString());
    }

    [TestMethod]
    public async Task A_stop_ends_the_stream()
    {
        await using var server = await ServerFixture.StartAsync();
        await using var listener = await ListenAsync(server);
        await listener.NextAsync("hello");

        await server.Server.StopAsync().WaitAsync(TimeSpan.FromSeconds(10));

        Assert.IsTrue(await listener.EndsAsync());
    }

    private static async Task<Listener> ListenAsync(ServerFixture server, string? key = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, "api/events");
        if (key is not null)
            request.Headers.Add("x-api-key", key);
        var answer = await server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        Assert.AreEqual("text/event-stream; charset=utf-8", answer.Content.Headers.ContentType!.ToString());
        return new Listener(answer, new StreamReader(await answer.Content.ReadAsStreamAsync()));
    }

    private sealed class Listener(HttpResponseMessage answer, StreamReader lines) : IAsyncDisposable
    {
        /// <summary>The data of the next event of a name that is as it should be.</summary>
        public async Task<JsonElement> NextAsync(string name, Func<JsonElement, bool>? fits = null)
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
            var current = "";
            while (await lines.ReadLineAsync(limit.Token) is { } line)
            {
                if (line.StartsWith("event: ", StringComparison.Ordinal))
                {
                    current = line["event: ".Length..];
                }
                else if (current == name && line.StartsWith("data: ", StringComparison.Ordinal)
                    && JsonElement.Parse(line["data: ".Length..]) is var data && fits?.Invoke(data) != false)
                {
                    return data;
                }
            }
            throw new InvalidOperationException($"the stream ended before {name}");
        }

        /// <summary>Whether nothing follows but what was sent before.</summary>
        public async Task<bool> EndsAsync()
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
            while (await lines.ReadLineAsync(limit.Token) is not null)
            {
            }
            return true;
        }

        public ValueTask DisposeAsync()
        {
            lines.Dispose();
            answer.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
