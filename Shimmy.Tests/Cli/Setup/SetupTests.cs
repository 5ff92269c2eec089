using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;
using Shimmy.Cli.Commands;
using Shimmy.Cli.Options;
using Shimmy.Cli.Servers;
using Shimmy.Cli.Setup;
using Shimmy.Cli.Terminal;
using Shimmy.Models;
using Shimmy.Models.Discovery;
using Shimmy.Tests.Clients;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;
using Shimmy.Tests.Packaging;

namespace Shimmy.Tests.Cli.Setup;

/// <summary>What is written for other programs: deployments, clients' settings, completion scripts, the manual page.</summary>
[TestClass]
public sealed class SetupTests
{
    private static readonly LaunchTarget Target = new("http://127.0.0.1:9", "k", "some/model:8b", 4096, CallsTools: true, Sees: false);

    public static IEnumerable<object[]> Templates => EmbeddedTexts.Templates.Select(name => new object[] { name });

    public static IEnumerable<object[]> Clients => EmbeddedTexts.Clients.Select(name => new object[] { name });

    [TestMethod]
    [TestCategory("Unit")]
    [DynamicData(nameof(Templates))]
    public void A_template_has_the_options_that_were_given_and_no_place_left_open(string template)
    {
        var files = Files(template);
        Assert.IsNotEmpty(files);
        foreach (var (path, text) in files)
        {
            // GPUStack fills in the last ones.
            Assert.IsFalse(Regex.IsMatch(text, @"(?<!\$)\{\{(?!(port|model_path|model_name)\}\})"), $"{path}: {text}");
            Assert.IsFalse(path.Contains("NAME", StringComparison.Ordinal) || path.Contains("dot-", StringComparison.Ordinal), path);
        }
        Assert.IsTrue(files.Any(file => file.Text.Contains("8192", StringComparison.Ordinal)), template);
        Assert.IsTrue(files.Any(file => file.Text.Contains("my-app", StringComparison.Ordinal)), template);
    }

    [TestMethod]
    [TestCategory("Unit")]
    [DataRow("kserve", "--model-dirs", true)]
    [DataRow("gpustack", "--model-path", true)]
    [DataRow("github-actions", "--log-file", true)]
    [DataRow("kserve", "--alias", false)]
    [DataRow("kserve", "--model-path", false)]
    [DataRow("kubernetes", "--model-dirs", false)]
    public void An_option_that_a_template_has_itself_is_refused_unless_it_may_be_repeated(string template, string option, bool refused)
    {
        var options = OptionParser.Parse(OptionTable.Commands.Single(command => command.Name == "init"),
            ["-t", template, option, "a=b"], _ => null);
        if (refused)
            Assert.Contains(option, Assert.ThrowsExactly<UsageException>(Write).Message);
        else
            Write();

        void Write() => Assert.IsNotEmpty(InitCommand.FilesOf(template, options, []).ToList());
    }

    [TestMethod]
    [TestCategory("Executable")]
    public async Task Each_file_is_read_by_the_tool_that_it_is_for()
    {
        using var folder = new TemporaryFolder();
        var read = 0;
        foreach (var (path, text) in EmbeddedTexts.Templates.SelectMany(
            template => Files(template).Select(file => ($"{template}/{file.Path}", file.Text))))
        {
            var file = folder[path];
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            await File.WriteAllTextAsync(file, text);
            var (tool, arguments) = Path.GetExtension(path) switch
            {
                ".mjs" => ("node", new[] { "--check", file }),
                ".py" => ("python3", ["-m", "py_compile", file]),
                ".json" => ("python3", ["-c", "import json,sys; json.load(open(sys.argv[1]))", file]),
                ".toml" => ("python3", ["-c", "import tomllib,sys; tomllib.load(open(sys.argv[1],'rb'))", file]),
                ".plist" =>
                    ("python3",
                        ["-c", "import plistlib,sys; assert '8192' in plistlib.load(open(sys.argv[1],'rb'))['ProgramArguments']", file]),
                ".yml" or ".yaml" =>
                    ("python3",
                        ["-c", "import yaml,sys; assert all(isinstance(d,dict) for d in yaml.safe_load_all(open(sys.argv[1])))", file]),
                ".service" => ("systemd-analyze", ["verify", file]),
                _ => ("", []),
            };
            if (tool.Length == 0 || SystemTool.Find(tool) is null
                || (path.EndsWith("ml", StringComparison.Ordinal) && path.Contains(".y", StringComparison.Ordinal)
                && (await Tool.RunAsync("python3", ["-c", "import yaml"])).ExitCode != 0))
            {
                continue;
            }
            var (exitCode, output) = await Tool.RunAsync(tool, arguments);
            Assert.AreEqual(0, exitCode, $"{path}: {output}");
            Assert.AreEqual("", tool == "systemd-analyze" ? output : "", path);
            read++;
        }
        if (read == 0)
            Assert.Inconclusive("None of node, python3 and systemd-analyze is installed.");
    }

