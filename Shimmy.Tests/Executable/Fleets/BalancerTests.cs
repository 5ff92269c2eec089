using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable.Fleets;

/// <summary>
/// Three servers behind HAProxy and nginx (Debian's packages) with the configurations of docs/scaling.md.
/// </summary>
[TestClass]
[TestCategory("Executable")]
[DoNotParallelize]
public sealed class BalancerTests
{
    private const int Workers = 5;

    [TestMethod]
    [DataRow("haproxy")]
    [DataRow("nginx")]
    public async Task The_configuration_of_the_documents_is_one_that_the_program_takes(string balancer)
    {
        if (SystemTool.Find(balancer, "/usr/sbin", "/sbin") is not { } program)
        {
            Assert.Inconclusive($"{balancer} is not installed");
            return;
        }
        using var folder = new TemporaryFolder();
        await File.WriteAllTextAsync(folder["balancer.cfg"], ServerFleet.ConfigurationFor(balancer));
        var (exitCode, output) = await SystemTool.RunAsync(new ProcessStartInfo(program, balancer == "nginx"
            ? ["-t", "-p", folder.Path, "-c", folder["balancer.cfg"], "-g", $"pid {folder["pid"]};"]
            : ["-c", "-f", folder["balancer.cfg"]]), TimeSpan.FromMinutes(1));
        Assert.AreEqual(0, exitCode, output);
    }

    [TestMethod]
    [DataRow("haproxy")]
    [DataRow("nginx")]
    public async Task Servers_that_are_restarted_one_after_the_other_under_load_lose_no_request(string balancer)
    {
        if (ServerFleet.WhyNot(balancer) is { } reason)
        {
            Assert.Inconclusive(reason);
            return;
        }
        await using var fleet = await ServerFleet.StartAsync(balancer);
        using var end = new CancellationTokenSource();
        var (asked, failures) = (0, new List<string>());
        var load = Enumerable.Range(0, Workers).Select(async worker =>
        {
            for (var i = 0; !end.IsCancellationRequested; i++)
            {
                var number = Interlocked.Increment(ref asked);
                var failure = await AskAsync(fleet, Kinds[(worker + i) % Kinds.Length], $"conversation {number} of {worker}", 12);
                if (failure is not null)
                {
                    lock (failures)
                        failures.Add($"{number}: {failure}");
                }
            }
        }).ToArray();
        var before = new double[3];
        for (var server = 0; server < 3; server++)
        {
            // Every server has something to do when it is told to stop.
            await Poll.UntilAsync(async () => await fleet.MetricAsync(server, "shimmy_requests_in_flight") > 0
                && await fleet.MetricAsync(server, "shimmy_generated_tokens_total") > 0, $"server {server} works");
            await fleet.RestartAsync(server);
        }
        await Poll.UntilAsync(async () => await fleet.MetricAsync(2, "shimmy_generated_tokens_total") > 0, "the last one works again");
        await end.CancelAsync();
        await Task.WhenAll(load);

        Assert.IsEmpty(failures, string.Join('\n', failures) + "\n" + fleet.Log);
        Assert.IsGreaterThan(20, asked);
    }

    [TestMethod]
    [DataRow("haproxy")]
    [DataRow("nginx")]
    public async Task What_dies_ends_its_own_streams_and_no_others(string balancer)
    {
        if (ServerFleet.WhyNot(balancer) is { } reason)
        {
            Assert.Inconclusive(reason);
            return;
        }
        await using var fleet = await ServerFleet.StartAsync(balancer);
        var sessions = await SessionsAsync(fleet);
        // In turn, so that no server has so much more to do that a balancer passes it over.
        var streams = new List<(int Server, Stream Stream)>();
        foreach (var kind in Streamed)
        {
            for (var server = 0; server < sessions.Length; server++)
                streams.Add((server, await Stream.OpenAsync(fleet, kind, "go on", sessions[server])));
        }
        CollectionAssert.AreEqual(Enumerable.Repeat((double)Streamed.Length, sessions.Length).ToArray(), await OfEachAsync(fleet));

        // A worker alone: its streams end with their dialect's error, through the balancer.
        foreach (var worker in ServerProcess.WorkersOf(fleet.IdOf(0)))
            worker.Kill();
        await AssertEndsAsync(0, "error");
        // A whole server: what it had begun breaks off, and is never taken for an end; what it had not is answered by another.
        var waiting = new List<Task<string?>>();
        await Poll.UntilAsync(async () =>
        {
            waiting.Add(AskAsync(fleet, Kinds[1], "not begun", 100, sessions[1]));
            return (await OfEachAsync(fleet))[1] > Streamed.Length;
        }, "the server has requests that it has not begun to answer");
        Assert.IsTrue(streams.All(one => one.Server != 1 || !one.Stream.EndAsync().IsCompleted), "its streams run still");
        fleet.Kill(1);
        await AssertEndsAsync(1, "broken");
        await AssertEndsAsync(2, "done");
        Assert.AreEqual("", string.Concat(await Task.WhenAll(waiting)));
        // So is what comes from now on, whichever conversation it belongs to.
        for (var i = 0; i < 9; i++)
            Assert.IsNull(await AskAsync(fleet, Kinds[i % Kinds.Length], $"stream {i}", 2, sessions[i % sessions.Length]));

        async Task AssertEndsAsync(int server, string how)
        {
            foreach (var (_, stream) in streams.Where(one => one.Server == server))
                Assert.AreEqual(how, await stream.EndAsync(), $"{stream.Kind} of server {server}: {stream.Last}");
        }
    }

