using System.Net.Http.Headers;
using System.Text.RegularExpressions;
using Shimmy.Cli.Options;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.Native;

/// <summary><c>/metrics</c> and <c>/diag</c>.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed partial class MetricsRouteTests
{
    private const string Ask = """{"model":"talker","prompt":"a b"}""";

    [TestMethod]
    public async Task Requests_are_counted_by_model_route_and_status()
    {
        await using var server = await ServerFixture.StartAsync();
        await server.AnswerAsync("api/generate", Ask);
        await server.AnswerAsync("v1/completions", Ask);
        await server.AnswerAsync("v1/completions", Ask);
        (await server.PostAsync("v1/completions", "{\"prompt\":5}")).Dispose();
        (await server.PostAsync("v1/completions", """{"model":"nobody","prompt":"?"}""")).Dispose();
        for (var i = 0; i < 20; i++)
            (await server.Client.GetAsync($"nowhere/{i}")).Dispose();

        var metrics = await MetricsAsync(server);

        Assert.AreEqual("1", metrics["""shimmy_requests_total{model="talker",route="/api/generate",status="200"}"""]);
        Assert.AreEqual("2", metrics["""shimmy_requests_total{model="talker",route="/v1/completions",status="200"}"""]);
        Assert.AreEqual("1", metrics["""shimmy_requests_total{model="",route="/v1/completions",status="400"}"""]);
        // What does not exist is no label: nobody can make series without end.
        Assert.AreEqual("1", metrics["""shimmy_requests_total{model="",route="/v1/completions",status="404"}"""]);
        Assert.AreEqual("20", metrics["""shimmy_requests_total{model="",route="",status="404"}"""]);
        Assert.AreEqual("9", metrics["""shimmy_generated_tokens_total{model="talker"}"""]);
        Assert.AreEqual("6", metrics["""shimmy_prompt_tokens_total{model="talker"}"""]);
        Assert.AreEqual("3", metrics["""shimmy_time_to_first_token_seconds_count{model="talker"}"""]);
        Assert.AreEqual("3", metrics["""shimmy_queue_duration_seconds_count{model="talker"}"""]);
        Assert.AreEqual("1", metrics["""shimmy_model_loads_total{model="talker"}"""]);
        Assert.AreEqual("0", metrics["shimmy_requests_in_flight"]);
        Assert.AreEqual("1", metrics["shimmy_models_loaded"]);
        Assert.IsGreaterThan(1_000_000,
            double.Parse(metrics["process_resident_memory_bytes"], System.Globalization.CultureInfo.InvariantCulture));
    }

    [TestMethod]
    public async Task Models_that_are_not_loaded_have_nothing_running_and_nothing_waiting()
    {
        await using var server = await ServerFixture.StartAsync(models: ["talker", "other"]);
        foreach (var model in new[] { "talker", "other" })
            AssertIdle(await MetricsAsync(server), model);

        await server.AnswerAsync("api/generate", Ask);
        (await server.Client.GetAsync("metrics")).EnsureSuccessStatusCode();
        var metrics = await MetricsAsync(server); // which would not take one series twice
        AssertIdle(metrics, "talker");
        AssertIdle(metrics, "other");
        Assert.IsFalse(metrics.ContainsKey("""shimmy_kv_cells{model="other"}"""));

        static void AssertIdle(Dictionary<string, string> metrics, string model)
        {
            foreach (var name in new[] { "shimmy_requests_running", "shimmy_requests_waiting", "shimmy_kv_cache_usage_ratio" })
                Assert.AreEqual("0", metrics[$$"""{{name}}{model="{{model}}"}"""]);
        }
    }

    [TestMethod]
    public async Task A_model_that_cannot_be_loaded_is_named()
    {
        var log = new CapturedLog();
        await using var server =
            await ServerFixture.StartAsync(
                new ScriptedEngine
                {
                    Loading = (_, _, _) =>
                    throw new Shimmy.Engine.EngineException(Shimmy.Engine.EngineFailure.LoadFailed, "no")
                }, loggers: log);
        using var answer = await server.PostAsync("api/generate", Ask);

        Assert.AreEqual(System.Net.HttpStatusCode.BadGateway, answer.StatusCode);
        await log.WaitForAsync("POST /api/generate talker 502: ");
        Assert.AreEqual("1", (await MetricsAsync(server))["""shimmy_requests_total{model="talker",route="/api/generate",status="502"}"""]);
    }

    [TestMethod]
    [DataRow("application/json", true)]
    [DataRow("application/json, text/plain, */*", true)]
    [DataRow("text/plain;q=0.3, application/json;version=1;q=0.5", true)]
    [DataRow("text/plain, application/json;q=0.1", false)]
    [DataRow("*/*;q=0.5, application/json;q=0.1", false)]
    [DataRow("application/json;q=0", false)]
    [DataRow("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", false)]
    [DataRow("*/*", false)]
    [DataRow("", false)]
    public void Accept_says_which_of_both_a_client_would_rather_have(string accept, bool json) =>
    Assert.AreEqual(json, Shimmy.Api.Native.Metrics.PrefersJson(accept));

    [TestMethod]
    public async Task The_text_is_what_Prometheus_reads()
    {
        await using var server = await ServerFixture.StartAsync();
        await server.AnswerAsync("api/generate", Ask);
        using var answer = await server.Client.GetAsync("metrics");

        Assert.AreEqual("text/plain; version=0.0.4; charset=utf-8", answer.Content.Headers.ContentType!.ToString());
        var text = await answer.Content.ReadAsStringAsync();
        Assert.EndsWith("\n", text);
        string? family = null;
        var families = new HashSet<string>();
        foreach (var line in text.TrimEnd('\n').Split('\n'))
        {
            if (line.StartsWith("# HELP ", StringComparison.Ordinal))
            {
                family = line.Split(' ')[2];
                Assert.IsTrue(families.Add(family), $"{family} is there twice");
            }
            else if (!line.StartsWith('#'))
            {
                Assert.IsTrue(Series().IsMatch(line), line);
                Assert.StartsWith(family!, line);
            }
        }
    }

    [TestMethod]
    public async Task A_broken_stream_a_client_that_left_and_a_lost_worker_show()
    {
        var begun = new SemaphoreSlim(0);
        var engine = new ScriptedEngine
        {
            BeforeToken = async cancellation =>
        {
            begun.Release();
            await Task.Delay(Timeout.Infinite, cancellation);
        }
        };
        await using var server = await ServerFixture.StartAsync(engine);
        using (var left = new CancellationTokenSource())
        {
            var asked = server.Client.PostAsync("v1/completions", new StringContent(Ask, null, "application/json"), left.Token);
            await begun.WaitAsync();
            await left.CancelAsync();
            await ((Task)asked).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        engine.Models.Single().Die();
        engine.BeforeToken = _ => Task.CompletedTask;
        await server.AnswerAsync("api/generate", Ask);

        var metrics = await MetricsAsync(server);
        await Poll.UntilAsync(
            async () =>
                (metrics = await MetricsAsync(server)).ContainsKey(
                    """shimmy_requests_total{model="talker",route="/v1/completions",status="499"}"""), "the request is counted");

        Assert.AreEqual("1", metrics["""shimmy_requests_total{model="talker",route="/v1/completions",status="499"}"""]);
        Assert.AreEqual("1", metrics["""shimmy_worker_crashes_total{model="talker"}"""]);
        Assert.AreEqual("1", metrics["""shimmy_worker_restarts_total{model="talker"}"""]);
        Assert.AreEqual("2", metrics["""shimmy_model_loads_total{model="talker"}"""]);
    }

    [TestMethod]
    public async Task Messages_on_a_socket_are_requests()
    {
        await using var server = await ServerFixture.StartAsync();
        using var socket = await server.ConnectAsync();
        for (var i = 0; i < 2; i++)
        {
            await socket.SendAsync(Ask);
            while (!(await socket.ReceiveAsync())!.Contains("\"done\"", StringComparison.Ordinal))
            {
            }
        }
        await socket.SendAsync("{}");
        Assert.Contains("error", (await socket.ReceiveAsync())!);

        var metrics = await MetricsAsync(server);
        await Poll.UntilAsync(
            async () =>
                (metrics = await MetricsAsync(server)).ContainsKey(
                    """shimmy_requests_total{model="",route="/ws/generate",status="400"}"""), "the request is counted");
        Assert.AreEqual("2", metrics["""shimmy_requests_total{model="talker",route="/ws/generate",status="200"}"""]);
        Assert.AreEqual("1", metrics["""shimmy_requests_total{model="",route="/ws/generate",status="400"}"""]);
    }

    [TestMethod]
    public async Task Json_has_models_memory_requests_and_tokens()
    {
        await using var server = await ServerFixture.StartAsync();
        await server.AnswerAsync("api/generate", Ask);
        using var request = new HttpRequestMessage(HttpMethod.Get, "metrics");
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/json"));
        using var answer = await server.Client.SendAsync(request);
        var json = await answer.JsonAsync();

        Assert.AreEqual("talker", json.GetProperty("models")[0].GetProperty("name").GetString());
        Assert.AreEqual(1, json.GetProperty("requests").GetProperty("total").GetInt32());
        Assert.AreEqual(3, json.GetProperty("tokens").GetProperty("generated").GetInt32());
        Assert.AreEqual(2, json.GetProperty("tokens").GetProperty("prompt").GetInt32());
        Assert.IsGreaterThan(0, json.GetProperty("memory").GetProperty("server_bytes").GetInt64());
    }

    [TestMethod]
    public async Task Diag_shows_the_machine_and_the_limits()
    {
        var options = new CommandOptions
        {
            Queue = 7,
            Server = new ServerOptions { BodyLimit = 4096, RequestTimeout = TimeSpan.FromSeconds(90) },
        };
        await using var server = await ServerFixture.StartAsync(
            options: options.Server with { Limits = [.. OptionTable.LimitsOf(options)] });
        var json = await (await server.Client.GetAsync("diag")).JsonAsync();

        Assert.AreEqual(Environment.ProcessorCount, json.GetProperty("cores").GetInt32());
        Assert.IsGreaterThan(0, json.GetProperty("memory").GetProperty("total_mb").GetDouble());
        var limits = json.GetProperty("limits");
        Assert.AreEqual(4096, limits.GetProperty("body_bytes").GetInt32());
        Assert.AreEqual(90, limits.GetProperty("request_timeout_seconds").GetInt32());
        Assert.AreEqual(7, limits.GetProperty("queue").GetInt32());
        Assert.AreEqual(System.Text.Json.JsonValueKind.Null, limits.GetProperty("max_loaded").ValueKind);
    }

    private static async Task<Dictionary<string, string>> MetricsAsync(ServerFixture server) =>
        (await server.Client.GetStringAsync("metrics")).Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Where(line => !line.StartsWith('#'))
            .ToDictionary(line => line[..line.LastIndexOf(' ')], line => line[(line.LastIndexOf(' ') + 1)..]);

    [GeneratedRegex("""^[a-z_:][a-z0-9_:]*(\{([a-z_]+="([^"\\\n]|\\.)*",?)*\})? (\+Inf|-?[0-9.E+-]+)$""")]
    private static partial Regex Series();
}
