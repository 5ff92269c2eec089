using System.Diagnostics;
using Shimmy.Packaging;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Packaging;

/// <summary>The packages of npm and NuGet, installed by npm and the SDK from where they lie, with a script in the place of the program.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class WrapperTests
{
    private static readonly TemporaryFolder Folder = new();

    [ClassInitialize]
    public static void Publish(TestContext context)
    {
        if (OperatingSystem.IsWindows())
            Assert.Inconclusive("The script in the place of the program is a shell's.");
        var platform = Product.Platforms.First(one => one.Rid == System.Runtime.InteropServices.RuntimeInformation.RuntimeIdentifier);
        const string program = """
            #!/bin/sh
            for signal in INT TERM HUP; do trap "echo $signal; [ $signal != TERM ] || exit 7" $signal; done
            echo "pretended $*"
            [ "$1" != die ] || kill -KILL $$
            while [ "$1" = wait ] && kill -0 $PPID 2>/dev/null; do sleep 0.1; done
            """;
        var published = Pretended.Published(Folder["files"], Folder, platform, program: program);
        ReleaseArchive.Make(published, Folder["dist"], "1.2.3", platform, "");
        var archives = ReleaseArchive.In(Folder["dist"]);
        Assert.HasCount(2, NpmPackages.Write(archives, Folder["dist"]).ToArray());
        Assert.IsNotEmpty(ToolPackages.Write(archives, Folder["dist"]).ToArray());
    }

    [ClassCleanup]
    public static void Clean() => Folder.Dispose();

    [TestMethod]
    public async Task The_package_of_npm_starts_the_program_of_the_platform_and_passes_signals_on()
    {
        var wrapper = await InstallAsync("project");
        Assert.AreEqual((0, "pretended list --all\n"), await Tool.RunAsync(wrapper, "list", "--all"));

        using var process = Process.Start(new ProcessStartInfo(wrapper, ["wait"]) { RedirectStandardOutput = true })!;
        try
        {
            Assert.AreEqual("pretended wait", await process.StandardOutput.ReadLineAsync());
            // Sent to this process alone, as kill and docker do.
            foreach (var signal in new[] { "INT", "HUP" })
            {
                Assert.AreEqual((0, ""), await Tool.RunAsync("kill", "-" + signal, $"{process.Id}"));
                Assert.AreEqual(signal, await process.StandardOutput.ReadLineAsync());
            }
            // One for a core dump is a terminal's, which sends it to the program as well.
            foreach (var signal in new[] { "QUIT", "TERM" })
                Assert.AreEqual((0, ""), await Tool.RunAsync("kill", "-" + signal, $"{process.Id}"));
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
            var told = await process.StandardOutput.ReadToEndAsync(limit.Token);
            await process.WaitForExitAsync(limit.Token);
            Assert.AreEqual("TERM\n", told);
            Assert.AreEqual(7, process.ExitCode);
        }
        finally
        {
            if (!process.HasExited)
                process.Kill(entireProcessTree: true);
        }
    }

    // As the first process of a container, which the kernel keeps from its own signals.
    [TestMethod]
    [DataRow("")]
    [DataRow("--pid --fork --mount-proc --kill-child")]
    public async Task A_program_that_a_signal_ends_is_no_success(string container)
    {
        if (container.Length > 0 && (!OperatingSystem.IsLinux() || Environment.UserName != "root"))
            Assert.Inconclusive("Root makes namespaces on Linux.");
        var wrapper = await InstallAsync("project-of-signals" + container.Length);

        var command = container.Length == 0 ? "\"$0\" die" : $"unshare {container} \"$0\" die";
        var (code, output) = await Tool.RunAsync("sh", "-c", command + "; exit $?", wrapper);

        StringAssert.Contains(output, "pretended die\n");
        Assert.AreEqual(128 + 9, code);
    }

    [TestMethod]
    public async Task The_tool_of_dotnet_is_the_program_of_the_platform() =>
        Assert.AreEqual((0, "pretended list\n"), await Tool.RunAsync(await InstallToolAsync("tools"), "list"));

    // There .NET's tools would take the program of glibc, which a shell says is not found.
    [TestMethod]
    public async Task On_Alpine_the_tool_of_dotnet_says_that_there_is_none()
    {
        var rid = System.Runtime.InteropServices.RuntimeInformation.RuntimeIdentifier.Replace("linux-", "linux-musl-", StringComparison.Ordinal);
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("Elsewhere there is one C library.");

        var (code, output) = await Tool.RunAsync(await InstallToolAsync("tools-of-alpine", rid), "list");

        Assert.AreEqual(1, code, output);
        StringAssert.StartsWith(output, $"shimmy: releases have no program for {rid} (musl, as on Alpine): ");
        StringAssert.Contains(output, "run the release's container image");
    }

    // Installs the packages of NuGet in a folder of this name, as on another platform where one is named; gives the command's path.
    private static async Task<string> InstallToolAsync(string name, string? rid = null)
    {
        // No other feed, and nothing of it in the caches of who runs this.
        File.WriteAllText(Folder["nuget.config"], $"""
            <configuration><packageSources><clear /><add key="here" value="{Folder["dist/nuget"]}" /></packageSources></configuration>
            """);
        var start = new ProcessStartInfo(
            "dotnet", ["tool", "install", "shimmy", "--tool-path", Folder[name], "--version", "1.2.3", "--configfile", Folder["nuget.config"]])
        {
            WorkingDirectory = Folder.Path,
        };
        (start.Environment["NUGET_PACKAGES"], start.Environment["DOTNET_CLI_HOME"]) = (Folder["packages-of-nuget"], Folder["cli"]);
        if (rid is not null)
            start.Environment["DOTNET_RUNTIME_ID"] = rid;
        var (code, output) = await SystemTool.RunAsync(start, TimeSpan.FromMinutes(1));
        Assert.AreEqual(0, code, output);
        return Folder[name + "/shimmy"];
    }

    // Installs the packages of npm into a project of this name; gives the command's path.
    private static async Task<string> InstallAsync(string name)
    {
        File.WriteAllText(Path.Combine(Directory.CreateDirectory(Folder[name]).FullName, "package.json"), "{}");
        var packages = Directory.GetFiles(Folder["dist/npm"]).Order(StringComparer.Ordinal).ToArray();
        var (code, output) = await Tool.RunAsync(
            "npm", ["install", "--offline", "--no-audit", "--no-fund", "--cache", Folder["npm-cache"], "--prefix", Folder[name], .. packages]);
        Assert.AreEqual(0, code, output);
        return Folder[$"{name}/node_modules/.bin/shimmy"];
    }
}