    [TestMethod]
    [DataRow("haproxy")]
    [DataRow("nginx")]
    public async Task Conversations_stay_streams_flow_and_429_passes(string balancer)
    {
        if (ServerFleet.WhyNot(balancer) is { } reason)
        {
            Assert.Inconclusive(reason);
            return;
        }
        await using var fleet = await ServerFleet.StartAsync(balancer);
        // By the header, whatever the body; and by the beginning of the body, whatever follows.
        var long1 = new string('x', 1200);
        foreach (var (session, prompts) in new[] { ("one conversation", new[] { "a", "b", "c", "d" }),
            (null, new[] { "a", "b", "c", "d" }) })
        {
            var before = await RequestsAsync(fleet);
            foreach (var prompt in prompts)
                Assert.IsNull(await AskAsync(fleet, "v1/completions", session is null ? long1 + prompt : prompt, 1, session));
            var after = await RequestsAsync(fleet);
            CollectionAssert.AreEquivalent(new[] { 0.0, 0.0, 4.0 }, after.Zip(before, (now, then) => now - then)
                .ToArray(), session ?? "by the body");
        }
        // Unlike conversations are spread.
        var spread = await RequestsAsync(fleet);
        for (var i = 0; i < 24; i++)
            Assert.IsNull(await AskAsync(fleet, "v1/completions", $"{i}", 1, $"session {i}"));
        Assert.IsTrue((await RequestsAsync(fleet)).Zip(spread, (now, then) => now - then).All(count => count > 0));

        // The key may have one request at a server, and there are three: the fourth is refused, whichever it goes to.
        var stream = await Stream.OpenAsync(fleet, Streamed[0], "flow", "flow", ServerFleet.NarrowKey);
        HttpResponseMessage? refused = null;
        for (var i = 0; i < 3 && refused is null; i++)
        {
            var answer = await fleet.Balanced.SendAsync(
                Request("v1/completions", Body("v1/completions+stream", "flow", 800), "flow", ServerFleet.NarrowKey),
                HttpCompletionOption.ResponseHeadersRead);
            refused = answer.IsSuccessStatusCode ? null : answer;
        }
        Assert.AreEqual(HttpStatusCode.TooManyRequests, refused?.StatusCode);
        Assert.IsNotNull(refused!.Headers.RetryAfter?.Delta);
        Assert.Contains("concurrency_limit", await refused.Content.ReadAsStringAsync());
        Assert.AreEqual("done", await stream.EndAsync());
        Assert.IsGreaterThan(10, stream.Reads);
        Assert.IsGreaterThan(5, stream.Waits, "pieces that had not come when the one before was read");
    }

    private static readonly string[] Kinds =
        ["v1/chat/completions+stream", "v1/completions", "v1/messages+stream", "v1/chat/completions", "api/generate"];

    // One of each dialect, and as many as a server answers at once.
    private static readonly string[] Streamed =
        ["v1/completions+stream", "v1/chat/completions+stream", "v1/messages+stream", "api/chat+stream"];

    // Asks, and says what was wrong; null for nothing.
    private static async Task<string?> AskAsync(ServerFleet fleet, string kind, string text, int tokens, string? session = null)
    {
        try
        {
            using var answer = await fleet.Balanced.SendAsync(Request(kind, Body(kind, text, tokens), session, ServerFleet.Key));
            var body = await answer.Content.ReadAsStringAsync();
            if (answer.StatusCode != HttpStatusCode.OK)
                return $"{kind}: {(int)answer.StatusCode} {body}";
            var isWhole = kind.EndsWith("+stream", StringComparison.Ordinal)
                ? body.Contains("data: [DONE]", StringComparison.Ordinal) || body.Contains("event: message_stop", StringComparison.Ordinal)
                : body.TrimEnd().EndsWith('}');
            return isWhole ? null : $"{kind}: not a whole answer: {body}";
        }
        catch (Exception e) when (e is HttpRequestException or IOException or TaskCanceledException)
        {
            return $"{kind}: {e.Message} {e.InnerException?.Message}";
        }
    }

