using System.Net;
using System.Net.WebSockets;
using Shimmy.Engine;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.Native;

[TestClass]
[TestCategory("Unit")]
public sealed class GenerateSocketTests
{
    private const string Ask = """{"model":"talker","prompt":"who are you","seed":5}""";

    private static readonly string[] WholeAnswer =
    [
        """{"token":"I"}""",
        """{"token":" am"}""",
        """{"token":" talker"}""",
        """{"done":true,"model":"talker","usage":{"prompt_tokens":3,"completion_tokens":3,"total_tokens":6,"cached_tokens":0},"finish_reason":"stop","seed":5,"timings":{"queue_ms":0,"prefill_ms":0,"decode_ms":0}}""",
    ];

    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    [TestMethod]
    public async Task token_frames()
    {
        await using var server = await ServerFixture.StartAsync();
        using var socket = await server.ConnectAsync();
        await socket.SendAsync(Ask);
        CollectionAssert.AreEqual(WholeAnswer, await socket.AnswerAsync());
    }

    [TestMethod]
    public async Task ws_streaming()
    {
        // One token, one frame, at once; a second request may follow on the same socket.
        using var token = new SemaphoreSlim(1);
        await using var server = await ServerFixture.StartAsync(new ScriptedEngine { BeforeToken = token.WaitAsync });
        using var socket = await server.ConnectAsync();
        for (var round = 0; round < 2; round++)
        {
            await socket.SendAsync(Ask);
            foreach (var frame in WholeAnswer)
            {
                Assert.AreEqual(frame, await socket.ReceiveAsync());
                if (frame != WholeAnswer[^1])
                    token.Release();
            }
        }
        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, null, CancellationToken.None);
        Assert.AreEqual(WebSocketCloseStatus.NormalClosure, socket.CloseStatus);
    }

    [TestMethod]
    public async Task A_request_that_comes_while_another_runs_waits_for_its_end()
    {
        await using var server = await ServerFixture.StartAsync();
        using var socket = await server.ConnectAsync();
        for (var i = 0; i < 3; i++)
            await socket.SendAsync(Ask);
        for (var i = 0; i < 3; i++)
            CollectionAssert.AreEqual(WholeAnswer, await socket.AnswerAsync());
    }

    [TestMethod]
    public async Task A_cancel_ends_the_request_that_runs_and_the_socket_goes_on()
    {
        var engine = Endless(out var ended);
        await using var server = await ServerFixture.StartAsync(engine);
        using var socket = await server.ConnectAsync();

        await socket.SendAsync(Ask);
        Assert.AreEqual("""{"token":"I"}""", await socket.ReceiveAsync());
        await socket.SendAsync("""{"cancel":true}""");
        Assert.AreEqual("""{"done":true,"finish_reason":"cancelled"}""", await socket.ReceiveAsync());
        await ended.WaitAsync(Soon);

        engine.BeforeToken = _ => Task.CompletedTask;
        await socket.SendAsync("""{"cancel":true}""");
        Assert.AreEqual("""{"error":"cancel: no request is running on this socket","done":true}""", await socket.ReceiveAsync());
        await socket.SendAsync(Ask);
        CollectionAssert.AreEqual(WholeAnswer, await socket.AnswerAsync());
    }

    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public async Task A_client_that_leaves_ends_its_generation(bool politely)
    {
        var engine = Endless(out var ended);
        await using var server = await ServerFixture.StartAsync(engine);
        using var socket = await server.ConnectAsync();
        await socket.SendAsync(Ask);
        await socket.ReceiveAsync();

        if (politely)
            await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, CancellationToken.None);
        else
            socket.Abort();

        await ended.WaitAsync(Soon);
        await Poll.UntilAsync(() => server.Residency.Resident.Single().Requests == 0, "the lease of the socket ends");
    }

    [TestMethod]
    [DataRow("", """{"error":"the body is not valid JSON (line 1, byte 1):""")]
    [DataRow("[]", """{"error":"the body must be a JSON object, not an array","done":true}""")]
    [DataRow("{\"cancel\":true", """{"error":"the body is not valid JSON""")]
    [DataRow("""{"\ud800":1,"\ud800":2}""", """{"error":"the body is not valid JSON: Duplicate property""")]
    [DataRow("""{"model":"talker"}""", """{"error":"prompt: is missing; prompt or messages is required","done":true}""")]
    [DataRow("""{"model":"talkr","prompt":"?"}""", """{"error":"the model 'talkr' does not exist here; the closest names are talker","done":true}""")]
    [DataRow("""{"model":"talker","prompt":"?","temperature":"hot"}""", """{"error":"temperature: must be a number from 0 to 100, not a string","done":true}""")]
    public async Task What_is_wrong_is_an_error_frame_and_the_socket_goes_on(string request, string error)
    {
        await using var server = await ServerFixture.StartAsync();
        using var socket = await server.ConnectAsync();
        await socket.SendAsync(request);
        Assert.StartsWith(error, await socket.ReceiveAsync());
        await socket.SendAsync(Ask);
        CollectionAssert.AreEqual(WholeAnswer, await socket.AnswerAsync());
    }

    [TestMethod]
    public async Task A_failure_of_the_engine_is_an_error_frame_and_a_fault_of_ours_says_nothing_of_itself()
    {
        var engine = new ScriptedEngine { Answer = (_, _) => throw new EngineException(EngineFailure.WorkerLost, "the worker died") };
        await using var server = await ServerFixture.StartAsync(engine);
        using var socket = await server.ConnectAsync();
        await socket.SendAsync(Ask);
        Assert.AreEqual("""{"error":"the worker died","done":true}""", await socket.ReceiveAsync());
        engine.Answer = (_, _) => throw new InvalidOperationException("secret");
        await socket.SendAsync(Ask);
        Assert.AreEqual("""{"error":"internal error; the server's log has it under this request's x-request-id","done":true}""",
            await socket.ReceiveAsync());
        engine.Answer = (_, _) => ["I", " am", " talker"];
        await socket.SendAsync(Ask);
        CollectionAssert.AreEqual(WholeAnswer, await socket.AnswerAsync());
    }

    [TestMethod]
    [DataRow(",\"timeout\":0.05}", null, """{"error":"the request timed out after 0.05 s (--request-timeout or the field timeout set this limit)","done":true}""")]
    [DataRow("}", """{"cancel":true}""", """{"done":true,"finish_reason":"cancelled"}""")]
    public async Task A_request_that_waits_for_its_model_ends_in_time_and_when_it_is_cancelled(string end, string? next, string answer)
    {
        var loading = new TaskCompletionSource();
        var loaded = new TaskCompletionSource();
        await using var server = await ServerFixture.StartAsync(new ScriptedEngine
        {
            Loading = (_, _, cancellation) =>
            {
                loading.TrySetResult();
                return loaded.Task.WaitAsync(cancellation);
            },
        });
        using var socket = await server.ConnectAsync();
        await socket.SendAsync(Ask[..^1] + end);
        await loading.Task.WaitAsync(Soon);
        if (next is not null)
            await socket.SendAsync(next);
        Assert.AreEqual(answer, await socket.ReceiveAsync());

        loaded.SetResult();
        await socket.SendAsync(Ask);
        CollectionAssert.AreEqual(WholeAnswer, await socket.AnswerAsync());
    }

    [TestMethod]
    public async Task Without_an_upgrade_the_answer_says_what_is_missing()
    {
        await using var server = await ServerFixture.StartAsync();
        using var answer = await server.Client.GetAsync("ws/generate");
        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.AreEqual("""{"error":"/ws/generate is a WebSocket endpoint: send an upgrade request"}""",
            await answer.Content.ReadAsStringAsync());
    }

    [TestMethod]
    public async Task A_message_that_is_too_big_closes_the_socket()
    {
        await using var server = await ServerFixture.StartAsync(options: new ServerOptions { BodyLimit = 2048 });
        using var socket = await server.ConnectAsync();
        await socket.SendAsync(Ask + new string(' ', 1500));
        CollectionAssert.AreEqual(WholeAnswer, await socket.AnswerAsync());
        await socket.SendAsync(Ask + new string(' ', 5000));
        try
        {
            Assert.IsNull(await socket.ReceiveAsync());
            Assert.AreEqual(WebSocketCloseStatus.MessageTooBig, socket.CloseStatus);
        }
        catch (WebSocketException)
        {
            // It did so before its last words were read.
        }
        await server.Client.GetStringAsync("health");
    }

    // No CORS rule keeps a page from opening a WebSocket and reading all of it: the server has to.
    [TestMethod]
    [DataRow("http://localhost:3000", null, true)]
    [DataRow("https://127.0.0.1", null, true)]
    [DataRow("https://evil.example", null, false)]
    [DataRow("null", null, false)]
    [DataRow("https://evil.example", "*", true)]
    [DataRow("https://mine.example", "https://mine.example", true)]
    [DataRow("http://localhost:3000", "https://mine.example", false)]
    public async Task A_page_from_elsewhere_gets_no_socket(string origin, string? allowed, bool works)
    {
        await using var server = await ServerFixture.StartAsync(
            options: new ServerOptions { CorsOrigins = allowed is null ? [] : [allowed] });
        if (works)
        {
            using var socket = await server.ConnectAsync(origin);
            Assert.AreEqual(WebSocketState.Open, socket.State);
        }
        else
        {
            var error = await Assert.ThrowsExactlyAsync<WebSocketException>(() => server.ConnectAsync(origin));
            Assert.Contains("403", error.Message);
        }
    }

    // The first token comes, the second waits for the end.
    private static ScriptedEngine Endless(out Task ended)
    {
        var end = new TaskCompletionSource();
        var tokens = 0;
        ended = end.Task;
        return new ScriptedEngine
        {
            BeforeToken = async cancellation =>
            {
                if (Interlocked.Increment(ref tokens) == 1)
                    return;
                using var _ = cancellation.Register(() => end.TrySetResult());
                await Task.Delay(Timeout.Infinite, cancellation);
            },
        };
    }
}
