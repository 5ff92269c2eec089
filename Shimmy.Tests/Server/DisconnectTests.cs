using System.Text;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Server;

/// <summary>A client that leaves takes its generation with it.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class DisconnectTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    [TestMethod]
    [DataRow("v1/chat/completions", """{"model":"talker","stream":true,"messages":[{"role":"user","content":"?"}]}""")]
    [DataRow("v1/chat/completions", """{"model":"talker","messages":[{"role":"user","content":"?"}]}""")]
    [DataRow("v1/completions", """{"model":"talker","stream":true,"prompt":["a","b"]}""")]
    [DataRow("v1/completions", """{"model":"talker","prompt":["a","b"]}""")]
    [DataRow("api/generate", """{"model":"talker","stream":true,"prompt":"?"}""")]
    [DataRow("api/generate", """{"model":"talker","prompt":"?"}""")]
    public async Task A_client_that_leaves_ends_its_generation(string path, string body)
    {
        var begun = new TaskCompletionSource();
        var ended = new TaskCompletionSource();
        var engine = new ScriptedEngine
        {
            BeforeToken = async cancellation =>
            {
                using var _ = cancellation.Register(() => ended.TrySetResult());
                begun.TrySetResult();
                await Task.Delay(Timeout.Infinite, cancellation);
            },
        };
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(engine, loggers: log);
        using var leave = new CancellationTokenSource();
        var asking = server.OpenAsync(path, body, leave.Token);
        await begun.Task.WaitAsync(Soon);
        if (body.Contains("stream", StringComparison.Ordinal))
            (await asking).Dispose();
        else
            await leave.CancelAsync();

        await ended.Task.WaitAsync(Soon);
        await asking.ContinueWith(static _ => { }, TaskScheduler.Default);
        Assert.StartsWith("Information", await log.WaitForAsync(" 499: "));
        await Poll.UntilAsync(() => server.Residency.Resident.Single().Requests == 0, "the lease of the client ends");
        // An enumeration that was left in the middle of a move would be a fault of ours.
        Assert.IsFalse(
            log.Lines.Any(
                line => line.StartsWith("Error", StringComparison.Ordinal) || line.Contains("NotSupported", StringComparison.Ordinal)),
                    string.Join('\n', log.Lines));
    }

    [TestMethod]
    public async Task A_client_that_reads_nothing_is_waited_for_and_others_are_served_meanwhile()
    {
        var engine =
            new ScriptedEngine
            {
                Answer = (_, _) => Enumerable.Repeat(new string('x', 10_000), 5_000),
                BeforeToken = async _ => await Task.Yield()
            };
        await using var server = await ServerFixture.StartAsync(engine);
        var slow = await server.OpenAsync("api/generate", """{"model":"talker","stream":true,"prompt":"?","max_tokens":5000}""");

        using var quick = await server.PostAsync("api/generate", """{"model":"talker","prompt":"?","max_tokens":1}""");
        Assert.Contains("\"completion_tokens\":1,", await quick.Content.ReadAsStringAsync());
        Assert.AreEqual(1, server.Residency.Resident.Single().Requests, "50 MB do not fit into the buffers between");

        slow.Dispose();
        await Poll.UntilAsync(() => server.Residency.Resident.Single().Requests == 0, "the lease of the client ends");
    }

    [TestMethod]
    [DataRow("GET /health", "", "\"status\"")]
    [DataRow("POST /api/generate", """{"model":"talker","prompt":"?"}""", "\"usage\"")]
    [DataRow("POST /v1/chat/completions", """{"model":"talker","stream":true,"messages":[{"role":"user","content":"?"}]}""", "data: [DONE]")]
    [DataRow("POST /v1/chat/completions", """{"model":"talker","messages":3}""", "\"error\"")]
    public async Task A_client_that_closes_only_its_own_side_gets_its_answer(string request, string body, string expected)
    {
        await using var server = await ServerFixture.StartAsync();
        for (var i = 0; i < 20; i++)
        {
            using var client = new System.Net.Sockets.TcpClient();
            await client.ConnectAsync(server.Server.Address.Host, server.Server.Address.Port);
            var stream = client.GetStream();
            await stream.WriteAsync(
                Encoding.ASCII.GetBytes($"{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {body.Length}\r\n\r\n{body}"));
            client.Client.Shutdown(System.Net.Sockets.SocketShutdown.Send);
            using var limit = new CancellationTokenSource(Soon);
            using var answer = new StreamReader(stream);

            Assert.Contains(expected, await answer.ReadToEndAsync(limit.Token));
        }
    }

    [TestMethod]
    public async Task A_body_that_ends_too_early_hangs_nobody()
    {
        await using var server = await ServerFixture.StartAsync();
        const string body = """{"model":"talker","prompt":"cut""";
        for (var sent = 0; sent < body.Length; sent += 3)
        {
            using var client = new System.Net.Sockets.TcpClient();
            await client.ConnectAsync(server.Server.Address.Host, server.Server.Address.Port);
            var stream = client.GetStream();
            await stream.WriteAsync(
                Encoding.ASCII.GetBytes($"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{body[..sent]}"));
            client.Client.Shutdown(System.Net.Sockets.SocketShutdown.Send);
            using var limit = new CancellationTokenSource(Soon);
            using var answer = new MemoryStream();
            try
            {
                await stream.CopyToAsync(answer, limit.Token);
            }
            catch (IOException)
            {
                // Reset: nobody is left to answer.
            }
            Assert.DoesNotContain(" 50", Encoding.ASCII.GetString(answer.ToArray()));
        }
        await server.Client.GetStringAsync("health");
        Assert.IsEmpty(server.Residency.Resident);
    }
}
