using System.Net;
using Shimmy.Server;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Http;

/// <summary>How long requests may take.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class RequestDeadlineTests
{
    private static ScriptedEngine Slow => new() { BeforeToken = cancellation => Task.Delay(Timeout.Infinite, cancellation) };

    [TestMethod]
    [DataRow("v1/chat/completions", """{"model":"talker","messages":[{"role":"user","content":"?"}]}""", "\"code\":\"deadline_exceeded\"")]
    [DataRow("v1/completions", """{"model":"talker","prompt":"?"}""", "\"code\":\"deadline_exceeded\"")]
    [DataRow("v1/messages", """{"model":"talker","max_tokens":9,"messages":[{"role":"user","content":"?"}]}""", "\"type\":\"timeout_error\"")]
    [DataRow("api/generate", """{"model":"talker","prompt":"?"}""", "\"error\":\"the request timed out after 0.2 s")]
    public async Task A_request_ends_when_its_time_is_over(string path, string body, string expected)
    {
        foreach (var (options, sent) in new[]
        {
            (new ServerOptions { RequestTimeout = TimeSpan.FromSeconds(0.2) }, body),
            (new ServerOptions(), body[..^1] + ",\"timeout\":0.2}"),
            (new ServerOptions { RequestTimeout = TimeSpan.FromMinutes(9) }, body[..^1] + ",\"timeout\":0.2}"),
            (new ServerOptions { RequestTimeout = TimeSpan.FromSeconds(0.2) }, body[..^1] + ",\"timeout\":500}"),
        })
        {
            await using var server = await ServerFixture.StartAsync(Slow, options);
            using var answer = await server.PostAsync(path, sent);
            var text = await answer.Content.ReadAsStringAsync();
            Assert.AreEqual(HttpStatusCode.GatewayTimeout, answer.StatusCode, text);
            Assert.Contains(expected, text);
            Assert.Contains("0.2 s", text);
            Assert.AreEqual(0, server.Residency.Resident.Single().Requests);
        }
    }

    [TestMethod]
    [DataRow("v1/chat/completions", """{"model":"talker","stream":true,"timeout":0.3,"messages":[{"role":"user","content":"?"}]}""")]
    [DataRow("v1/messages", """{"model":"talker","stream":true,"timeout":0.3,"max_tokens":9,"messages":[{"role":"user","content":"?"}]}""")]
    [DataRow("api/generate", """{"model":"talker","stream":true,"timeout":0.3,"prompt":"?"}""")]
    public async Task A_stream_that_has_begun_ends_with_the_error_and_not_as_if_it_were_whole(string path, string body)
    {
        var tokens = 0;
        await using var server = await ServerFixture.StartAsync(new ScriptedEngine
        {
            BeforeToken = cancellation =>
                Interlocked.Increment(ref tokens) == 1 ? Task.CompletedTask : Task.Delay(Timeout.Infinite, cancellation),
        });
        using var answer = await server.OpenAsync(path, body);
        Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode);
        using var reader = new StreamReader(await answer.Content.ReadAsStreamAsync());
        var text = "";
        await Assert.ThrowsAsync<IOException>(async () =>
        {
            while (await reader.ReadLineAsync() is { } line)
                text += line + "\n";
        });
        Assert.Contains("timed out after 0.3 s", text);
        Assert.DoesNotContain("[DONE]", text);
        Assert.DoesNotContain("message_stop", text);
    }

    [TestMethod]
    public async Task Each_message_on_a_socket_has_its_own_time()
    {
        var slow = false;
        await using var server = await ServerFixture.StartAsync(
            new ScriptedEngine { BeforeToken = cancellation => slow ? Task.Delay(Timeout.Infinite, cancellation) : Task.CompletedTask },
            new ServerOptions { RequestTimeout = TimeSpan.FromSeconds(0.3) });
        using var socket = await server.ConnectAsync();
        // The socket is silent for longer than a request may take: as long as another request takes to reach its end.
        slow = true;
        using (var other = await server.PostAsync("v1/completions", """{"model":"talker","prompt":"?"}"""))
            Assert.AreEqual(HttpStatusCode.GatewayTimeout, other.StatusCode);
        foreach (var round in new[] { false, true, false })
        {
            slow = round;
            await socket.SendAsync("""{"model":"talker","prompt":"?"}""");
            string text;
            do
                text = (await socket.ReceiveAsync())!;
            while (text.Contains("\"token\"", StringComparison.Ordinal));
            Assert.Contains(round ? "timed out after 0.3 s" : "\"done\":true", text);
        }
    }

    [TestMethod]
    [DataRow("0", "above 0")]
    [DataRow("-1", "must be a number from 0 to 86400")]
    [DataRow("\"5s\"", "must be a number from 0 to 86400")]
    public async Task A_timeout_that_is_none_is_refused(string value, string message)
    {
        await using var server = await ServerFixture.StartAsync();
        using var answer = await server.PostAsync("v1/completions", $$"""{"model":"talker","prompt":"?","timeout":{{value}}}""");
        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
        var error = (await answer.JsonAsync()).GetProperty("error");
        Assert.AreEqual("timeout", error.GetProperty("param").GetString());
        Assert.Contains(message, error.GetProperty("message").GetString()!);
    }
}
