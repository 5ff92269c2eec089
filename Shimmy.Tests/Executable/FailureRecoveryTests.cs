using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable;

/// <summary>What may happen to a server that is left running.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class FailureRecoveryTests
{
    [TestMethod]
    public async Task A_model_whose_file_is_replaced_is_served_on_and_the_next_load_sees_the_new_one()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/talker.gguf"], new RandomModelShape { Says = "old" });
        using var server = await ServerProcess.StartAsync(folder, "--threads", "1");
        Assert.Contains(" old", await SayAsync(server));

        RandomModel.Write(folder["new.gguf"], new RandomModelShape { Says = "new" });
        File.Move(folder["new.gguf"], folder["models/talker.gguf"], overwrite: true);
        Assert.Contains(" old", await SayAsync(server));
        (await server.Client.PostAsync("api/models/talker/unload", null)).EnsureSuccessStatusCode();
        Assert.Contains(" new", await SayAsync(server));
    }

    [TestMethod]
    public async Task A_model_whose_file_is_deleted_is_served_on_and_the_next_load_says_what_is_wrong()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/talker.gguf"], new RandomModelShape { Says = "hello" });
        using var server = await ServerProcess.StartAsync(folder, "--threads", "1");
        Assert.Contains(" hello", await SayAsync(server));

        File.Delete(folder["models/talker.gguf"]);
        Assert.Contains(" hello", await SayAsync(server));
        (await server.Client.PostAsync("api/models/talker/unload", null)).EnsureSuccessStatusCode();
        using var gone = await AskAsync(server);
        using var error = JsonDocument.Parse(await gone.Content.ReadAsStringAsync());
        Assert.Contains("talker", error.RootElement.GetProperty("error").GetProperty("message").GetString()!);
        Assert.AreEqual(HttpStatusCode.BadGateway, gone.StatusCode);

        // It comes back, and so does the model.
        RandomModel.Write(folder["models/talker.gguf"], new RandomModelShape { Says = "again" });
        Assert.Contains(" again", await SayAsync(server));
    }

    [TestMethod]
    public async Task A_worker_that_runs_out_of_memory_costs_its_requests_alone()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("Only Linux limits another process's memory.");
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/talker.gguf"], new RandomModelShape { Says = "hello" });
        using var server = await ServerProcess.StartAsync(folder, "--threads", "1");
        Assert.Contains(" hello", await SayAsync(server));

        // From now on nothing more can be allocated there: what the next long prompt needs, above all.
        using (var limit = Process.Start("prlimit", ["--pid", $"{server.Workers.Single().Id}", "--as=1"]))
            await limit.WaitForExitAsync();
        var answers = await Task.WhenAll(Enumerable.Range(0, 4).Select(i => server.Client.PostAsync("v1/completions",
            Json($$"""{"model":"talker","prompt":"{{string.Concat(Enumerable.Repeat($"word{i} ", 60))}}","logprobs":5,"echo":true,"max_tokens":5}"""))));
        foreach (var answer in answers)
        {
            Assert.IsTrue(answer.StatusCode is HttpStatusCode.OK or HttpStatusCode.BadGateway
                or HttpStatusCode.BadRequest, await answer.Content.ReadAsStringAsync());
            answer.Dispose();
        }
        (await server.Client.GetAsync("health")).EnsureSuccessStatusCode();
        // However it took that, a model that is asked for is there.
        (await server.Client.PostAsync("api/models/talker/unload", null)).EnsureSuccessStatusCode();
        Assert.Contains(" hello", await SayAsync(server));
    }

    [TestMethod]
    public async Task A_second_signal_ends_the_server_even_when_nothing_runs_any_more()
    {
        using var folder = new TemporaryFolder();
        // Its collector never answers, so that there is something to wait for behind the last request.
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        using var server = await ServerProcess.StartAsync(folder,
            new Dictionary<string, string> { ["OTEL_EXPORTER_OTLP_ENDPOINT"] = $"http://{silent.LocalEndpoint}" }, "--threads", "1");
        for (var i = 0; i < 3; i++)
            (await server.Client.GetAsync("v1/models")).EnsureSuccessStatusCode();

        var ended = server.TerminateAsync();
        await Poll.UntilAsync(() => server.Log.Any(line => line.Contains("a second signal ends them", StringComparison.Ordinal)),
            "the first signal is there");
        var first = Stopwatch.GetTimestamp();
        await Poll.UntilAsync(async () => !await ListensAsync(server), "the server takes no connection any more");
        // One that comes sooner is the first, which a group of processes was sent.
        await Poll.UntilAsync(() => Stopwatch.GetElapsedTime(first) > TimeSpan.FromSeconds(1), "a second has passed");
        var (code, _) = await server.TerminateAsync();
        Assert.AreEqual(130, code);
        await ended;
    }

    [TestMethod]
    public async Task A_worker_that_stands_still_takes_away_neither_deadlines_nor_metrics_nor_the_end()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("Only Linux tells the children of a process.");
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/talker.gguf"], new RandomModelShape { Says = "hello" });
        using var server = await ServerProcess.StartAsync(folder, "--threads", "1");
        Assert.Contains(" hello", await SayAsync(server));
        using (var stop = Process.Start("kill", ["-STOP", $"{server.Workers.Single().Id}"]))
            await stop.WaitForExitAsync();

        // Together more than a pipe holds, of more requests than there are processors.
        var asked = Enumerable.Range(0, 8).Select(_ => server.Client.PostAsync("v1/completions",
            Json($$"""{"model":"talker","prompt":"{{new string('!', 100_000)}}","timeout":3}"""))).ToArray();
        using (var metrics = await server.Client.GetAsync("metrics"))
            metrics.EnsureSuccessStatusCode();
        foreach (var answer in await Task.WhenAll(asked))
        {
            Assert.AreEqual(HttpStatusCode.GatewayTimeout, answer.StatusCode);
            answer.Dispose();
        }

        Assert.AreEqual(0, (await server.TerminateAsync()).ExitCode);
    }

    private static async Task<bool> ListensAsync(ServerProcess server)
    {
        try
        {
            using var client = new TcpClient();
            await client.ConnectAsync(server.Client.BaseAddress!.Host, server.Client.BaseAddress.Port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static StringContent Json(string text) => new(text, Encoding.UTF8, "application/json");

    private static Task<HttpResponseMessage> AskAsync(ServerProcess server) =>
        server.Client.PostAsync("v1/completions", Json("""{"model":"talker","prompt":"who?","max_tokens":9}"""));

    private static async Task<string> SayAsync(ServerProcess server)
    {
        using var answer = await AskAsync(server);
        var text = await answer.Content.ReadAsStringAsync();
        Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode, text);
        return text;
    }
}