    [TestMethod]
    [TestCategory("Executable")]
    [DataRow("kubernetes")]
    [DataRow("llm-d")]
    [DataRow("kserve")]
    public async Task Kubectl_takes_what_is_for_a_cluster(string template)
    {
        if (SystemTool.Find("kubectl") is null)
            Assert.Inconclusive("kubectl is not installed.");
        using var folder = new TemporaryFolder();
        using var cluster = new StandInRegistry { Instead = request => Discovery(request.Path) };
        var created = 0;
        foreach (var (path, text) in Files(template).Where(file => file.Path.EndsWith(".yaml", StringComparison.Ordinal)))
        {
            await File.WriteAllTextAsync(folder[path], text);
            var (exitCode, output) = await Tool.RunAsync("kubectl", "--server", cluster.Address.AbsoluteUri, "--cache-dir", folder["cache"],
                "create", "--dry-run=client", "--validate=false", "-f", folder[path]);
            Assert.AreEqual(0, exitCode, $"{path}: {output}");
            created += output.Split('\n').Count(line => line.EndsWith("created (dry run)", StringComparison.Ordinal));
        }
        Assert.AreEqual(template switch { "kubernetes" => 6, "llm-d" => 8, _ => 1 }, created);
    }

    [TestMethod]
    [TestCategory("Executable")]
    [DataRow(false)]
    [DataRow(true)]
    public async Task What_kserve_mounts_answers_to_the_name_of_the_service(bool isFolder)
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["mnt/some-folder"]);
        if (isFolder)
            RandomFolder.Write(folder["mnt"]);
        else
            RandomModel.Write(folder["mnt/some-folder/weights.gguf"]);
        var arguments = Regex.Match(Files("kserve").Single(file => file.Path == "kserve.yaml").Text, @"args: (\[.*\])").Groups[1].Value
            .Replace("/mnt/models", folder["mnt"], StringComparison.Ordinal);
        // The first are the command and its address, those behind vLLM's names what the test of all templates gives.
        var all = JsonSerializer.Deserialize<string[]>(arguments)!;
        var given = all[3..(Array.IndexOf(all, "vllm") + 1)];
        Assert.Contains("my-app=*", given);
        using var server = await ServerProcess.StartAsync(folder, given);
        using var answer = await server.Client.PostAsync("v1/completions",
            new StringContent("""{"model":"my-app","prompt":"a","max_tokens":2}""", System.Text.Encoding.UTF8, "application/json"));
        Assert.AreEqual(200, (int)answer.StatusCode, await answer.Content.ReadAsStringAsync());

        RandomModel.Write(folder["mnt/second.gguf"]);
        using var two = await ServerProcess.StartAsync(folder, given);
        using var refused = await two.Client.PostAsync("v1/completions",
            new StringContent("""{"model":"my-app","prompt":"a"}""", System.Text.Encoding.UTF8, "application/json"));
        Assert.AreEqual(404, (int)refused.StatusCode);
        Assert.Contains("there are 2: ", await refused.Content.ReadAsStringAsync());
    }

    [TestMethod]
    [TestCategory("Executable")]
    public async Task The_application_of_express_answers_with_the_local_model()
    {
        NpmScript.Require();
        using var folder = new TemporaryFolder();
        var written = await ShimmyProcess.RunAsync(["init", "-t", "express", "-o", folder["app"], "-n", "my-app"]);
        Assert.AreEqual(0, written.ExitCode, written.Errors);
        Directory.CreateSymbolicLink(folder["app/node_modules"], Path.Combine(NpmScript.Folder, "node_modules"));
        var start = ShimmyProcess.CreateStart(["exec", "--quiet", "--model", "shimmy-demo", "--", "node", "server.mjs"], folder.Path,
            new Dictionary<string, string> { ["PORT"] = "0", ["PATH"] = Environment.GetEnvironmentVariable("PATH")! });
        (start.WorkingDirectory, start.RedirectStandardOutput) = (folder["app"], true);
        using var process = Process.Start(start)!;
        try
        {
            var line = await process.StandardOutput.ReadLineAsync();
            Assert.StartsWith("my-app listens on http://127.0.0.1:", line);
            using var client = new HttpClient { BaseAddress = new Uri(line!.Split(' ')[^1]) };
            Assert.AreEqual("""{"status":"ok"}""", await client.GetStringAsync("health"));
            using var answer = await client.PostAsync("chat", Json("""{"text":"Hello"}"""));
            Assert.AreEqual(200, (int)answer.StatusCode);
            Assert.Contains("Shimmy", await answer.Content.ReadAsStringAsync());
            using var refused = await client.PostAsync("chat", Json("{}"));
            Assert.AreEqual(400, (int)refused.StatusCode);
        }
        finally
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync();
        }

        static StringContent Json(string text) => new(text, System.Text.Encoding.UTF8, "application/json");
    }

    [TestMethod]
    [TestCategory("Executable")]
    public async Task Docker_compose_reads_its_file()
    {
        if (SystemTool.Find("docker-compose") is null)
            Assert.Inconclusive("docker-compose is not installed.");
        using var folder = new TemporaryFolder();
        var (path, text) = Files("compose").Single(file => file.Path.EndsWith(".yaml", StringComparison.Ordinal));
        // Debian's is older than the folder beside the context, which version 2.17 brought.
        var known = Regex.Replace(text, "^ +additional_contexts:\n.*\n", "", RegexOptions.Multiline);
        Assert.AreNotEqual(text, known);
        await File.WriteAllTextAsync(folder[path], known);
        var (exitCode, output) = await Tool.RunAsync("docker-compose", "-f", folder[path], "config");
        Assert.AreEqual(0, exitCode, output);
        Assert.Contains("read_only: true", output);
        Assert.Contains("8192", output);
    }

    [TestMethod]
    [TestCategory("Executable")]
    public async Task Files_that_are_there_stay_unless_that_is_asked_for()
    {
        using var folder = new TemporaryFolder();
        string[] command = ["init", "-t", "systemd", "-o", folder.Path, "-n", "llm"];
        var first = await ShimmyProcess.RunAsync(command);
        Assert.AreEqual(folder["llm.service"] + "\n", first.Output, first.Errors);
        await File.WriteAllTextAsync(folder["llm.service"], "mine");
        var again = await ShimmyProcess.RunAsync(command);
        Assert.AreEqual(1, again.ExitCode);
        Assert.Contains("--force", again.Errors);
        Assert.AreEqual("mine", await File.ReadAllTextAsync(folder["llm.service"]));
        Assert.AreEqual(0, (await ShimmyProcess.RunAsync([.. command, "--force"])).ExitCode);
        Assert.AreNotEqual("mine", await File.ReadAllTextAsync(folder["llm.service"]));
        Assert.AreEqual(2, (await ShimmyProcess.RunAsync(["init", "-t", "nonesuch"])).ExitCode);
        Assert.AreEqual(2, (await ShimmyProcess.RunAsync(["init", "-t", "docker", "-n", "Not A Name"])).ExitCode);
    }

    [TestMethod]
    [TestCategory("Unit")]
    [DynamicData(nameof(Clients))]
    public void A_recipe_names_server_and_model_and_leaves_no_brace_open(string client)
    {
        using var home = new TemporaryFolder();
        var recipe = LaunchRecipe.Of(client, Host(home));
        var all = string.Join('\n',
            [.. recipe.CommandFor(Target), .. recipe.PreparationFor(Target), .. recipe.EnvironmentFor(Target).Values,
            recipe.SettingsFor(Target) ?? ""]);
        Assert.Contains("http://127.0.0.1:9", all);
        Assert.Contains("some/model:8b", all);
        Assert.IsFalse(Regex.IsMatch(all, @"\{[a-z]+\}"), all);
        Assert.IsGreaterThan(4096, recipe.LeastContext);
    }

    [TestMethod]
    [TestCategory("Unit")]
    public void Settings_are_put_beside_what_is_there_and_taken_back_as_it_was()
    {
        using var home = new TemporaryFolder();
        var recipe = LaunchRecipe.Of("zed", Host(home));
        const string before = "// mine\n{ \"theme\": \"One\", \"agent\": { \"dock\": \"left\", }, }\n";
        Directory.CreateDirectory(Path.GetDirectoryName(recipe.File)!);
        File.WriteAllText(recipe.File!, before);
        recipe.Write(Target);
        recipe.Write(Target with { Model = "other" });
        using (var after = JsonDocument.Parse(File.ReadAllText(recipe.File!)))
        {
            Assert.AreEqual("One", after.RootElement.GetProperty("theme").GetString());
            Assert.AreEqual("left", after.RootElement.GetProperty("agent").GetProperty("dock").GetString());
            Assert.AreEqual("other", after.RootElement.GetProperty("agent").GetProperty("default_model").GetProperty("model").GetString());
        }
        Assert.IsTrue(recipe.Undo());
        Assert.AreEqual(before, File.ReadAllText(recipe.File!));
        Assert.IsFalse(recipe.Undo());
    }

    [TestMethod]
    [TestCategory("Unit")]
    public void Settings_that_hold_a_key_are_their_owners_alone_until_they_are_taken_back()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Inconclusive("Windows has no such modes.");
            return;
        }
        using var home = new TemporaryFolder();
        var recipe = LaunchRecipe.Of("vscode", Host(home));
        const UnixFileMode everybody = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;
        Directory.CreateDirectory(Path.GetDirectoryName(recipe.File)!);
        File.WriteAllText(recipe.File!, "[]");
        File.SetUnixFileMode(recipe.File!, everybody);
        recipe.Write(Target with { Key = ServerClient.AnyKey });
        Assert.AreEqual(everybody, File.GetUnixFileMode(recipe.File!));
        recipe.Write(Target);
        Assert.AreEqual(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(recipe.File!));
        Assert.IsTrue(recipe.Undo());
        Assert.AreEqual(everybody, File.GetUnixFileMode(recipe.File!));
    }

    [TestMethod]
    [TestCategory("Unit")]
    public void A_list_of_settings_keeps_what_others_have_and_a_file_that_was_not_there_goes_again()
    {
        using var home = new TemporaryFolder();
        var recipe = LaunchRecipe.Of("vscode", Host(home));
        recipe.Write(Target);
        Assert.IsTrue(recipe.Undo());
        Assert.IsFalse(File.Exists(recipe.File));
        File.WriteAllText(recipe.File!, "[{\"name\":\"Azure\"},{\"name\":\"Shimmy\",\"old\":1}]");
        recipe.Write(Target);
        using var after = JsonDocument.Parse(File.ReadAllText(recipe.File!));
        CollectionAssert.AreEqual(new[] { "Azure", "Shimmy" }, after.RootElement.EnumerateArray()
            .Select(one => one.GetProperty("name").GetString()).ToArray());
        Assert.IsFalse(after.RootElement[1].TryGetProperty("old", out _));
        File.WriteAllText(recipe.File!, "{}");
        Assert.ThrowsExactly<CommandException>(() => recipe.Write(Target));
        Assert.AreEqual("{}", File.ReadAllText(recipe.File!));
    }

    [TestMethod]
    [TestCategory("Executable")]
    [DataRow("shimmy comp", "completion")]
    [DataRow("shimmy serve --replay-m", "--replay-miss")]
    [DataRow("shimmy serve --replay-miss ", "fail pass")]
    [DataRow("shimmy init -t fl", "fly")]
    [DataRow("shimmy launch op", "opencode")]
    [DataRow("shimmy probe llama:", "llama:8b llama:70b")]
    [DataRow("shimmy exec --model llama:7", "llama:70b")]
    [DataRow("shimmy completion z", "zsh")]
    public async Task Bash_completes(string line, string expected)
    {
        if (SystemTool.Find("bash") is null)
            Assert.Inconclusive("bash is not installed.");
        using var folder = new TemporaryFolder();
        await File.WriteAllTextAsync(folder["completion"], CompletionScript.Of("bash"));
        var (exitCode, output) =
            await Tool.RunAsync("bash",
                ["-c", "shimmy() { printf 'llama:8b\\nllama:70b\\n'; }; source \"$1\"; COMP_LINE=$2; read -ra COMP_WORDS <<< \"$2\"; " +
            "case $2 in *' ') COMP_WORDS+=('');; esac; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _shimmy; echo \"${COMPREPLY[*]}\"",
            "bash", folder["completion"], line]);
        Assert.AreEqual(expected, output.Trim(), output);
        Assert.AreEqual(0, exitCode);
    }

    [TestMethod]
    [TestCategory("Unit")]
    [DataRow("bash")]
    [DataRow("zsh")]
    [DataRow("fish")]
    [DataRow("powershell")]
    public void A_script_knows_every_command_and_option(string shell)
    {
        var script = CompletionScript.Of(shell);
        foreach (var command in OptionTable.Commands)
        {
            Assert.Contains(command.Name, script);
            foreach (var option in OptionTable.Of(command))
                Assert.Contains(shell == "fish" ? $"-l {option.Name[2..]}" : option.Name, script);
        }
        // Those of llama-server have words behind one dash, too.
        foreach (var name in LlamaServerTable.All.SelectMany(row => row.Names))
        {
            Assert.Contains(shell != "fish" ? name
                : name.StartsWith("--", StringComparison.Ordinal) ? $" -l {name[2..]} "
                : name.Length == 2 ? $" -s {name[1..]} " : $" -o {name[1..]} ", script);
        }
    }

    [TestMethod]
    [TestCategory("Unit")]
    public void The_manual_knows_llama_servers_options()
    {
        var page = ManualPage.Text();
        foreach (var row in LlamaServerTable.All)
            Assert.Contains(row.Names[^1].Replace("-", "\\-", StringComparison.Ordinal), page);
    }

    [TestMethod]
    [TestCategory("Unit")]
    public void The_manual_page_has_every_command_and_option_and_no_macro_that_is_none()
    {
        var page = ManualPage.Text();
        foreach (var command in OptionTable.Commands)
        {
            Assert.Contains($"shimmy {command.Name.Replace("-", "\\-", StringComparison.Ordinal)}", page);
            foreach (var option in OptionTable.Of(command))
                Assert.Contains(HelpText.NameOf(option).Replace("-", "\\-", StringComparison.Ordinal), page);
        }
        string[] macros = [".TH", ".SH", ".SS", ".TP", ".B", ".I"];
        Assert.IsEmpty(page.Split('\n').Where(line => line.StartsWith('.') && !macros.Contains(line.Split(' ')[0])).ToList());
    }

    [TestMethod]
    [TestCategory("Unit")]
    public void The_demo_model_is_the_only_one_where_there_is_no_other()
    {
        var (demo, mine, broken) = (Entry("shimmy-demo"), Entry("mine"), Entry("broken") with { WhyUnloadable = "cut off" });
        Assert.AreSame(demo, ModelContext.Choice([demo, broken]).Single());
        Assert.AreSame(mine, ModelContext.Choice([demo, broken, mine]).Single());
        Assert.HasCount(2, ModelContext.Choice([mine, Entry("yours"), demo]));

        static ModelEntry Entry(string name) => new() { Name = name, Path = "/" + name };
    }

    private static IReadOnlyList<(string Path, string Text)> Files(string template)
    {
        var options = OptionParser.Parse(OptionTable.Commands.Single(command => command.Name == "init"),
            ["-t", template, "-n", "my-app", "--ctx", "8192", "--alias", "gpt-*=x$y'z", "--log-prompts",
                .. template == "gpustack" ? [] : (string[])["--model-path", "/models/a b.gguf"]], _ => null);
        return [.. InitCommand.FilesOf(template, options, ["one", "two:8b"])];
    }

    // What a cluster says of the resources that it knows; nothing else is asked before a dry run.
    private static StandInAnswer Discovery(string path)
    {
        var kinds = ManifestSchema.Known.Select(name => name.Split('/'))
            .Select(parts => (Version: string.Join('/', parts[..^1]), Kind: parts[^1])).ToLookup(one => one.Version, one => one.Kind);
        var groups = kinds.Where(version => version.Key.Contains('/', StringComparison.Ordinal))
            .GroupBy(version => version.Key.Split('/')[0], version =>
                $$"""{"groupVersion":"{{version.Key}}","version":"{{version.Key.Split('/')[1]}}"}""");
        var version = path == "/api/v1" ? "v1" : path.StartsWith("/apis/", StringComparison.Ordinal) ? path["/apis/".Length..] : "";
        var json = path switch
        {
            "/api" => """{"kind":"APIVersions","versions":["v1"]}""",
            "/apis" => $$"""
                {"kind":"APIGroupList","apiVersion":"v1","groups":[{{string.Join(',', groups.Select(group =>
                    $$"""{"name":"{{group.Key}}","versions":[{{string.Join(',', group)}}],"preferredVersion":{{group.First()}}}"""))}}]}
                """,
            _ when kinds.Contains(version) => $$"""
                {"kind":"APIResourceList","apiVersion":"v1","groupVersion":"{{version}}","resources":[{{string.Join(',', kinds[version].Select(kind =>
                    $$"""{"name":"{{kind.ToLowerInvariant()}}s","singularName":"","namespaced":true,"kind":"{{kind}}","verbs":["create"]}"""))}}]}
                """,
            _ => null,
        };
        return json is null ? new StandInAnswer { Status = 404 } : StandInAnswer.Json(System.Text.Encoding.UTF8.GetBytes(json));
    }

    private static HostEnvironment Host(TemporaryFolder home) => HostEnvironment.Current() with
    {
        Home = home.Path,
        System = HostSystem.Linux,
        Variable = _ => null,
    };
}
