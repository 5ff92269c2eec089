using Shimmy.Tests.Fixtures;
using Map = System.Collections.Generic.OrderedDictionary<string, object?>;

namespace Shimmy.Tests.Packaging;

/// <summary>The steps of the action, which install a release, as a runner would run them.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ActionTests
{
    [TestMethod]
    [DataRow("bash", "1.2.3")]
    [DataRow("bash", "v1.2.3")]
    [DataRow("pwsh", "1.2.3")]
    [DataRow("pwsh", "v1.2.3")]
    public async Task It_installs_a_version_by_its_number_or_its_tag(string shell, string version)
    {
        using var folder = new TemporaryFolder();
        await File.WriteAllTextAsync(folder["site/v1.2.3/install.sh"], "echo \"sh: $2, $4\"");
        await File.WriteAllTextAsync(folder["site/v1.2.3/install.ps1"], "param($Version, $Backend, $From, $To)\n\"ps1: $Version, $Backend\"");
        using var site = new Site(folder["site"]);
        var action = (Map)Yaml.Documents(await File.ReadAllTextAsync(
            Path.Combine(Repository.Root, ".github/actions/setup-shimmy/action.yml"))).Single()!;
        var step = ((List<object?>)((Map)action["runs"]!)["steps"]!).Cast<Map>().Single(one => (string)one["shell"]! == shell);
        var script = folder[shell == "bash" ? "step.sh" : "step.ps1"];
        await File.WriteAllTextAsync(script, (string)step["run"]!);

        string[] runner = shell == "bash" ? ["bash", "-e", script] : [Tool.PowerShell, "-NoProfile", "-File", script];
        var (code, output) = await Tool.RunAsync("env",
        [
            "VERSION=" + version, "BACKEND=cpu", "RELEASES=" + site.Address.TrimEnd('/'), "RUNNER_TEMP=" + folder.Path,
            "GITHUB_PATH=" + folder["path"], "POWERSHELL_TELEMETRY_OPTOUT=1", "POWERSHELL_UPDATECHECK=Off", .. runner,
        ]);

        Assert.AreEqual((0, $"{(shell == "bash" ? "sh" : "ps1")}: 1.2.3, cpu\n"), (code, output));
        StringAssert.Contains(await File.ReadAllTextAsync(folder["path"]), "shimmy");
    }
}
