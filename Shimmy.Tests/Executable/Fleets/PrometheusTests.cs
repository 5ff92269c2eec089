using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;
using Shimmy.Tests.Observability;

namespace Shimmy.Tests.Executable.Fleets;

/// <summary>A real Prometheus scrapes the server and answers the queries of the dashboard (Debian's package; .ci/run brings it).</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class PrometheusTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [TestMethod]
    public async Task Prometheus_scrapes_the_server_and_every_panel_of_the_dashboard_shows_something()
    {
        if (SystemTool.Find("prometheus") is not { } prometheus)
        {
            Assert.Inconclusive("prometheus is not installed here.");
            return;
        }
        using var folder = new TemporaryFolder();
        using var server = await ServerProcess.StartAsync(folder, "--threads", "1");
        var port = ServerProcess.FreePort();
        File.WriteAllText(folder["prometheus.yml"], $"""
            global:
              scrape_interval: 1s
            scrape_configs:
              - job_name: shimmy
                static_configs:
                  - targets: ["127.0.0.1:{server.Client.BaseAddress!.Port}"]
            """);
        using var scraper = Process.Start(new ProcessStartInfo(prometheus,
            [$"--config.file={folder["prometheus.yml"]}", $"--storage.tsdb.path={folder["data"]}",
                $"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"])
        {
            WorkingDirectory = folder.Path,
            RedirectStandardError = true,
        })!;
        var log = scraper.StandardError.ReadToEndAsync();
        try
        {
            using var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}") };
            var began = Stopwatch.GetTimestamp();
            string? missing;
            do
            {
                Assert.IsLessThan(Patience, Stopwatch.GetElapsedTime(began));
                // Rates need a series that has changed between two scrapes: one more request before each.
                await AskAsync(server);
                var scraped = await ScrapedAsync(client);
                await Poll.UntilAsync(async () => await ScrapedAsync(client) > scraped, "Prometheus scrapes again");
                missing = await MissingAsync(client);
            }
            while (missing is not null && Stopwatch.GetElapsedTime(began) < Patience - TimeSpan.FromSeconds(5));
            Assert.IsNull(missing);
        }
        finally
        {
            scraper.Kill();
            await scraper.WaitForExitAsync();
        }
        Assert.DoesNotContain("error", (await log).ToLowerInvariant());
    }

    [TestMethod]
    public async Task Promtool_finds_nothing_to_object_to()
    {
        if (SystemTool.Find("promtool") is not { } promtool)
        {
            Assert.Inconclusive("promtool is not installed here.");
            return;
        }
        using var folder = new TemporaryFolder();
        using var server = await ServerProcess.StartAsync(folder, "--threads", "1");
        await AskAsync(server);
        var metrics = await server.Client.GetStringAsync("metrics");
        using var check = Process.Start(new ProcessStartInfo(promtool, ["check", "metrics"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        await check.StandardInput.WriteAsync(
            string.Join('\n', metrics.Split('\n').Where(line => !line.Contains("llamacpp:", StringComparison.Ordinal))));
        check.StandardInput.Close();
        var said = await check.StandardOutput.ReadToEndAsync() + await check.StandardError.ReadToEndAsync();
        await check.WaitForExitAsync();
        Assert.AreEqual((0, ""), (check.ExitCode, said));
        // The names of llama-server's series are its own, whose colon the linter objects to.
        Assert.Contains("\nllamacpp:prompt_tokens_total ", metrics);
    }

    private static async Task AskAsync(ServerProcess server)
    {
        using var answer = await server.Client.PostAsync("v1/chat/completions", new StringContent(
            """{"model":"shimmy-demo","seed":1,"max_tokens":20,"messages":[{"role":"user","content":"What is Shimmy?"}]}""",
                Encoding.UTF8, "application/json"));
        Assert.IsTrue(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
    }

    // When Prometheus last scraped the server, in seconds; 0 until it did.
    private static async Task<double> ScrapedAsync(HttpClient prometheus)
    {
        try
        {
            using var answer =
                JsonDocument.Parse(await prometheus.GetStringAsync("api/v1/query?query=" + Uri.EscapeDataString("timestamp(up)")));
            var result = answer.RootElement.GetProperty("data").GetProperty("result");
            return result.GetArrayLength() == 0
                ? 0
                : double.Parse(result[0].GetProperty("value")[1].GetString()!, CultureInfo.InvariantCulture);
        }
        catch (HttpRequestException)
        {
            return 0; // it starts
        }
    }

    // What has no answer yet; null when every target is up and every query has one.
    private static async Task<string?> MissingAsync(HttpClient prometheus)
    {
        try
        {
            using var targets = JsonDocument.Parse(await prometheus.GetStringAsync("api/v1/targets"));
            if (targets.RootElement.GetProperty("data").GetProperty("activeTargets").EnumerateArray()
                .FirstOrDefault() is not { ValueKind: JsonValueKind.Object } target)
            {
                return "there is no target yet";
            }

            Assert.AreEqual("", target.GetProperty("lastError").GetString());
            if (target.GetProperty("health").GetString() != "up")
                return "the target is not up";
            foreach (var (panel, query) in DashboardTests.Queries)
            {
                var asked = query.Replace("$__rate_interval", "10s", StringComparison.Ordinal)
                    .Replace("$model", ".*", StringComparison.Ordinal).Replace("$job", ".*", StringComparison.Ordinal);
                using var http = await prometheus.GetAsync("api/v1/query?query=" + Uri.EscapeDataString(asked));
                using var answer = JsonDocument.Parse(await http.Content.ReadAsStringAsync());
                Assert.AreEqual("success", answer.RootElement.GetProperty("status").GetString(), $"{panel}: {query}");
                // There are no failures to show here.
                var silent = asked.Contains("5..", StringComparison.Ordinal) || asked.Contains("broken_streams", StringComparison.Ordinal);
                if (!silent && answer.RootElement.GetProperty("data").GetProperty("result").GetArrayLength() == 0)
                    return $"{panel}: {query}";
            }
            return null;
        }
        catch (HttpRequestException e)
        {
            return e.Message; // it starts
        }
    }
}
