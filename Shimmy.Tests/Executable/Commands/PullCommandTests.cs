using System.Diagnostics;
using Shimmy.Models.Pull;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Executable.Commands;

/// <summary>The program pulls, is killed while it does, goes on, and removes.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class PullCommandTests
{
    private const string Commit = "0123456789abcdef0123456789abcdef01234567";

    [TestMethod]
    public async Task A_killed_pull_leaves_nothing_that_looks_whole_and_the_next_goes_on()
    {
        using var folder = new TemporaryFolder();
        using var registry = new StandInRegistry { Pause = TimeSpan.FromMilliseconds(20) };
        byte[] content = [.. RandomModel.Bytes(), .. new byte[8 << 20]];
        registry.AddHub("org/tiny", Commit, ("tiny-Q8_0.gguf", content), ("tiny-Q4_K_M.gguf", new byte[100]));
        var environment = new Dictionary<string, string>
        {
            ["HF_ENDPOINT"] = registry.Address.AbsoluteUri,
            ["HF_HOME"] = folder["hf"],
            ["XDG_STATE_HOME"] = folder["state"],
            ["LOCALAPPDATA"] = folder["state"],
        };
        var list = await ShimmyProcess.RunAsync(["pull", "org/tiny", "--list"], folder.Path, environment);
        Assert.Contains("org/tiny:Q8_0", list.Output, list.Errors);

        using (var killed = Process.Start(ShimmyProcess.CreateStart(["pull", "org/tiny:Q8_0"], folder.Path, environment))!)
        {
            await Poll.UntilAsync(() => registry.Sent > 4 << 20, "half of the file");
            killed.Kill();
            await killed.WaitForExitAsync();
        }
        var left = Directory.GetFiles(folder["hf"], "*", SearchOption.AllDirectories);
        Assert.IsTrue(left.Length == 1 && left[0].EndsWith(PartialFile.Ending, StringComparison.Ordinal), string.Join(' ', left));

        registry.Pause = TimeSpan.Zero;
        var sent = registry.Sent;
        var pulled = await ShimmyProcess.RunAsync(["pull", "org/tiny:Q8_0"], folder.Path, environment);
        Assert.AreEqual(0, pulled.ExitCode, pulled.Errors);
        Assert.IsLessThan(content.Length - (1 << 20), registry.Sent - sent);
        CollectionAssert.AreEqual(content,
            File.ReadAllBytes(folder[$"hf/hub/models--org--tiny/snapshots/{Commit}/tiny-Q8_0.gguf"]));
        Assert.Contains("org/tiny:Q8_0", (await ShimmyProcess.RunAsync(["list", "--short"], folder.Path, environment)).Output);

        var removed = await ShimmyProcess.RunAsync(["rm", "org/tiny:Q8_0"], folder.Path, environment);
        Assert.AreEqual(0, removed.ExitCode, removed.Errors);
        Assert.IsFalse(Directory.Exists(Path.Join(folder.Path, "hf/hub/models--org--tiny")));
        var again = await ShimmyProcess.RunAsync(["rm", "org/tiny:Q8_0"], folder.Path, environment);
        Assert.AreEqual((1, "shimmy rm: no model 'org/tiny:Q8_0' was pulled by Shimmy"), (again.ExitCode, again.Errors.TrimEnd()));
        environment["SHIMMY_OFFLINE"] = "1";
        Assert.AreEqual(1, (await ShimmyProcess.RunAsync(["pull", "org/tiny:Q8_0"], folder.Path, environment)).ExitCode);
    }
}
