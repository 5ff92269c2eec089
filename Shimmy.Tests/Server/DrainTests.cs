using System.Net;
using System.Net.WebSockets;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Server;

/// <summary>How the server stops.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class DrainTests
{
    private const string Stream = """{"model":"talker","prompt":"?","stream":true}""";

    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    [TestMethod]
    public async Task Running_requests_end_and_new_ones_are_refused()
    {
        using var token = new SemaphoreSlim(1);
        await using var server = await ServerFixture.StartAsync(new ScriptedEngine { BeforeToken = token.WaitAsync });
        using var running = await server.OpenAsync("v1/completions", Stream);
        using var socket = await server.ConnectAsync();
        await socket.SendAsync(Stream);
        await Entered(server, 2);

        var stopping = server.Server.StopAsync();
        using var health = await server.Client.GetAsync("health");
        Assert.AreEqual(HttpStatusCode.ServiceUnavailable, health.StatusCode);
        Assert.AreEqual("draining", (await health.JsonAsync()).GetProperty("status").GetString());
        using var refused = await server.PostAsync("v1/completions", Stream);
        Assert.AreEqual(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.AreEqual("1", refused.Headers.GetValues("retry-after").Single());
        Assert.AreEqual("""{"error":{"message":"the server is stopping","type":"server_error","param":null,"code":"draining"}}""",
            await refused.Content.ReadAsStringAsync());
        Assert.IsFalse(stopping.IsCompleted);

        token.Release(100);
        Assert.EndsWith("data: [DONE]\n\n", await running.Content.ReadAsStringAsync());
        Assert.StartsWith("{\"done\":true", (await socket.AnswerAsync())[^1]);
        Assert.IsNull(await socket.ReceiveAsync());
        Assert.AreEqual(WebSocketCloseStatus.EndpointUnavailable, socket.CloseStatus);
        await stopping.WaitAsync(Soon);
        await Assert.ThrowsAsync<HttpRequestException>(() => server.Client.GetAsync("health"));
    }

    [TestMethod]
    public async Task What_does_not_end_in_time_is_ended_and_reported()
    {
        var options = new ServerOptions { DrainTime = TimeSpan.FromMilliseconds(50) };
        var tokens = 0;
        var engine = new ScriptedEngine
        {
            BeforeToken = cancellation =>
                Interlocked.Increment(ref tokens) == 1 ? Task.CompletedTask : Task.Delay(Timeout.Infinite, cancellation),
        };
        await using var server = await ServerFixture.StartAsync(engine, options);
        using var stream = await server.OpenAsync("v1/completions", Stream);
        using var reader = new StreamReader(await stream.Content.ReadAsStreamAsync());
        Assert.Contains("\"text\":\"I\"", (await reader.ReadLineAsync())!);
        var whole = server.PostAsync("v1/completions", """{"model":"talker","prompt":"?"}""");
        using var socket = await server.ConnectAsync();
        await socket.SendAsync(Stream);
        await Entered(server, 3);

        var stopping = server.Server.StopAsync();

        const string error = """{"error":{"message":"the server is stopping","type":"server_error","param":null,"code":"draining"}}""";
        Assert.AreEqual("", await reader.ReadLineAsync());
        Assert.AreEqual("data: " + error, await reader.ReadLineAsync());
        await Assert.ThrowsAsync<IOException>(() => reader.ReadToEndAsync());
        using var answer = await whole.WaitAsync(Soon);
        Assert.AreEqual(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
        Assert.AreEqual(error, await answer.Content.ReadAsStringAsync());
        Assert.AreEqual("""{"error":"the server is stopping","done":true}""", await socket.ReceiveAsync());
        await stopping.WaitAsync(Soon);
    }

    [TestMethod]
    public async Task An_idle_socket_keeps_nobody_from_stopping()
    {
        await using var server = await ServerFixture.StartAsync();
        using var socket = await server.ConnectAsync();

        var stopping = server.Server.StopAsync();

        Assert.IsNull(await socket.ReceiveAsync());
        Assert.AreEqual((WebSocketCloseStatus.EndpointUnavailable, "the server is stopping"),
            (socket.CloseStatus, socket.CloseStatusDescription));
        await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, CancellationToken.None);
        // The drain time is 30 seconds.
        await stopping.WaitAsync(Soon);
    }

    // Waits until so many requests hold the model.
    private static async Task Entered(ServerFixture server, int requests)
    {
        await Poll.UntilAsync(() => server.Residency.Resident.Sum(model => model.Requests) >= requests, "that many requests run");
    }
}
