using System.Net;
using System.Text;
using System.Text.Json;
using Shimmy.Models;
using Shimmy.Models.Discovery;
using Shimmy.Models.Pull;
using Shimmy.Models.Registry;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;
using Shimmy.Tests.Models.Discovery;

namespace Shimmy.Tests.Api;

/// <summary>Clients have models pulled: by asking for that, or for a model that is not here.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class PullRouteTests
{
    private const string Commit = "0123456789abcdef0123456789abcdef01234567";
    internal static readonly byte[] Model = RandomModel.Bytes(new RandomModelShape { Layers = 1, Embedding = 16 });

    [TestMethod]
    public async Task A_pull_is_reported_event_by_event_and_the_model_is_here_then()
    {
        await using var run = await Run.StartAsync();
        var events = await run.Http.AnswerAsync("api/models/pull", """{"model":"org/tiny:Q8_0"}""");
        var lines = events.Split("\n\n", StringSplitOptions.RemoveEmptyEntries)
            .Select(line => JsonElement.Parse(line["data: ".Length..])).ToList();
        Assert.AreEqual(("org/tiny:Q8_0", Model.Length),
            (lines[^1].GetProperty("model").GetString(), lines[^1].GetProperty("fetched_bytes").GetInt32()));
        Assert.IsTrue(lines[..^1].TrueForAll(line => line.GetProperty("total_bytes").GetInt64() == Model.Length));
        Assert.AreEqual("finishing", lines[^2].GetProperty("status").GetString());
        var models = (await run.Http.JsonAsync("api/models")).GetProperty("models");
        Assert.AreEqual("org/tiny:Q8_0", models[0].GetProperty("name").GetString());

        var again = JsonElement.Parse(await run.Http.AnswerAsync("api/models/pull", """{"model":"hf.co/org/tiny:Q8_0","stream":false}"""));
        Assert.AreEqual(0, again.GetProperty("fetched_bytes").GetInt32());
    }

    [TestMethod]
    [DataRow("""{"model":"org/none"}""", 404, "has no repository org/none")]
    [DataRow("""{"model":"org/tiny:Q3_K_S"}""", 404, "it has Q8_0")]
    [DataRow("""{"model":"https://example.org/a.gguf"}""", 400, "host of its own")]
    [DataRow("""{"model":"127.0.0.1:1/library/tiny"}""", 400, "host of its own")]
    [DataRow("""{"model":"../x"}""", 400, "is not a model name")]
    [DataRow("""{"model":"org/tiny","force":true}""", 400, "force: is not a known field")]
    [DataRow("{}", 400, "model: is missing")]
    public async Task What_cannot_be_pulled_has_a_status(string body, int status, string words)
    {
        await using var run = await Run.StartAsync();
        using var answer = await run.Http.PostAsync("api/models/pull", body);
        Assert.AreEqual(status, (int)answer.StatusCode);
        Assert.Contains(words, (await answer.JsonAsync()).GetProperty("error").GetString()!);
    }

    [TestMethod]
    public async Task A_busy_registry_and_a_server_that_is_offline_have_theirs()
    {
        await using (var run = await Run.StartAsync())
        {
            run.Registry.Instead = _ => new StandInAnswer { Status = 429, Headers = [("Retry-After", "9")] };
            using var busy = await run.Http.PostAsync("api/models/pull", """{"model":"org/tiny"}""");
            Assert.AreEqual((503, "9"), ((int)busy.StatusCode, busy.Headers.RetryAfter!.ToString()));
        }
        await using var offline = await Run.StartAsync(offline: true, pullsMissing: true);
        using var refused = await offline.Http.PostAsync("api/models/pull", """{"model":"org/tiny"}""");
        Assert.AreEqual(403, (int)refused.StatusCode);
        using var missing = await offline.Http.PostAsync("v1/completions", """{"model":"org/tiny:Q8_0","prompt":"a"}""");
        Assert.AreEqual(404, (int)missing.StatusCode);
        Assert.IsEmpty(offline.Registry.Asked);
    }

    [TestMethod]
    public async Task Ollamas_clients_read_its_lines_and_delete_what_was_pulled()
    {
        await using var run = await Run.StartAsync();
        var license = "free"u8.ToArray();
        run.Registry.AddOllama("library/tiny", "latest", ("model", Model), ("license", license));
        var lines = (await run.Http.AnswerAsync("api/pull", """{"model":"tiny"}""")).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.AreEqual("""{"status":"pulling manifest"}""", lines[0]);
        var digest = StandInRegistry.Sha256(license);
        CollectionAssert.Contains(lines,
            $$"""{"status":"pulling {{digest[..12]}}","digest":"sha256:{{digest}}","total":4,"completed":4}""");
        CollectionAssert.AreEqual(
            new[] { """{"status":"verifying sha256 digest"}""", """{"status":"writing manifest"}""", """{"status":"success"}""" },
                lines[^3..]);
        Assert.AreEqual("""{"status":"success"}""", await run.Http.AnswerAsync("api/pull", """{"name":"tiny:latest","stream":false}"""));
        Assert.AreEqual("tiny:latest", (await run.Http.JsonAsync("api/tags")).GetProperty("models")[0].GetProperty("name").GetString());

        using var deleted = await run.Http.Client.SendAsync(new HttpRequestMessage(HttpMethod.Delete, "api/delete")
        {
            Content = new StringContent("""{"model":"tiny"}""", Encoding.UTF8, "application/json"),
        });
        Assert.AreEqual(HttpStatusCode.OK, deleted.StatusCode);
        Assert.AreEqual(0, (await run.Http.JsonAsync("api/tags")).GetProperty("models").GetArrayLength());
        Assert.IsFalse(Directory.Exists(Path.Join(run.Folder.Path, "home/.ollama/models/manifests/registry.ollama.ai")));
    }

    [TestMethod]
    public async Task Where_nothing_is_pulled_by_itself_the_error_says_how()
    {
        await using var run = await Run.StartAsync();
        using var answer = await run.Http.PostAsync("v1/completions", """{"model":"org/tiny:Q8_0","prompt":"a"}""");
        Assert.AreEqual(404, (int)answer.StatusCode);
        Assert.Contains("'shimmy pull org/tiny:Q8_0' brings it",
            (await answer.JsonAsync()).GetProperty("error").GetProperty("message").GetString()!);
        Assert.IsEmpty(run.Registry.Asked);
    }

    [TestMethod]
    public async Task A_missing_model_is_pulled_and_answers()
    {
        await using var run = await Run.StartAsync(pullsMissing: true);
        using var answer = await run.Http.PostAsync("v1/completions", """{"model":"org/tiny:Q8_0","prompt":"a"}""");
        Assert.AreEqual(200, (int)answer.StatusCode, await answer.Content.ReadAsStringAsync());
        using var unknown = await run.Http.PostAsync("v1/completions", """{"model":"org/none:Q8_0","prompt":"a"}""");
        Assert.AreEqual(404, (int)unknown.StatusCode);
        var asked = run.Registry.Asked.Count;
        using var again = await run.Http.PostAsync("v1/completions", """{"model":"org/none:Q8_0","prompt":"a"}""");
        Assert.AreEqual((404, asked), ((int)again.StatusCode, run.Registry.Asked.Count));
    }

    [TestMethod]
    public async Task A_missing_model_that_takes_its_time_is_202_until_it_is_here()
    {
        await using var run = await Run.StartAsync(pullsMissing: true, slow: true);
        using var early = await run.Http.PostAsync("v1/completions", """{"model":"org/tiny:Q8_0","prompt":"a"}""");
        Assert.AreEqual(202, (int)early.StatusCode);
        Assert.IsNotNull(early.Headers.RetryAfter);
        Assert.AreEqual("model_pulling", (await early.JsonAsync()).GetProperty("error").GetProperty("code").GetString());
        run.Registry.Pause = TimeSpan.Zero;
        // Joins the pull that runs.
        Assert.Contains("\"done\":true", await run.Http.AnswerAsync("api/models/pull", """{"model":"org/tiny:Q8_0"}"""));
        Assert.AreEqual(1, run.Registry.Asked.Count(request => request.Path.StartsWith("/api/models/", StringComparison.Ordinal)));
        using var late = await run.Http.PostAsync("v1/completions", """{"model":"org/tiny:Q8_0","prompt":"a"}""");
        Assert.AreEqual(200, (int)late.StatusCode);
    }

    [TestMethod]
    public async Task A_client_that_leaves_ends_its_pull()
    {
        await using var run = await Run.StartAsync(slow: true);
        using (var leaves = new CancellationTokenSource())
        using (var answer = await run.Http.OpenAsync("api/models/pull", """{"model":"org/tiny:Q8_0"}""", leaves.Token))
        {
            Assert.AreEqual(200, (int)answer.StatusCode);
            Assert.HasCount(1, run.Pulls.Runs);
            await leaves.CancelAsync();
        }
        await Poll.UntilAsync(() => run.Pulls.Runs.Count == 0, "the pull to end");
        Assert.IsEmpty(Directory.GetFiles(run.Folder.Path, "*.gguf", SearchOption.AllDirectories));
    }

    [TestMethod]
    public async Task Only_what_needs_a_missing_model_pulls_it_and_an_alias_deletes_nothing()
    {
        await using var run = await Run.StartAsync(pullsMissing: true);
        using var shown = await run.Http.PostAsync("api/show", """{"model":"org/tiny:Q8_0"}""");
        using var copied = await run.Http.PostAsync("api/copy", """{"source":"org/tiny:Q8_0","destination":"x"}""");
        using var one = await run.Http.Client.GetAsync("v1/models/org%2Ftiny:Q8_0");
        using var deleted = await DeleteAsync(run, "org/tiny:Q8_0");
        foreach (var answer in new[] { shown, copied, one, deleted })
            Assert.AreEqual(HttpStatusCode.NotFound, answer.StatusCode);
        Assert.IsEmpty(run.Registry.Asked);

        using var loaded = await run.Http.PostAsync("api/models/org%2Ftiny:Q8_0/load", "{}");
        Assert.AreEqual(HttpStatusCode.OK, loaded.StatusCode);
        run.Models.AddAlias(new ModelAlias("other*", "org/tiny:Q8_0"));
        using var other = await DeleteAsync(run, "other-name");
        Assert.AreEqual(HttpStatusCode.Forbidden, other.StatusCode);
        Assert.HasCount(1, run.Models.Entries);
    }

    [TestMethod]
    public async Task A_pull_that_waits_for_another_says_so()
    {
        await using var run = await Run.StartAsync(slow: true);
        run.Registry.AddHub("org/next", Commit, ("next-Q8_0.gguf", Model));
        using var first = await run.Http.OpenAsync("api/models/pull", """{"model":"org/tiny:Q8_0"}""");
        foreach (var route in new[] { "api/models/pull", "api/pull" })
        {
            using var leaves = new CancellationTokenSource();
            using var waiting = await run.Http.OpenAsync(route, """{"model":"hf.co/org/next:Q8_0"}""", leaves.Token);
            using var reader = new StreamReader(await waiting.Content.ReadAsStreamAsync());
            Assert.Contains("\"status\":\"queued\"", (await reader.ReadLineAsync())!);
            await leaves.CancelAsync();
        }
    }

    private static Task<HttpResponseMessage> DeleteAsync(Run run, string name) =>
        run.Http.Client.SendAsync(new HttpRequestMessage(HttpMethod.Delete, "api/delete")
        {
            Content = new StringContent($$"""{"model":"{{name}}"}""", Encoding.UTF8, "application/json"),
        });

    // A server with nothing, and a registry beside it.
    internal sealed class Run : IAsyncDisposable
    {
        private Run(TemporaryFolder folder, StandInRegistry registry, ServerFixture http, PullService pulls, ModelRegistry models)
        {
            (Folder, Registry, Http, Pulls, Models) = (folder, registry, http, pulls, models);
        }

        public TemporaryFolder Folder { get; }

        public StandInRegistry Registry { get; }

        public ServerFixture Http { get; }

        public PullService Pulls { get; }

        public ModelRegistry Models { get; }

        public static async Task<Run> StartAsync(bool offline = false, bool pullsMissing = false, bool slow = false)
        {
            var folder = new TemporaryFolder();
            var registry = new StandInRegistry { Pause = slow ? TimeSpan.FromMilliseconds(100) : TimeSpan.Zero };
            // So large that a slow registry takes longer than a request waits.
            registry.AddHub("org/tiny", Commit, ("tiny-Q8_0.gguf", slow ? [.. Model, .. new byte[8 << 20]] : Model));
            var host = HostEnvironments.In(folder, ("HF_ENDPOINT", registry.Address.AbsoluteUri));
            var models =
                new ModelRegistry(new ModelDiscovery([new HuggingFaceSource(host), new OllamaSource(OllamaRegistry.RootOf(host))]));
            await models.RefreshAsync();
            var pulls = new PullService(new Puller(new PullOptions
            {
                Host = host,
                Offline = offline,
                MemoryBudget = 1L << 40,
                OllamaAddress = registry.Address,
                Connections = 1,
            }), host, models, pullsMissing, _ => { })
            {
                PullWait = TimeSpan.FromSeconds(slow ? 0.3 : 30),
            };
            var http = await ServerFixture.StartAsync(new ScriptedEngine(), models, options: new ServerOptions { Pulls = pulls });
            return new Run(folder, registry, http, pulls, models);
        }

        public async ValueTask DisposeAsync()
        {
            await Http.DisposeAsync();
            await Pulls.DisposeAsync();
            Registry.Dispose();
            Folder.Dispose();
        }
    }
}
