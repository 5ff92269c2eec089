using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable.Commands;

/// <summary>What a shell sees of the program: exit codes, stdout, stderr.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class CommandLineTests
{
    [TestMethod]
    [DataRow("nope", "shimmy: unknown command 'nope'; there are ")]
    [DataRow("--nope", "shimmy: unknown command '--nope'; there are ")]
    [DataRow("probe --nope x", "shimmy probe: unknown option --nope")]
    [DataRow("probe x --nope", "shimmy probe: unknown option --nope")]
    [DataRow("probe x y", "shimmy probe: unexpected argument 'y'")]
    [DataRow("convert", "shimmy convert: NAME is missing: the folder to convert")]
    [DataRow("stop", "shimmy stop: NAME is missing: the model to take out of memory; shimmy ps shows those that are there")]
    [DataRow("completion tcsh", "shimmy completion: SHELL: 'tcsh' is not bash, zsh, fish or powershell")]
    [DataRow("launch claude --print --undo", "shimmy launch: --print and --undo exclude each other")]
    [DataRow("ps --url ftp://x", "shimmy ps: --url: 'ftp://x' is not an address such as http://127.0.0.1:11435 or unix:PATH")]
    [DataRow("probe x --ctx", "shimmy probe: --ctx: a value is missing")]
    [DataRow("probe x --ctx=5", "shimmy probe: unknown option --ctx=5; a value follows its option after a blank: --ctx 5")]
    [DataRow("probe x --ctx 1,000", "shimmy probe: --ctx: '1,000' is not a whole number from 0 to 16777216")]
    [DataRow("probe x --threads 513", "shimmy probe: --threads: '513' is not a whole number from 0 to 512")]
    [DataRow("probe x --threads 1 --threads 2", "shimmy probe: --threads: given twice")]
    [DataRow("bench x --max-tokens 1", "shimmy bench: --max-tokens: '1' is not a whole number of at least 2")]
    [DataRow("bench x --max-tokens", "shimmy bench: --max-tokens: a value is missing")]
    [DataRow("list --log-level loud", "shimmy list: --log-level: 'loud' is not trace, debug, information, info, warning, warn, error, critical or none")]
    [DataRow("list --short --json", "shimmy list: --short and --json exclude each other")]
    [DataRow("gpu-info --ctx 5", "shimmy gpu-info: unknown option --ctx")]
    public async Task What_is_wrong_with_the_arguments_is_said_in_one_line_on_stderr(string arguments, string error)
    {
        var run = await ShimmyProcess.RunAsync(arguments.Split(' '));

        Assert.AreEqual(2, run.ExitCode);
        Assert.AreEqual("", run.Output);
        Assert.StartsWith(error, run.Errors);
        Assert.HasCount(1, run.Errors.TrimEnd().Split('\n'), run.Errors);
    }

    [TestMethod]
    public async Task A_bad_value_in_the_environment_is_refused_by_the_variables_name()
    {
        var run = await ShimmyProcess.RunAsync(["list"], environment: new Dictionary<string, string> { ["SHIMMY_THREADS"] = "many" });

        Assert.AreEqual(2, run.ExitCode);
        Assert.AreEqual("shimmy list: SHIMMY_THREADS: 'many' is not a whole number from 0 to 512", run.Errors.TrimEnd());
    }

    [TestMethod]
    public async Task The_command_line_wins_over_the_environment()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["a/one.gguf"]);
        RandomModel.Write(folder["b/two.gguf"]);

        var run = await ShimmyProcess.RunAsync(["list", "-s", "--model-dirs", folder["a"]], folder.Path,
            new Dictionary<string, string> { ["SHIMMY_MODEL_DIRS"] = folder["b"] });

        Assert.AreEqual("shimmy-demo\none\n", run.Output, run.Errors);
    }

    [TestMethod]
    [DataRow("--help")]
    [DataRow("--version")]
    [DataRow("probe --help")]
    [DataRow("list --version")]
    public async Task Help_and_version_look_for_no_model_and_load_no_library(string arguments)
    {
        using var folder = new TemporaryFolder();
        var environment = new Dictionary<string, string>
        {
            ["SHIMMY_BASE_GGUF"] = folder["missing.gguf"],
            ["SHIMMY_RUNTIME_DIR"] = folder["missing"],
        };

        var run = await ShimmyProcess.RunAsync(arguments.Split(' '), folder.Path, environment);

        Assert.AreEqual(0, run.ExitCode, run.Errors);
        Assert.AreEqual("", run.Errors);
        Assert.AreNotEqual("", run.Output);
    }

    [TestMethod]
    public async Task A_file_in_SHIMMY_BASE_GGUF_that_is_missing_is_named()
    {
        var run = await ShimmyProcess.RunAsync(["list"],
            environment: new Dictionary<string, string> { ["SHIMMY_BASE_GGUF"] = "/missing.gguf" });

        Assert.AreEqual(1, run.ExitCode);
        Assert.Contains("SHIMMY_BASE_GGUF: there is no file '/missing.gguf'", run.Errors);
    }

    [TestMethod]
    public async Task List_shows_registered_and_discovered_models()
    {
        using var folder = new TemporaryFolder();
        var registered = RandomModel.Write(folder["elsewhere/by-hand.gguf"]);
        RandomModel.Write(folder["models/found-7b-Q4_K_M.gguf"], new RandomModelShape { ChatTemplate = RandomModel.ChatMl });

        var run = await ShimmyProcess.RunAsync(["list", "--json"], folder.Path,
            new Dictionary<string, string> { ["SHIMMY_BASE_GGUF"] = registered });

        Assert.AreEqual(0, run.ExitCode, run.Errors);
        using var json = JsonDocument.Parse(run.Output);
        var models = json.RootElement.EnumerateArray().ToArray();
        CollectionAssert.AreEqual(new[] { "by-hand", "found-7b", "shimmy-demo" },
            models.Select(model => model.GetProperty("name").GetString()).ToArray());
        Assert.AreEqual("by-hand", models[0].GetProperty("name").GetString());
        Assert.AreEqual("registered", models[0].GetProperty("source").GetString());
        Assert.AreEqual("completion", models[0].GetProperty("model_type").GetString());
        Assert.AreEqual("discovered", models[1].GetProperty("source").GetString());
        Assert.AreEqual("chat", models[1].GetProperty("model_type").GetString());
        Assert.AreEqual(512, models[1].GetProperty("context_length").GetInt32());
        Assert.AreEqual(new FileInfo(folder["models/found-7b-Q4_K_M.gguf"]).Length, models[1].GetProperty("size_bytes").GetInt64());
    }

    [TestMethod]
    public async Task Where_there_is_nothing_else_the_demo_model_is_listed()
    {
        using var folder = new TemporaryFolder();

        var text = await ShimmyProcess.RunAsync(["list", "--short"], folder.Path);
        Assert.AreEqual((0, "shimmy-demo\n", ""), (text.ExitCode, text.Output, text.Errors));

        var json = await ShimmyProcess.RunAsync(["list", "--json"], folder.Path);
        using var models = JsonDocument.Parse(json.Output);
        var demo = models.RootElement.EnumerateArray().Single();
        Assert.AreEqual(("chat", "llama", 2048),
            (demo.GetProperty("model_type").GetString(), demo.GetProperty("architecture").GetString(),
                demo.GetProperty("context_length").GetInt32()));
    }

    [TestMethod]
    public async Task A_name_that_no_model_has_ends_with_1_and_the_closest_names()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/tiny-storyteller.gguf"]);

        var run = await ShimmyProcess.RunAsync(["probe", "storyteller"], folder.Path);

        Assert.AreEqual(1, run.ExitCode);
        Assert.AreEqual("shimmy probe: unknown model 'storyteller'; the closest names are tiny-storyteller, shimmy-demo; "
            + "'shimmy pull storyteller' brings it, where Ollama's library has it",
            run.Errors.TrimEnd());
    }

    [TestMethod]
    public async Task A_file_that_is_no_model_ends_with_2()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["text.gguf"], "Once upon a time");

        var run = await ShimmyProcess.RunAsync(["probe", folder["text.gguf"]], folder.Path);

        Assert.AreEqual(2, run.ExitCode);
        Assert.Contains("not a GGUF file", run.Errors);
    }

    [TestMethod]
    public async Task Probe_says_what_a_model_needed()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/tiny.gguf"]);

        var run = await ShimmyProcess.RunAsync(["probe", "tiny", "--threads", "1", "--ctx", "128"], folder.Path);

        Assert.AreEqual(0, run.ExitCode, run.Errors);
        Assert.AreEqual("", run.Errors);
        var parameters = Regex.Match(run.Output, "^parameters      ([0-9]+)$", RegexOptions.Multiline).Groups[1].Value;
        Assert.StartsWith($"model           tiny (llama {int.Parse(parameters, CultureInfo.InvariantCulture) / 1000.0:0}K ", run.Output);
        Assert.Contains("context         128 tokens (trained with 512)", run.Output);
        Assert.Contains("threads         1 to decode", run.Output);
        Assert.Contains("devices         CPU", run.Output);
    }

    [TestMethod]
    public async Task Bench_reports_rates_with_their_spread()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/tiny.gguf"]);

        var run = await ShimmyProcess.RunAsync(
            ["bench", "tiny", "--threads", "1", "--max-tokens", "4", "--prompt-tokens", "20", "--parallel", "2", "--json"], folder.Path);

        Assert.AreEqual(0, run.ExitCode, run.Errors);
        using var json = JsonDocument.Parse(run.Output);
        var report = json.RootElement;
        Assert.AreEqual(20, report.GetProperty("prompt_tokens").GetInt32());
        Assert.AreEqual(2, report.GetProperty("parallel").GetInt32());
        foreach (var name in new[] { "prompt_tokens_per_second", "generation_tokens_per_second", "time_to_first_token_milliseconds" })
        {
            var spread = report.GetProperty(name);
            var (median, min, max) =
                (spread.GetProperty("median").GetDouble(), spread.GetProperty("min").GetDouble(), spread.GetProperty("max").GetDouble());
            Assert.IsTrue(min > 0 && min <= median && median <= max, $"{name}: {min} {median} {max}");
        }
    }

    [TestMethod]
    public async Task Bench_refuses_what_the_context_does_not_hold()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/tiny.gguf"]);

        var run = await ShimmyProcess.RunAsync(["bench", "tiny", "--threads", "1", "--prompt-tokens", "600"], folder.Path);

        Assert.AreEqual(2, run.ExitCode);
        Assert.Contains("a prompt of 600 and 64 generated tokens do not fit into the context of 512 tokens", run.Errors);
    }

    [TestMethod]
    public async Task Gpu_info_names_the_cpu_as_backend_and_device()
    {
        var run = await ShimmyProcess.RunAsync(["gpu-info", "--json"]);

        Assert.AreEqual(0, run.ExitCode, run.Errors);
        using var json = JsonDocument.Parse(run.Output);
        Assert.Contains(backend => backend.GetProperty("name").GetString() == "cpu" && backend.GetProperty("loaded").GetBoolean(),
            json.RootElement.GetProperty("backends").EnumerateArray());
        Assert.Contains(
            device => device.GetProperty("kind").GetString() == "cpu" && device.GetProperty("memory_total_bytes").GetInt64() > 0,
            json.RootElement.GetProperty("devices").EnumerateArray());
    }

    [TestMethod]
    public async Task The_log_is_json_on_stderr_where_asked_for()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/tiny.gguf"]);

        var run = await ShimmyProcess.RunAsync(
            ["probe", "tiny", "--threads", "1", "--log-level", "information", "--log-format", "json"], folder.Path);

        Assert.AreEqual(0, run.ExitCode, run.Errors);
        var lines = run.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.IsNotEmpty(lines);
        foreach (var line in lines)
        {
            using (var entry = JsonDocument.Parse(line))
                Assert.AreEqual(JsonValueKind.String, entry.RootElement.GetProperty("Message").ValueKind, line);
        }
    }

    [TestMethod]
    [DataRow("list --json", "shimmy list: cannot write to stdout: No space left on device")]
    [DataRow("--help", "shimmy: cannot write to stdout: No space left on device")]
    public async Task A_full_disk_is_said(string arguments, string expected)
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("/dev/full is Linux's.");
        using var run = Process.Start(new ProcessStartInfo("bash", ["-c", $"'{ShimmyProcess.Executable}' {arguments} >/dev/full"])
        {
            RedirectStandardError = true,
        })!;
        var errors = await run.StandardError.ReadToEndAsync();
        await run.WaitForExitAsync();

        Assert.AreEqual(1, run.ExitCode, errors);
        StringAssert.StartsWith(errors, expected);
    }

    [TestMethod]
    public async Task cli_exclusive()
    {
        var run = await ShimmyProcess.RunAsync(["probe", "shimmy-demo", "--cpu-moe", "--n-cpu-moe", "2"]);

        Assert.AreEqual(2, run.ExitCode);
        Assert.StartsWith("shimmy probe: --cpu-moe and --n-cpu-moe exclude each other: ", run.Errors);
    }
}
