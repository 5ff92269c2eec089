using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable;

/// <summary>
/// The command <c>chat</c>: one answer, and conversations in a terminal, which tmux is (Debian's package; .ci/run brings it).
/// </summary>
[TestClass]
[TestCategory("Executable")]
public sealed class ChatTests
{
    [TestMethod]
    public async Task One_answer_is_alone_on_stdout_and_the_conversation_goes_on_with_a_pipe()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/talker.gguf"], new RandomModelShape { Says = "hello" });
        var environment = new Dictionary<string, string> { ["XDG_STATE_HOME"] = folder["state"], ["LOCALAPPDATA"] = folder["state"] };

        var one = await ShimmyProcess.RunAsync(["chat", "talker", "who?", "--threads", "1"], folder.Path, environment);
        Assert.AreEqual(0, one.ExitCode, one.Errors);
        Assert.AreEqual(" hello", one.Output);
        Assert.AreEqual("", one.Errors);

        var next = await ShimmyProcess.RunAsync(["chat", "-c", "and now", "--json", "--threads", "1"],
            folder.Path, environment, input: "from a pipe");
        Assert.AreEqual(0, next.ExitCode, next.Errors);
        using var json = JsonDocument.Parse(next.Output);
        Assert.AreEqual(" hello", json.RootElement.GetProperty("text").GetString());
        Assert.AreEqual("talker", json.RootElement.GetProperty("model").GetString());
        var file = Path.Join(folder["state"], "shimmy", "chats", json.RootElement.GetProperty("conversation").GetString() + ".jsonl");
        var lines = File.ReadAllLines(file);
        Assert.HasCount(5, lines);
        Assert.Contains("and now\\n\\nfrom a pipe", lines[3]);
    }

    [TestMethod]
    [DataRow(2, "TEXT is missing", "chat", "talker")]
    [DataRow(1, "unknown model 'nobody'", "chat", "nobody", "hello")]
    [DataRow(2, "there are several models", "chat", "", "hello")]
    [DataRow(1, "no conversation is kept", "chat", "-c", "hello")]
    [DataRow(2, "--url: excludes --ctx", "chat", "talker", "hello", "--ctx", "64", "--url", "http://127.0.0.1:9")]
    [DataRow(2, "TEXT is one argument", "chat", "talker", "hello", "there")]
    public async Task What_cannot_be_answered_is_said_in_one_line(int exitCode, string reason, params string[] arguments)
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["models/talker.gguf"]);
        RandomModel.Write(folder["models/other.gguf"]);
        var run = await ShimmyProcess.RunAsync(arguments, folder.Path,
            new Dictionary<string, string> { ["XDG_STATE_HOME"] = folder["state"] });
        Assert.AreEqual(exitCode, run.ExitCode, run.Errors);
        Assert.Contains(reason, run.Errors);
        Assert.HasCount(1, run.Errors.TrimEnd('\n').Split('\n'), run.Errors);
    }

    [TestMethod]
    public async Task A_conversation_is_typed_pasted_recalled_and_its_answers_cannot_steer_the_terminal()
    {
        await using var server = await ServerFixture.StartAsync(new ScriptedEngine
        {
            Answer = (_, request) => Last(request).Contains("steer", StringComparison.Ordinal)
                ? ["be", "fore \u001b[2J\u001b]0;title\u0007\u009b1mafter"]
                : ["# Head\n\n", "- **one** tw", "o\n", "\n| a | b |\n|---|---|\n| 1 | 日本 |\n"],
        });
        await using var terminal = await Tmux.StartAsync(server, 70, 30);
        await terminal.SeesAsync("> ");
        terminal.Type("what is");
        terminal.Keys("C-j");
        terminal.Type("日本?");
        await terminal.SeesAsync("> what is\n  日本?");
        terminal.Keys("Enter");
        await terminal.SeesAsync("Head\n\n• one two\n\na   │ b\n────┼─────\n1   │ 日本");
        await terminal.SeesAsync(" out, ");

        terminal.Paste("one\ntwo\nthree\nfour\nfive\nsix\nseven");
        await terminal.SeesAsync("> [7 lines]");
        terminal.Keys("C-c");
        terminal.Type("please steer");
        terminal.Keys("Enter");
        await terminal.SeesAsync("before ␛[2J␛]0;title␇<U+009B>1mafter");

        terminal.Keys("Up", "Up");
        await terminal.SeesAsync("> what is\n  日本?");
        terminal.Keys("C-c", "C-r");
        terminal.Type("steer");
        await terminal.SeesAsync("(search 'steer') please steer");
        terminal.Keys("C-g");
        terminal.Type("/hlep");
        terminal.Keys("Enter");
        await terminal.SeesAsync("did you mean /help?");
        terminal.Type("/st");
        terminal.Keys("Tab");
        await terminal.SeesAsync("> /stats");
        terminal.Keys("C-c", "C-c");
        await terminal.SeesAsync("Ctrl+C again");
        terminal.Keys("C-d");
        await terminal.SeesAsync("ended with 0");
    }

    [TestMethod]
    public async Task Control_C_stops_an_answer_and_keeps_its_part_and_what_was_typed_meanwhile_is_the_next_line()
    {
        await using var server = await ServerFixture.StartAsync(new ScriptedEngine
        {
            Answer = (_, _) => Enumerable.Range(0, 100_000).Select(i => $"w{i} "),
            BeforeToken = token => Task.Delay(5, token),
        });
        await using var terminal = await Tmux.StartAsync(server, 60, 20);
        await terminal.SeesAsync("> ");
        terminal.Type("go on");
        terminal.Keys("Enter");
        await terminal.SeesAsync("w20");
        terminal.Type("typed ahead");
        terminal.Resize(40, 20);
        await terminal.SeesAsync("w60");
        terminal.Keys("C-c");
        await terminal.SeesAsync("stopped; the part is kept");
        await terminal.SeesAsync("> typed ahead");
        await Poll.UntilAsync(() => server.Residency.Resident.Sum(model => model.Requests) == 0, "the server answers no more");

        // Broken at the new width, and nothing of the old frame left.
        terminal.Type(" and a text that is longer than a row of this");
        await terminal.SeesAsync("> typed ahead and a text that is longer\n   than a row of this");
        terminal.Resize(60, 20);
        await terminal.SeesAsync("> typed ahead and a text that is longer than a row of this");
        terminal.End();
        await terminal.SeesAsync("ended with 130");
        var file = Directory.GetFiles(terminal.Folder["state/shimmy/chats"]).Single();
        Assert.Contains("\"part\":true", File.ReadAllText(file));
    }

    [TestMethod]
    public async Task Several_models_are_chosen_from_a_list_with_a_filter()
    {
        await using var server = await ServerFixture.StartAsync(models: ["talker", "日本語モデル", "other"]);
        await using var terminal = await Tmux.StartAsync(server, 60, 20, name: "");
        await terminal.SeesAsync("model:");
        terminal.Type("日本");
        await terminal.SeesAsync("model: 日本\n> 日本語モデル");
        terminal.Keys("Enter");
        await terminal.SeesAsync("日本語モデル: ");
        terminal.Type("who?");
        terminal.Keys("Enter");
        await terminal.SeesAsync("I am 日本語モデル");
        terminal.Type("/exit");
        terminal.Keys("Enter");
        await terminal.SeesAsync("ended with 0");
    }

    private static string Last(GenerationRequest request)
    {
        var prompt = string.Concat(request.Prompt.Parts.Select(part => part.Text));
        return prompt[prompt.LastIndexOf("User", StringComparison.Ordinal)..];
    }

    // A terminal of tmux's with the program in it.
    private sealed class Tmux : IAsyncDisposable
    {
        private readonly string _socket = "shimmy-" + Guid.NewGuid().ToString("N")[..8];

        public TemporaryFolder Folder { get; } = new();

        public static async Task<Tmux> StartAsync(ServerFixture server, int columns, int rows, string name = "talker")
        {
            if (OperatingSystem.IsWindows() || SystemTool.Find("tmux") is null)
                Assert.Inconclusive("tmux is not installed here.");
            var tmux = new Tmux();
            var script = tmux.Folder["run.sh"];
            await File.WriteAllTextAsync(script, $"""
                export LC_ALL=C.UTF-8 XDG_STATE_HOME='{tmux.Folder["state"]}' HOME='{tmux.Folder.Path}'
                unset NO_COLOR
                cd '{tmux.Folder.Path}'
                '{ShimmyProcess.Executable}' chat '{name}' --url '{server.Client.BaseAddress}'
                echo "ended with $?"
                sleep 1000
                """);
            tmux.Run("-f", "/dev/null", "-u", "new-session", "-d", "-x", $"{columns}", "-y", $"{rows}", $"sh {script}");
            return tmux;
        }

        public void Type(string text) => Run("send-keys", "-l", "--", text);

        public void Keys(params string[] keys) => Run(["send-keys", .. keys]);

        public void Resize(int columns, int rows) => Run("resize-window", "-x", $"{columns}", "-y", $"{rows}");

        public void Paste(string text)
        {
            Run("set-buffer", "--", text);
            // Bracketed, where the program has asked for it.
            Run("paste-buffer", "-p");
        }

        // As a system that shuts down.
        public void End()
        {
            var shell = Run("display-message", "-p", "#{pane_pid}").Trim();
            using var kill = Process.Start("pkill", ["-TERM", "-P", shell, "shimmy"]);
            kill.WaitForExit();
        }

        public Task SeesAsync(string text) => SeesAsync(text, () => Run("capture-pane", "-p"));

        private static async Task SeesAsync(string text, Func<string> look)
        {
            var screen = "";
            try
            {
                await Poll.UntilAsync(async () =>
                {
                    screen = string.Join('\n', look().Split('\n').Select(line => line.TrimEnd())) + "\n";
                    return screen.Contains(text.TrimEnd(), StringComparison.Ordinal);
                }, "");
            }
            catch (TimeoutException)
            {
                Assert.Fail($"the screen never showed\n{text}\nbut\n{screen}");
            }
        }

        private string Run(params string[] arguments)
        {
            using var tmux = Process.Start(new ProcessStartInfo("tmux", ["-L", _socket, .. arguments])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
                StandardOutputEncoding = Encoding.UTF8,
                Environment = { ["LC_ALL"] = "C.UTF-8" },
            })!;
            var output = tmux.StandardOutput.ReadToEnd();
            tmux.WaitForExit();
            return output;
        }

        public ValueTask DisposeAsync()
        {
            Run("kill-server");
            Folder.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
