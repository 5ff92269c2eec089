using System.Diagnostics;
using System.Net.Http.Json;
using System.Text;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable.Fleets;

/// <summary>A stand-in for an endpoint picker before real servers.</summary>
[TestClass]
[TestCategory("Executable")]
[DoNotParallelize]
public sealed class PickerTests
{
    private const int Servers = 3;
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan Measured = TimeSpan.FromSeconds(25);

    public TestContext TestContext { get; set; } = null!;

    [TestInitialize]
    public void OnlyWhereAsked()
    {
        if (!ServerFleet.IsAsked)
            Assert.Inconclusive("SHIMMY_FLEET_TESTS is not set; three servers under load need a machine that does nothing else");
    }

    [TestMethod]
    public async Task A_picker_that_scrapes_all_the_time_beats_turns_on_prompts_that_share_their_beginnings()
    {
        using var folder = new TemporaryFolder();
        var servers = new List<ServerProcess>();
        try
        {
            for (var i = 0; i < Servers; i++)
            {
                servers.Add(await ServerProcess.StartAsync(folder, "--threads", "1", "--parallel", "16", "--prefix-memory", "0",
                    "--response-cache", "0"));
            }
            foreach (var server in servers)
                await ToFirstTokenAsync(server, "warm");
            var turns = await MedianAsync(servers, "turns", (_, i) => Task.FromResult(i % Servers));

            var picked = servers.ConvertAll(_ => new PickedServer());
            var picker = new EndpointPicker(picked, seed: 1);
            using var end = new CancellationTokenSource();
            var scrapes = servers.Select((server, i) => ScrapeAsync(server, picked[i], end.Token)).ToArray();
            var routed = await MedianAsync(servers, "picked", (prompt, _) => Task.FromResult(picker.Pick(prompt)));
            await end.CancelAsync();

            var scraped = await Task.WhenAll(scrapes);
            Assert.IsGreaterThan(20, scraped.Min(one => one.Count), "scrapes of the server with the fewest");
            // A picker takes older figures for those of a full server (llm-d-router's metricsStalenessThreshold).
            var slow = scraped.Max(one => one.Order().ElementAt((int)(one.Count * 0.95)));
            TestContext.WriteLine($"19 of 20 scrapes took at most {slow:F0} ms");
            Assert.IsLessThan(200, slow, "milliseconds of a scrape while prompts are computed");
            var said = $"milliseconds to the first token: {turns:F0} in turn, {routed:F0} by the picker, {turns / routed:F1} to 1";
            TestContext.WriteLine(said);
            Assert.IsGreaterThanOrEqualTo(2 * routed, turns, said);
        }
        finally
        {
            foreach (var server in servers)
                server.Dispose();
        }
    }

    [TestMethod]
    public async Task Twenty_scrapes_a_second_take_a_hundredth_of_a_core_of_a_server()
    {
        using var folder = new TemporaryFolder();
        using var server = await ServerProcess.StartAsync(folder, "--threads", "1");
        await ToFirstTokenAsync(server, "warm");
        var into = new PickedServer();
        // The first ones are compiled, where the program is not published.
        for (var i = 0; i < 400; i++)
            EndpointPicker.Read(await server.Client.GetStringAsync("metrics"), into);
        using var process = Process.GetProcessById(server.Id);
        var worker = server.Workers.Single();
        var scrapes = 0;
        var (idle, idleOfWorker) = await SharesAsync(end => Poll.UntilAsync(() => end.IsCancellationRequested, "the time is over"));
        var (busy, busyOfWorker) = await SharesAsync(async end => scrapes = (await ScrapeAsync(server, into, end)).Count);

        TestContext.WriteLine($"{busy:P2} of a core for {scrapes} scrapes in {Measured.TotalSeconds} s, {idle:P2} without; "
            + $"of the model's worker {busyOfWorker:P2} and {idleOfWorker:P2}");
        Assert.IsGreaterThan(Measured / Interval * 0.9, scrapes);
        // What is compiled while it runs takes several times as long.
        if (ShimmyProcess.IsPublished)
            Assert.IsLessThan(0.01, busy - idle);

        async Task<(double Server, double Worker)> SharesAsync(Func<CancellationToken, Task> during)
        {
            using var end = new CancellationTokenSource(Measured);
            var (before, beforeOfWorker, begun) = (Seconds(process), Seconds(worker), Stopwatch.GetTimestamp());
            await during(end.Token);
            var elapsed = Stopwatch.GetElapsedTime(begun).TotalSeconds;
            return ((Seconds(process) - before) / elapsed, (Seconds(worker) - beforeOfWorker) / elapsed);
        }

        static double Seconds(Process of)
        {
            of.Refresh();
            return of.TotalProcessorTime.TotalSeconds;
        }
    }

    // Fifteen long beginnings, each asked about three times, in no order that a server's turn follows. A server can hold all of them.
    private static async Task<double> MedianAsync(List<ServerProcess> servers, string run, Func<string, int, Task<int>> choose)
    {
        const int beginnings = 15;
        var times = new List<double>();
        for (var round = 0; round < 3; round++)
        {
            for (var i = 0; i < beginnings; i++)
            {
                var random = new Random(i);
                var words =
                    string.Join(' ', Enumerable.Range(0, 250).Select(_ => "word item list fact name day".Split(' ')[random.Next(6)]));
                var prompt = $"{run} {i}: {words}. Question {round}?";
                var time = await ToFirstTokenAsync(servers[await choose(prompt, (round * beginnings) + i + round)], prompt);
                if (round > 0)
                    times.Add(time);
            }
        }
        times.Sort();
        return times[times.Count / 2];
    }

    private static async Task<double> ToFirstTokenAsync(ServerProcess server, string prompt)
    {
        var begun = Stopwatch.GetTimestamp();
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1/completions")
        {
            Content = JsonContent.Create(new { model = "shimmy-demo", prompt, max_tokens = 1, stream = true }),
        };
        using var answer = await server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        using var reader = new StreamReader(await answer.EnsureSuccessStatusCode().Content.ReadAsStreamAsync(), Encoding.UTF8);
        await reader.ReadLineAsync();
        var time = Stopwatch.GetElapsedTime(begun).TotalMilliseconds;
        await reader.ReadToEndAsync();
        return time;
    }

    // Milliseconds of each; an error of reading fails the test.
    private static async Task<List<double>> ScrapeAsync(ServerProcess server, PickedServer into, CancellationToken end)
    {
        var times = new List<double>();
        using var timer = new PeriodicTimer(Interval);
        try
        {
            while (await timer.WaitForNextTickAsync(end))
            {
                var begun = Stopwatch.GetTimestamp();
                EndpointPicker.Read(await server.Client.GetStringAsync("metrics", CancellationToken.None), into);
                times.Add(Stopwatch.GetElapsedTime(begun).TotalMilliseconds);
            }
        }
        catch (OperationCanceledException)
        {
        }
        return times;
    }
}