    private static string Body(string kind, string text, int tokens)
    {
        var stream = kind.EndsWith("+stream", StringComparison.Ordinal) ? "true" : "false";
        return kind.Split('+')[0] switch
        {
            "v1/completions" or "api/generate" =>
                $$"""{"model":"shimmy-demo","prompt":"{{text}}","max_tokens":{{tokens}},"ignore_eos":true,"stream":{{stream}}}""",
            "api/chat" =>
                $$"""{"model":"shimmy-demo",{{Said(text)}},"options":{"num_predict":{{tokens}},"ignore_eos":true},"stream":{{stream}}}""",
            _ => $$"""{"model":"shimmy-demo",{{Said(text)}},"max_tokens":{{tokens}},"ignore_eos":true,"stream":{{stream}}}""",
        };
    }

    private static string Said(string text) => $$"""
        "messages":[{"role":"user","content":"{{text}}"}]
        """;

    // A conversation of each server, by where a short request of it goes.
    private static async Task<string[]> SessionsAsync(ServerFleet fleet)
    {
        var found = new string?[3];
        for (var i = 0; found.Contains(null); i++)
        {
            Assert.IsLessThan(100, i, "conversations that are spread over all servers");
            var before = await RequestsAsync(fleet);
            Assert.IsNull(await AskAsync(fleet, "v1/completions", "where", 1, $"session {i}"));
            var server = -1;
            await Poll.UntilAsync(async () => (server = Array.FindIndex((await RequestsAsync(fleet)).Zip(before, (now, then) => now - then)
                .ToArray(), more => more > 0)) >= 0, "the request is counted");
            found[server] ??= $"session {i}";
        }
        return found!;
    }

    private static HttpRequestMessage Request(string kind, string body, string? session, string key)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, kind.Split('+')[0])
        {
            Content = new StringContent(body, Encoding.UTF8, "application/json"),
        };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        if (session is not null)
            request.Headers.Add("x-session-id", session);
        return request;
    }

    private static async Task<double[]> OfEachAsync(ServerFleet fleet) =>
        [.. await Task.WhenAll(Enumerable.Range(0, 3).Select(server => fleet.MetricAsync(server, "shimmy_requests_in_flight")))];

    private static async Task<double[]> RequestsAsync(ServerFleet fleet) => [.. await Task.WhenAll(Enumerable.Range(0, 3)
        .Select(server =>
            fleet.MetricAsync(server, "shimmy_requests_total{model=\"shimmy-demo\",route=\"/v1/completions\",status=\"200\"}")))];

    // A stream that runs long, read in the background.
    private sealed class Stream
    {
        private readonly Task<string> _end;

        private Stream(string kind, HttpResponseMessage answer, StreamReader reader) =>
            (Kind, _end) = (kind, ReadAsync(answer, reader));

        public string Kind { get; }

        public string Last { get; private set; } = "";

        public int Reads { get; private set; }

        public int Waits { get; private set; }

        public static async Task<Stream> OpenAsync(
            ServerFleet fleet, string kind, string text, string session, string key = ServerFleet.Key)
        {
            var answer = await fleet.Balanced.SendAsync(Request(kind, Body(kind, text, 800), session, key),
                HttpCompletionOption.ResponseHeadersRead);
            var reader = new StreamReader(await answer.EnsureSuccessStatusCode().Content.ReadAsStreamAsync());
            await reader.ReadLineAsync();
            return new Stream(kind, answer, reader);
        }

        /// <summary>How it ended: done, error, or broken.</summary>
        public Task<string> EndAsync() => _end;

        // What the dialects end with: OpenAI's, Anthropic's, Ollama's.
        private bool IsEnd => Kind[..6] switch
        {
            "v1/mes" => Last.StartsWith("data: {\"type\":\"message_stop\"", StringComparison.Ordinal),
            "api/ch" => Last.Contains("\"done\":true", StringComparison.Ordinal),
            _ => Last == "data: [DONE]",
        };

        private bool IsError => Last.StartsWith(Kind[..6] switch
        {
            "v1/mes" => "data: {\"type\":\"error\"",
            "api/ch" => "{\"error\"",
            _ => "data: {\"error\"",
        }, StringComparison.Ordinal);

        private async Task<string> ReadAsync(HttpResponseMessage answer, StreamReader reader)
        {
            using (answer)
            {
                try
                {
                    while (await NextAsync() is { } line)
                    {
                        Reads++;
                        Last = line.Length > 0 ? line : Last;
                    }
                    return IsEnd ? "done" : IsError ? "error" : "cut";
                }
                catch (Exception e) when (e is HttpRequestException or IOException)
                {
                    // The connection ends behind an error, too, so that nobody takes it for an end.
                    return IsError ? "error" : "broken";
                }
            }

            Task<string?> NextAsync()
            {
                var next = reader.ReadLineAsync();
                Waits += next.IsCompleted ? 0 : 1;
                return next;
            }
        }
    }
}
