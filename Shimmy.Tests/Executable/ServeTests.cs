using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable;

/// <summary>The command <c>serve</c> as a process: addresses, ready file, end.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class ServeTests
{
    [TestMethod]
    public async Task The_address_is_in_the_ready_file_and_on_stdout_and_SIGTERM_ends_the_server_with_0()
    {
        if (OperatingSystem.IsWindows())
            Assert.Inconclusive("Windows has no SIGTERM for another process.");
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/talker.gguf"], new RandomModelShape { Says = "hello" });
        using var server = await ServerProcess.StartAsync(folder, "--threads", "1");

        using var health = JsonDocument.Parse(await server.Client.GetStringAsync("health"));
        Assert.AreEqual("ok", health.RootElement.GetProperty("status").GetString());
        using var answer = await server.Client.PostAsync("v1/completions", new StringContent("""{"model":"talker","prompt":"who?"}"""));
        Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode);
        Assert.Contains(" hello", await answer.Content.ReadAsStringAsync());

        var (exitCode, output) = await server.TerminateAsync();
        Assert.AreEqual(0, exitCode);
        Assert.StartsWith($"shimmy listens on {server.Client.BaseAddress}", output);
    }

    [TestMethod]
    public async Task Two_keys_let_clients_in_and_others_are_kept_out()
    {
        using var folder = new TemporaryFolder();
        using var server = await ServerProcess.StartAsync(folder, "--api-key", "one,1", "--api-key", "two");

        foreach (var (key, status) in new[] { ("one,1", HttpStatusCode.OK), ("two", HttpStatusCode.OK),
            ("one", HttpStatusCode.Unauthorized) })
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "v1/models") { Headers = { { "x-api-key", key } } };
            using var answer = await server.Client.SendAsync(request);
            Assert.AreEqual(status, answer.StatusCode, key);
        }
    }

    [TestMethod]
    public async Task A_projector_of_the_command_line_that_cannot_be_loaded_is_refused_before_the_model_is()
    {
        using var folder = new TemporaryFolder();
        var model = RandomModel.Write(folder["one.gguf"]);
        // The one beside the model is not taken in its place.
        RandomProjector.Write(folder["mmproj-one.gguf"], new RandomModelShape().Embedding);
        Directory.CreateDirectory(folder["other"]);
        File.WriteAllText(folder["other/cut.gguf"], "GGUF");
        (string, string)[] wrong =
        [
            (RandomProjector.Write(folder["other/mmproj.gguf"], 32), "embedding length 32, not 64"),
            (folder["other/cut.gguf"], "file is truncated"),
            (model, "its architecture is 'llama', not 'clip'"),
        ];
        foreach (var (projector, why) in wrong)
        {
            using var server = await ServerProcess.StartAsync(folder, "--model-path", model, "--mmproj", projector);
            using var answer = await server.Client.PostAsync("v1/completions", new StringContent("""{"model":"one","prompt":"who?"}"""));
            Assert.AreEqual(HttpStatusCode.UnprocessableEntity, answer.StatusCode, why);
            Assert.Contains(why, await answer.Content.ReadAsStringAsync());
        }

        // None is none for a model of the configuration file as well.
        File.WriteAllText(folder["shimmy.config.json"], """{"models":[{"name":"mine","base_path":"one.gguf"}]}""");
        var environment = new Dictionary<string, string> { ["SHIMMY_CONFIG"] = folder["shimmy.config.json"] };
        foreach (var (arguments, capabilities) in ((string[], string)[])[([], "completion vision"), (["--mmproj", "none"], "completion")])
        {
            using var configured = await ServerProcess.StartAsync(folder, environment, arguments);
            using var listed = JsonDocument.Parse(await configured.Client.GetStringAsync("v1/models"));
            Assert.AreEqual(capabilities, string.Join(' ', listed.RootElement.GetProperty("data").EnumerateArray()
                .Single(entry => entry.GetProperty("id").ValueEquals("mine")).GetProperty("capabilities").EnumerateArray()));
        }
    }

    [TestMethod]
    public async Task Prompts_are_in_the_log_only_where_that_is_asked_for()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/talker.gguf"], new RandomModelShape { Says = "hello" });
        foreach (var (arguments, logged) in new (string[], bool)[] { ([], false), (["--log-prompts"], true), (["--verbose"], false) })
        {
            using var server = await ServerProcess.StartAsync(folder, ["--threads", "1", .. arguments]);
            using var request = new HttpRequestMessage(HttpMethod.Post, "v1/completions")
            {
                Content = new StringContent("""{"model":"talker","prompt":"a secret"}"""),
                Headers = { { "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" } },
            };
            using var answer = await server.Client.SendAsync(request);
            Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode);
            await server.TerminateAsync();
            var log = string.Join('\n', server.Log);
            Assert.AreEqual(logged, log.Contains(": a secret", StringComparison.Ordinal), log);
            Assert.AreEqual(logged, log.Contains("secret", StringComparison.Ordinal), log);
            Assert.Contains("POST /v1/completions talker 200: ", log);
            Assert.Contains("trace 4bf92f3577b34da6a3ce929d0e0e4736", log);
            Assert.AreEqual(arguments is ["--verbose"], log.Contains(" DBG ", StringComparison.Ordinal), log);
        }
    }

    [TestMethod]
    public async Task Diag_says_which_backends_and_devices_there_are()
    {
        using var folder = new TemporaryFolder();
        using var server = await ServerProcess.StartAsync(folder, "--queue", "3", "--parallel", "2");
        using var diag = JsonDocument.Parse(await server.Client.GetStringAsync("diag"));
        Assert.IsNotEmpty(diag.RootElement.GetProperty("native_library").GetString()!);
        Assert.IsTrue(diag.RootElement.GetProperty("devices").EnumerateArray()
            .Any(device => device.GetProperty("kind").GetString() == "cpu"));
        Assert.AreEqual(3, diag.RootElement.GetProperty("limits").GetProperty("queue").GetInt32());
        Assert.AreEqual(2, diag.RootElement.GetProperty("limits").GetProperty("parallel").GetInt32());
        Assert.IsEmpty(server.Workers);
    }

    [TestMethod]
    public async Task A_port_that_is_taken_ends_with_1_and_one_line()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var address = taken.LocalEndpoint.ToString()!;

        var run = await ShimmyProcess.RunAsync(["serve", "--bind", address]);

        Assert.AreEqual(1, run.ExitCode);
        Assert.AreEqual("", run.Output);
        Assert.Contains(address, run.Errors);
        Assert.HasCount(1, run.Errors.TrimEnd().Split('\n'), run.Errors);
    }

    [TestMethod]
    [DataRow("--bind nonsense", 2, "--bind: 'nonsense' is not an address to listen on")]
    [DataRow("--model-path /missing.gguf", 1, "--model-path: there is no file '/missing.gguf'")]
    [DataRow("--keep-alive soon", 2, "--keep-alive: 'soon' is not a number of seconds or a duration")]
    [DataRow("--alias gpt-4", 2, "--alias: 'gpt-4' is not PATTERN=NAME")]
    [DataRow("--cors localhost:3000", 2, "--cors: 'localhost:3000' is not *, null, or an origin")]
    [DataRow("--parallel 0", 2, "--parallel: '0' is not a whole number from 1 to 256")]
    [DataRow("--queue -1", 2, "--queue: '-1' is not a whole number of at least 0")]
    [DataRow("--request-timeout soon", 2, "--request-timeout: 'soon' is not a number of seconds or a duration")]
    [DataRow("--api-key @/missing/keys", 2, "--api-key: cannot read /missing/keys")]
    [DataRow("--api-key sha256:12", 2, "--api-key: a key: after sha256: 64 hexadecimal digits are required")]
    [DataRow("--body-limit 5", 2, "--body-limit: '5' is not a number of bytes, or a size such as 64MiB or 1GB, from 1024 to 2147483647 bytes")]
    [DataRow("--body-limit 4GiB", 2, "--body-limit: '4GiB' is not a number of bytes, or a size such as 64MiB or 1GB, from 1024 to 2147483647 bytes")]
    [DataRow("--response-cache -1", 2, "--response-cache: '-1' is not 0, a number of bytes, or a size such as 64MiB or 1GB")]
    [DataRow("--replay-miss pass", 2, "--replay-miss: has no effect without --replay, which is missing")]
    [DataRow("--replay x --replay-miss maybe", 2, "--replay-miss: 'maybe' is not fail or pass")]
    [DataRow("--replay /nowhere/x.jsonl", 1, "cannot replay '/nowhere/x.jsonl': ")]
    [DataRow("--record /nowhere/x.jsonl", 1, "cannot record to '/nowhere/x.jsonl': ")]
    public async Task What_is_wrong_is_said_in_one_line(string arguments, int exitCode, string error)
    {
        var run = await ShimmyProcess.RunAsync(["serve", .. arguments.Split(' ')]);

        Assert.AreEqual(exitCode, run.ExitCode);
        Assert.AreEqual("", run.Output);
        Assert.StartsWith("shimmy serve: " + error, run.Errors);
    }

    [TestMethod]
    public async Task The_published_server_takes_less_than_28_megabytes_with_a_model_found_and_not_loaded()
    {
        if (!ShimmyProcess.IsPublished || !OperatingSystem.IsLinux())
            Assert.Inconclusive("SHIMMY_EXECUTABLE names no published executable; .ci/run publishes one and runs this.");
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/found.gguf"]);
        using var server = await ServerProcess.StartAsync(folder);
        // The demo model beside the executable, and this one.
        await Poll.UntilAsync(async () =>
            (await server.Client.GetStringAsync("health")).Contains("\"discovered\":2", StringComparison.Ordinal), "both models are found");

        Assert.IsLessThanOrEqualTo(28_000_000, server.ResidentBytes);
    }
}
