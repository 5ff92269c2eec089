using System.Diagnostics;
using System.Runtime.Versioning;
using System.Text;
using System.Text.Json;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable.Commands;

/// <summary>The commands that live beside a server: <c>exec</c>, <c>ps</c>, <c>stop</c>, <c>launch</c>.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class ExecTests
{
    private const string Ask =
        "exec 3<>/dev/tcp/127.0.0.1/${SHIMMY_URL##*:}; body='{\"model\":\"talker\",\"prompt\":\"who?\",\"max_tokens\":4}'; "
        + "printf 'POST /v1/completions HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\nContent-Length: %s\\r\\n\\r\\n%s' ${#body} \"$body\" >&3; cat <&3";

    [TestInitialize]
    public void OnUnix()
    {
        if (OperatingSystem.IsWindows())
            Assert.Inconclusive("The commands of these tests are a Unix shell's.");
    }

    [TestMethod]
    public async Task The_command_finds_the_server_and_its_model_loaded_and_its_exit_code_is_that_of_exec()
    {
        using var folder = WithTalker();
        var run = await ShimmyProcess.RunAsync(["exec", "--threads", "1", "--model", "talker", "--", "bash", "-c",
            $"echo $OPENAI_BASE_URL $OPENAI_API_KEY $ANTHROPIC_BASE_URL $ANTHROPIC_AUTH_TOKEN $OLLAMA_HOST $SHIMMY_URL $SHIMMY_MODEL; '{ShimmyProcess.Executable}' ps --json; exit 7"],
            folder.Path);

        Assert.AreEqual(7, run.ExitCode, run.Errors);
        var words = run.Output[..run.Output.IndexOf('\n')].Split(' ');
        var url = words[5];
        CollectionAssert.AreEqual(new[] { url + "/v1", "shimmy", url, "shimmy", url, url, "talker" }, words);
        using var models = JsonDocument.Parse(run.Output[run.Output.IndexOf('\n')..]);
        Assert.AreEqual("talker", models.RootElement[0].GetProperty("model").GetString());
        Assert.AreEqual(url, models.RootElement[0].GetProperty("server").GetString());
        Assert.AreEqual($"shimmy exec: bash finds talker at {url}\n", run.Errors);
    }

    [TestMethod]
    public async Task A_recorded_command_passes_without_a_model_and_the_log_has_a_file()
    {
        using var folder = WithTalker();
        using var empty = new TemporaryFolder();
        var (tape, log) = (empty["tape.jsonl"], empty["shimmy.log"]);
        var recorded = await ShimmyProcess.RunAsync(
            ["exec", "-q", "--threads", "1", "--record", tape, "--log-file", log, "--", "bash", "-c", Ask], folder.Path);
        Assert.Contains(" hello", recorded.Output, recorded.Errors);
        Assert.AreEqual("", recorded.Errors);
        Assert.Contains("POST /v1/completions talker 200: ", await File.ReadAllTextAsync(log));

        var replayed = await ShimmyProcess.RunAsync(["exec", "-q", "--replay", tape, "--", "bash", "-c", Ask], empty.Path);
        Assert.Contains(" hello", replayed.Output, replayed.Errors);
        Assert.AreEqual(0, replayed.ExitCode);
    }

    [TestMethod]
    [DataRow(127, "no-such-command-here")]
    [DataRow(126, "/etc/passwd")]
    [DataRow(2)]
    public async Task A_command_that_cannot_be_run_has_the_code_that_shells_give(int exitCode, params string[] command)
    {
        var run = await ShimmyProcess.RunAsync(["exec", "-q", .. command.Length == 0 ? command : ["--", .. command]]);
        Assert.AreEqual(exitCode, run.ExitCode, run.Errors);
        Assert.HasCount(1, run.Errors.TrimEnd('\n').Split('\n'), run.Errors);
    }

    [TestMethod]
    [DataRow("TERM", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done", 9)]
    [DataRow("USR1", "trap 'exit 11' USR1; echo ready; while :; do sleep 0.05; done", 11)]
    [DataRow("TERM", "echo ready; exec sleep 600", 143)]
    public async Task A_signal_reaches_the_command_and_what_it_does_with_it_is_the_exit_code(string signal, string script, int exitCode)
    {
        using var exec = Process.Start(ShimmyProcess.CreateStart(["exec", "-q", "--", "bash", "-c", script]))!;
        Assert.AreEqual("ready", await exec.StandardOutput.ReadLineAsync());
        await SignalAsync(signal, exec.Id);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        await exec.WaitForExitAsync(limit.Token);
        Assert.AreEqual(exitCode, exec.ExitCode);
    }

    [TestMethod]
    public async Task A_signal_that_a_wrapper_passes_on_again_reaches_the_command_once()
    {
        using var exec = Process.Start(ShimmyProcess.CreateStart(["exec", "-q", "--", "bash", "-c",
            "trap 'echo INT' INT; trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done"]))!;
        Assert.AreEqual("ready", await exec.StandardOutput.ReadLineAsync());
        using (var twice = Process.Start("sh", ["-c", $"kill -INT {exec.Id}; sleep 0.01; kill -INT {exec.Id}"]))
            await twice.WaitForExitAsync();
        Assert.AreEqual("INT", await exec.StandardOutput.ReadLineAsync());
        await SignalAsync("TERM", exec.Id);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        Assert.AreEqual("", await exec.StandardOutput.ReadToEndAsync(limit.Token));
        await exec.WaitForExitAsync(limit.Token);
        Assert.AreEqual(9, exec.ExitCode);
    }

    // By hand 200 tries; here each moment once: when it alone runs, when its first child does, and when grandchildren have lost their parent.
    [TestMethod]
    [DataRow("KILL", 1)]
    [DataRow("KILL", 2)]
    [DataRow("KILL", -1)]
    [DataRow("HUP", -1)]
    [DataRow("USR1", -1)]
    [DataRow("TERM", -1)]
    public async Task Killed_at_any_moment_it_leaves_no_process(string signal, int processes)
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("Linux alone tells the environment of a process.");
        var mark = $"SHIMMY_TEST_MARK={Guid.NewGuid():N}";
        using var exec = Process.Start(ShimmyProcess.CreateStart(
            ["exec", "-q", "--model", "shimmy-demo", "--", "bash", "-c", "(sleep 600 &); sleep 600 & echo ready; wait"],
            environment: new Dictionary<string, string> { [mark.Split('=')[0]] = mark.Split('=')[1] }))!;
        if (processes < 0)
            Assert.AreEqual("ready", await exec.StandardOutput.ReadLineAsync());
        else
            await Poll.UntilAsync(() => Marked(mark) >= processes, $"{processes} processes run");
        Assert.AreNotEqual(0, Marked(mark));
        await SignalAsync(signal, exec.Id);
        await Poll.UntilAsync(() => Marked(mark) == 0, "all processes of the command are gone");
    }

    [TestMethod]
    public async Task Ps_and_stop_find_the_server_that_runs_and_forget_one_that_was_killed()
    {
        using var folder = WithTalker();
        var environment = new Dictionary<string, string> { ["XDG_STATE_HOME"] = folder["state"] };
        Assert.AreEqual(1, (await ShimmyProcess.RunAsync(["ps"], folder.Path, environment)).ExitCode);
        using var server = await ServerProcess.StartAsync(folder, environment, "--threads", "1", "--api-key", "secret");
        using var load = new HttpRequestMessage(HttpMethod.Post, "api/models/talker/load") { Headers = { { "x-api-key", "secret" } } };
        (await server.Client.SendAsync(load)).EnsureSuccessStatusCode();

        var refused = await ShimmyProcess.RunAsync(["ps"], folder.Path, environment);
        Assert.AreEqual(1, refused.ExitCode);
        Assert.Contains("401", refused.Errors);
        environment["SHIMMY_API_KEY"] = "secret";
        var shown = await ShimmyProcess.RunAsync(["ps"], folder.Path, environment);
        StringAssert.StartsWith(shown.Output.Split('\n')[1], "talker");
        var unknown = await ShimmyProcess.RunAsync(["stop", "other"], folder.Path, environment);
        Assert.AreEqual(1, unknown.ExitCode);
        Assert.Contains("talker is", unknown.Errors);
        var stopped =
            await ShimmyProcess.RunAsync(["stop", "TALKER:latest", "--url", server.Client.BaseAddress!.ToString()], folder.Path, environment);
        Assert.AreEqual(0, stopped.ExitCode, stopped.Errors);
        Assert.AreEqual("[]\n", (await ShimmyProcess.RunAsync(["ps", "--json"], folder.Path, environment)).Output);

        server.Kill();
        Assert.AreEqual(1, (await ShimmyProcess.RunAsync(["ps"], folder.Path, environment)).ExitCode);
        Assert.IsEmpty(Directory.GetFiles(folder["state/shimmy/servers"]));
    }

    [TestMethod]
    [UnsupportedOSPlatform("windows")]
    public async Task A_client_is_started_with_its_settings_and_its_arguments()
    {
        using var folder = WithTalker();
        Directory.CreateDirectory(folder["bin"]);
        await File.WriteAllTextAsync(folder["bin/claude"], "#!/bin/sh\necho \"$ANTHROPIC_MODEL $*\"\nexit 5\n");
        File.SetUnixFileMode(folder["bin/claude"], UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var environment = new Dictionary<string, string>
        {
            ["XDG_STATE_HOME"] = folder["state"],
            ["PATH"] = $"{folder["bin"]}:{Environment.GetEnvironmentVariable("PATH")}",
        };

        var run = await ShimmyProcess.RunAsync(["launch", "claude", "--threads", "1", "--bind", "0", "--model", "Talker:latest", "--", "-p", "two words"],
            folder.Path, environment);
        Assert.AreEqual(5, run.ExitCode, run.Errors);
        Assert.AreEqual("talker --model talker -p two words\n", run.Output);
        Assert.Contains("context of", run.Errors);
        Assert.Contains("was not trained to call tools", run.Errors);
    }

    [TestMethod]
    public async Task Shimmy_alone_helps_to_a_first_answer()
    {
        var alone = await ShimmyProcess.RunAsync([]);
        Assert.AreEqual(0, alone.ExitCode);
        Assert.Contains("shimmy chat shimmy-demo \"What is Shimmy?\"", alone.Output);
        var version = await ShimmyProcess.RunAsync(["--version"]);
        StringAssert.Matches(version.Output, new("^shimmy [0-9.]+.*\nruntimes: .*llamasharp.*\nbackends: cpu"));
    }

    private static TemporaryFolder WithTalker()
    {
        var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/talker.gguf"], new RandomModelShape { Says = "hello" });
        return folder;
    }

    private static async Task SignalAsync(string signal, int process)
    {
        using var kill = Process.Start("kill", [$"-{signal}", $"{process}"]);
        await kill.WaitForExitAsync();
    }

    private static int Marked(string mark) => Directory.EnumerateDirectories("/proc").Count(path => Has(path, mark));

    private static bool Has(string process, string mark)
    {
        try
        {
            return int.TryParse(Path.GetFileName(process), out _)
                && File.ReadAllBytes($"{process}/environ").AsSpan().IndexOf(Encoding.ASCII.GetBytes(mark)) >= 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
