using Shimmy.Models.Discovery;
using Shimmy.Packaging;
using Shimmy.Server;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Packaging;

/// <summary>The service of the deb and the rpm: what its unit says, and what the scripts of the packages do with it.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ServiceTests
{
    private static string Unit => Product.Text("shimmy.service");

    private static string Template =>
        File.ReadAllText(Path.Combine(Repository.Root, "Shimmy/Assets/init/systemd/NAME.service")).Replace("{{name}}", "llm", StringComparison.Ordinal);

    [TestMethod]
    [DataRow("package")]
    [DataRow("template")]
    public void Every_folder_that_the_service_writes_is_one_that_its_sandbox_leaves_it(string from)
    {
        var unit = from == "package" ? Unit : Template;
        Assert.AreEqual("strict", ValuesOf(unit, "ProtectSystem").Single());
        var writable = new[] { $"/var/lib/{ValuesOf(unit, "StateDirectory").Single()}/", $"/var/cache/{ValuesOf(unit, "CacheDirectory").Single()}/" };
        var variables = VariablesOf(unit);
        var host = new HostEnvironment
        {
            Variable = variables.GetValueOrDefault,
            Home = variables["HOME"],
            CurrentDirectory = "/",
            ExecutableDirectory = "/usr/lib/shimmy",
            System = HostSystem.Linux,
        };

        foreach (var folder in new[]
        {
            HuggingFaceSource.RootOf(host), HuggingFaceSource.HomeOf(host), LlamaCppCacheSource.RootOf(host),
            host.Join(host.CacheFolder(), "shimmy"), host.Join(host.CacheFolder(), "mesa_shader_cache"), host.Join(host.StateFolder(), "shimmy"), host.Join(host.Home, ".ollama"),
            variables["SHIMMY_MODEL_PATHS"],
        })
        {
            Assert.IsTrue(Array.Exists(writable, one => (folder + "/").StartsWith(one, StringComparison.Ordinal)), folder);
        }
    }

    [TestMethod]
    public void The_address_of_the_service_is_a_variable_that_its_file_may_set_anew()
    {
        Assert.AreEqual("/usr/bin/shimmy serve", ValuesOf(Unit, "ExecStart").Single());
        Assert.AreEqual("127.0.0.1:11435",
            BindAddress.Candidates(["auto"], VariablesOf(Unit).GetValueOrDefault).Single().Endpoints.Single().ToString());
        Assert.AreEqual("-/etc/shimmy/environment", ValuesOf(Unit, "EnvironmentFile").Single());
    }

    [TestMethod]
    [DataRow("remove", true)]
    [DataRow("0", true)]
    [DataRow("upgrade", false)]
    [DataRow("deconfigure", false)]
    [DataRow("1", false)]
    public async Task A_service_ends_with_its_package_and_stays_enabled(string argument, bool stops)
    {
        using var folder = new TemporaryFolder();
        Assert.AreEqual("", await RunAsync(folder, "prerm.sh", argument));
        Assert.AreEqual(stops ? "stop shimmy.service\n" : "", await CallsAsync(folder));
    }

    [TestMethod]
    [DataRow("purge", true)]
    [DataRow("0", true)]
    [DataRow("remove", false)]
    [DataRow("upgrade", false)]
    [DataRow("1", false)]
    public async Task A_package_that_is_gone_for_good_is_not_enabled(string argument, bool disables)
    {
        using var folder = new TemporaryFolder();
        var link = folder["etc/systemd/system/multi-user.target.wants/shimmy.service"];
        File.CreateSymbolicLink(link, "/usr/lib/systemd/system/shimmy.service");

        Assert.AreEqual("", await RunAsync(folder, "postrm.sh", argument));

        Assert.AreEqual((disables ? "--no-reload disable shimmy.service\n" : "") + "daemon-reload\n", await CallsAsync(folder));
        Assert.AreEqual(disables, new FileInfo(link).LinkTarget is null);
    }

    [TestMethod]
    public async Task Purging_takes_what_the_service_wrote_and_leaves_the_models_that_somebody_put_there()
    {
        using var folder = new TemporaryFolder();
        var outside = folder["outside/model.gguf"];
        File.WriteAllText(outside, "mine");
        foreach (var file in new[] { "lib/shimmy/.ollama/a", "lib/shimmy/huggingface/hub/b", "cache/shimmy/models.cache" })
            File.WriteAllText(folder["var/" + file], "written");
        File.CreateSymbolicLink(folder["var/lib/shimmy/link"], folder["outside/"]);
        var model = folder["var/lib/shimmy/models/own.gguf"];
        File.WriteAllText(model, "mine");

        var told = await RunAsync(folder, "postrm.sh", "purge");

        Assert.AreEqual($"shimmy: {folder["var/lib/shimmy/models"]} is not empty and stays\n", told);
        CollectionAssert.AreEqual(new[] { model }, Directory.GetFiles(folder["var/"], "*", SearchOption.AllDirectories));
        CollectionAssert.AreEqual(new[] { folder["var/lib/shimmy/models"] }, Directory.GetFileSystemEntries(folder["var/lib/shimmy"]));
        Assert.IsTrue(File.Exists(outside));
        File.Delete(model);
        Assert.AreEqual("", await RunAsync(folder, "postrm.sh", "purge"));
        Assert.IsFalse(Directory.Exists(folder["var/lib/shimmy"]));
        Assert.IsFalse(Directory.Exists(folder["var/cache/shimmy"]));
    }

    [TestMethod]
    public async Task The_user_of_the_service_may_use_the_devices_of_GPUs()
    {
        using var folder = new TemporaryFolder();
        foreach (var (name, script) in new[] { ("getent", "[ $2 != shimmy ]"), ("useradd", "echo useradd"), ("usermod", "echo \"$*\"") })
            await StubAsync(folder["bin/" + name], script);
        Assert.AreEqual("useradd\n-a -G render shimmy\n-a -G video shimmy\n", await RunAsync(folder, "postinst.sh", "configure"));
        var lines = Product.Text("shimmy.sysusers").Split('\n').Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        CollectionAssert.AreEqual(new[] { "render", "video" }, lines.Where(line => line is ["m", "shimmy", _]).Select(line => line[2]).ToArray());
    }

    // A script of a package, with this folder as the root of the system, a systemd that only writes down what it is told, and no tool that
    // makes users but those of the test.
    private static async Task<string> RunAsync(TemporaryFolder folder, string script, string argument)
    {
        if (OperatingSystem.IsWindows())
            Assert.Inconclusive("The scripts are a shell's.");
        await StubAsync(folder["bin/systemctl"], $"echo \"$*\" >>'{folder["calls"]}'");
        Directory.CreateDirectory(folder["run/systemd/system"]);
        var text = Product.Text(script).Replace("systemd-sysusers", "no-such-tool", StringComparison.Ordinal);
        foreach (var path in new[] { "/run/", "/var/", "/etc/", "/usr/lib/" })
            text = text.Replace(" " + path, " " + folder[path[1..]], StringComparison.Ordinal);
        await File.WriteAllTextAsync(folder[script], text);
        var (code, output) = await Tool.RunAsync("env", "PATH=" + folder["bin"] + ":/usr/bin:/bin", "sh", folder[script], argument);
        Assert.AreEqual(0, code, output);
        return output;
    }

    private static async Task<string> CallsAsync(TemporaryFolder folder) =>
        File.Exists(folder["calls"]) ? await File.ReadAllTextAsync(folder["calls"]) : "";

    private static async Task StubAsync(string path, string script)
    {
        await File.WriteAllTextAsync(path, "#!/bin/sh\n" + script + "\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    private static IEnumerable<string> ValuesOf(string unit, string name) => unit.Split('\n')
        .Where(line => line.StartsWith(name + "=", StringComparison.Ordinal)).Select(line => line[(name.Length + 1)..]);

    private static Dictionary<string, string> VariablesOf(string unit) => ValuesOf(unit, "Environment").SelectMany(line => line.Split(' '))
        .Select(one => one.Split('=', 2)).ToDictionary(one => one[0], one => one[1]);
}
