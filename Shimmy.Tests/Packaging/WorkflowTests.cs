using System.Text.RegularExpressions;
using Shimmy.Tests.Fixtures;
using Map = System.Collections.Generic.OrderedDictionary<string, object?>;

namespace Shimmy.Tests.Packaging;

/// <summary>
/// The workflows and actions under <c>.github</c>, by what actionlint looks for: keys, contexts and names that there are, actions pinned by
/// the hash of a commit, scripts that nothing from outside is pasted into and that shellcheck has nothing to say of.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed partial class WorkflowTests
{
    private static readonly string[] OfWorkflow = ["name", "run-name", "on", "permissions", "env", "defaults", "concurrency", "jobs"];
    private static readonly string[] OfJob = ["name", "needs", "permissions", "runs-on", "environment", "concurrency", "outputs", "env",
        "defaults", "if", "steps", "timeout-minutes", "strategy", "continue-on-error", "container", "services"];
    private static readonly string[] OfStep =
        ["id", "if", "name", "uses", "run", "working-directory", "shell", "with", "env", "continue-on-error", "timeout-minutes"];
    private static readonly string[] OfAction = ["name", "author", "description", "inputs", "outputs", "runs", "branding"];
    private static readonly string[] Events = ["push", "pull_request", "workflow_dispatch", "schedule", "release"];
    private static readonly string[] Permissions = ["actions", "attestations", "checks", "contents", "deployments", "discussions", "id-token",
        "issues", "packages", "pages", "pull-requests", "security-events", "statuses"];
    private static readonly string[] Runners = ["ubuntu-22.04", "ubuntu-24.04", "ubuntu-22.04-arm", "ubuntu-24.04-arm", "macos-15",
        "macos-15-intel", "windows-2025", "windows-11-arm"];
    private static readonly string[] Contexts =
        ["github", "env", "vars", "job", "steps", "runner", "secrets", "strategy", "matrix", "needs", "inputs"];

    public static IEnumerable<object[]> Files =>
        new[] { "workflows", "actions" }.Select(folder => Path.Combine(Repository.Root, ".github", folder))
            .SelectMany(folder => Directory.EnumerateFiles(folder, "*.yml", SearchOption.AllDirectories))
            .Select(path => new object[] { Path.GetRelativePath(Repository.Root, path).Replace('\\', '/') });

    [TestMethod]
    [DynamicData(nameof(Files))]
    public async Task A_workflow_has_nothing_to_complain_of(string path)
    {
        var (complaints, scripts) = Read(await File.ReadAllTextAsync(Path.Combine(Repository.Root, path)));
        Assert.AreEqual("", string.Join('\n', complaints), path);
        Assert.IsNotEmpty(scripts);
        using var folder = new TemporaryFolder();
        foreach (var (shell, script) in scripts.Where(one => one.Shell != "pwsh"))
        {
            await File.WriteAllTextAsync(folder["step"], script);
            var (exitCode, output) = await Tool.RunAsync("shellcheck", "-s", shell, folder["step"]);
            Assert.AreEqual(0, exitCode, $"{path}: {output}\n{script}");
        }
    }

    [TestMethod]
    public async Task PowerShell_can_parse_what_it_is_given()
    {
        using var folder = new TemporaryFolder();
        var scripts = Files.SelectMany(file => Read(File.ReadAllText(Path.Combine(Repository.Root, (string)file[0]))).Scripts)
            .Where(one => one.Shell == "pwsh").Select(one => one.Script)
            .Concat(new[] { "publish.ps1", "packaging/files/install.ps1" }.Select(file => File.ReadAllText(Path.Combine(Repository.Root, file))))
            .ToArray();
        Assert.HasCount(5, scripts);
        for (var i = 0; i < scripts.Length; i++)
            await File.WriteAllTextAsync(folder[$"script{i}.ps1"], scripts[i]);

        var (_, output) = await Tool.RunAsync(Tool.PowerShell, "-NoProfile", "-Command", $$"""
            foreach ($file in Get-ChildItem '{{folder.Path}}') {
                $errors = $null
                [void][Management.Automation.Language.Parser]::ParseFile($file.FullName, [ref] $null, [ref] $errors)
                foreach ($one in $errors) { "$($file.Name): $one" }
            }
            'parsed'
            """);

        Assert.AreEqual("parsed\n", output.ReplaceLineEndings("\n"));
    }

    [TestMethod]
    [DataRow("runs-on: ubuntu-24.04", "runs_on: ubuntu-24.04", "jobs.a.runs_on is not known", DisplayName = "a key")]
    [DataRow("runs-on: ubuntu-24.04", "runs-on: ubuntu-2", "there is no runner ubuntu-2", DisplayName = "a runner")]
    [DataRow("name: Say", "nmae: Say", "jobs.a.steps[1].nmae is not known", DisplayName = "a step's key")]
    [DataRow("push:", "pushed:", "on.pushed is not known", DisplayName = "an event")]
    [DataRow("contents: read", "contents: all", "permissions.contents cannot be 'all'", DisplayName = "a permission")]
    [DataRow("@11bd71901bbe5b1630ceea73d27597364c9af683", "@v4", "actions/checkout@v4 is not pinned by the hash of a commit", DisplayName = "a tag")]
    [DataRow("matrix.rid", "matrix.rids", "matrix.rids is nowhere set", DisplayName = "a matrix")]
    [DataRow("matrix.rid", "matrices.rid", "matrices is no context", DisplayName = "a context")]
    [DataRow("needs: a", "needs: c", "jobs.b needs c, which is no job", DisplayName = "a job")]
    [DataRow("echo \"$RID\"", "echo ${{ github.head_ref }}", "jobs.a.steps[1].run pastes ${{ github.head_ref }} into a script", DisplayName = "a paste")]
    [DataRow("run: echo \"$RID\"", "shell: bash", "jobs.a.steps[1] must have either uses or run", DisplayName = "a step that does nothing")]
    [DataRow("timeout-minutes: 5", "timeout-minutes: soon", "jobs.a.timeout-minutes must be a number", DisplayName = "a limit")]
    public void What_is_wrong_is_found(string right, string wrong, string complaint)
    {
        const string workflow = """
            name: Example
            on:
              push:
            permissions:
              contents: read
            jobs:
              a:
                strategy:
                  matrix:
                    include:
                      - { rid: linux-x64 }
                runs-on: ubuntu-24.04
                timeout-minutes: 5
                steps:
                  - uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2
                  - name: Say
                    env:
                      RID: ${{ matrix.rid }}
                    run: echo "$RID"
              b:
                needs: a
                runs-on: ubuntu-24.04
                timeout-minutes: 5
                steps:
                  - run: echo done
            """;
        Assert.IsEmpty(Read(workflow).Complaints);
        Assert.Contains(complaint, Read(workflow.Replace(right, wrong, StringComparison.Ordinal)).Complaints.ToArray());
    }

    // What is wrong with a workflow or an action, and the scripts of its steps.
    private static (List<string> Complaints, List<(string Shell, string Script)> Scripts) Read(string text)
    {
        var complaints = new List<string>();
        var scripts = new List<(string, string)>();
        var root = (Map)Yaml.Documents(text).Single()!;
        if (root.TryGetValue("runs", out var runs))
        {
            Known(root, "", OfAction);
            Steps((Map)runs!, "runs", isAction: true);
            Expressions(text, [.. Keys(root, "inputs")], []);
            return (complaints, scripts);
        }
        Known(root, "", OfWorkflow);
        Known(root.GetValueOrDefault("on"), "on.", Events);
        OfPermissions(root, "");
        var jobs = (Map)root["jobs"]!;
        var matrix = new List<string>();
        foreach (var (name, value) in jobs)
        {
            var (job, at) = ((Map)value!, "jobs." + name);
            Known(job, at + ".", OfJob);
            OfPermissions(job, at + ".");
            if (job.GetValueOrDefault("timeout-minutes") is not long)
                complaints.Add($"{at}.timeout-minutes must be a number");
            foreach (var needed in job.GetValueOrDefault("needs") is List<object?> list ? list : [job.GetValueOrDefault("needs")])
            {
                if (needed is string other && !jobs.ContainsKey(other))
                    complaints.Add($"{at} needs {other}, which is no job");
            }
            var include = ((job.GetValueOrDefault("strategy") as Map)?.GetValueOrDefault("matrix") as Map)?.GetValueOrDefault("include");
            var rows = (include as List<object?> ?? []).Cast<Map>().ToArray();
            matrix.AddRange(rows.SelectMany(row => row.Keys));
            var runsOn = job.GetValueOrDefault("runs-on") as string ?? "";
            var runners = runsOn == "${{ matrix.runner }}" ? rows.Select(row => row["runner"] as string) : [runsOn];
            complaints.AddRange(runners.Where(runner => !Runners.Contains(runner)).Select(runner => $"there is no runner {runner}"));
            Steps(job, at, isAction: false);
        }
        Expressions(text, [], matrix);
        return (complaints, scripts);

        void Known(object? value, string at, string[] names)
        {
            if (value is Map map)
                complaints.AddRange(map.Keys.Where(key => !names.Contains(key)).Select(key => $"{at}{key} is not known"));
            else
                complaints.Add($"{at} must be a mapping");
        }

        void OfPermissions(Map of, string at)
        {
            if (!of.TryGetValue("permissions", out var value))
                return;
            Known(value, at + "permissions.", Permissions);
            complaints.AddRange(((Map)value!).Where(pair => pair.Value is not ("read" or "write" or "none"))
                .Select(pair => $"{at}permissions.{pair.Key} cannot be '{pair.Value}'"));
        }

        void Steps(Map of, string at, bool isAction)
        {
            var steps = of.GetValueOrDefault("steps") as List<object?> ?? [];
            for (var i = 0; i < steps.Count; i++)
            {
                var (step, place) = ((Map)steps[i]!, $"{at}.steps[{i}]");
                Known(step, place + ".", OfStep);
                var (run, uses) = (step.GetValueOrDefault("run") as string, step.GetValueOrDefault("uses") as string);
                if (run is null == uses is null)
                    complaints.Add($"{place} must have either uses or run");
                if (uses is not null && !uses.StartsWith("./", StringComparison.Ordinal) && !Pinned().IsMatch(uses))
                    complaints.Add($"{uses} is not pinned by the hash of a commit");
                if (run is null)
                    continue;
                var shell = step.GetValueOrDefault("shell") as string ?? "bash";
                if (isAction && !step.ContainsKey("shell"))
                    complaints.Add($"{place} of an action must name its shell");
                if (shell is not ("bash" or "sh" or "pwsh"))
                    complaints.Add($"{place}.shell cannot be '{shell}'");
                complaints.AddRange(Expression().Matches(run).Select(match => $"{place}.run pastes {match.Value} into a script"));
                scripts.Add((shell, run));
            }
        }

        void Expressions(string of, IReadOnlyCollection<string> inputs, IReadOnlyCollection<string> matrixKeys)
        {
            foreach (var words in Expression().Matches(of).Select(match => match.Groups[1].Value.Split('.')))
            {
                if (!Contexts.Contains(words[0]))
                    complaints.Add($"{words[0]} is no context");
                else if ((words[0] == "matrix" && !matrixKeys.Contains(words[1])) || (words[0] == "inputs" && !inputs.Contains(words[1])))
                    complaints.Add($"{words[0]}.{words[1]} is nowhere set");
            }
        }

        static IEnumerable<string> Keys(Map of, string name) => of.GetValueOrDefault(name) is Map map ? map.Keys : [];
    }

    [GeneratedRegex(@"^[\w.-]+/[\w./-]+@[0-9a-f]{40}$")]
    private static partial Regex Pinned();

    [GeneratedRegex(@"\$\{\{\s*(.+?)\s*\}\}")]
    private static partial Regex Expression();
}
