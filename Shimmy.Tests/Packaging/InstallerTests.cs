using System.Text.RegularExpressions;
using Shimmy.Cli.Setup;
using Shimmy.Packaging;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Packaging;

/// <summary>
/// The installers and publish.ps1, with a script in the place of the program; those for Windows as far as PowerShell runs them on another
/// system: what is of the registry is replaced.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed partial class InstallerTests
{
    private static readonly TemporaryFolder Folder = new();

    [ClassInitialize]
    public static void Publish(TestContext context)
    {
        if (OperatingSystem.IsWindows())
            Assert.Inconclusive("The scripts in the place of programs are a shell's.");
        foreach (var rid in new[] { "linux-x64", "linux-arm64", "osx-arm64", "osx-x64", "win-x64" })
        {
            var platform = Product.Platforms.First(one => one.Rid == rid);
            var (published, dist) = (Pretended.Published(Folder[$"{rid}-files"], Folder, platform), Folder[$"site/v1.2.3/{rid}"]);
            ReleaseArchive.Make(published, Path.GetDirectoryName(dist)!, "1.2.3", platform, "");
        }
    }

    [ClassCleanup]
    public static void Clean() => Folder.Dispose();

    private static string ArchiveOf(string rid) => Directory.GetFiles(Folder["site/v1.2.3/"], $"shimmy-1.2.3-{rid}.*")
        .Single(file => !file.EndsWith(".sha256", StringComparison.Ordinal));

    private static string Here => ArchiveOf(System.Runtime.InteropServices.RuntimeInformation.RuntimeIdentifier);

    [TestMethod]
    public async Task The_installer_fetches_checks_installs_and_takes_away()
    {
        using var folder = new TemporaryFolder();
        using var site = new Site(Folder["site"]);
        var script = await ScriptAsync(folder, "1.2.3", site.Address.TrimEnd('/'));
        var to = folder["home/of it"];

        StringAssert.Contains(await RunAsync("sh", script, "--to", to, "--backend", "cpu"), $"{to}/bin/shimmy serve");
        Assert.AreEqual("pretended list\n", await RunAsync(to + "/bin/shimmy", "list"));
        await RunAsync("sh", script, "--to", to, "--backend", "auto");
        site.Damage = (file, bytes) =>
        {
            if (file.EndsWith(".gz", StringComparison.Ordinal))
                bytes[^1] ^= 1;
        };
        StringAssert.Contains(await FailAsync("sh", script, "--to", to, "--backend", "cpu"), "SHA-256 is not");
        StringAssert.Contains(await FailAsync("sh", script, "--to", to, "--version", "9.9.9", "--backend", "cpu"), "is there a version 9.9.9 for ");
        StringAssert.Contains(await FailAsync("sh", script, "--to", to, "--backend", "tpu"), "auto, cpu, vulkan, cuda, cuda12");
        Assert.AreEqual("pretended list\n", await RunAsync(to + "/bin/shimmy", "list"));

        // A sum that is none is equal to no sum.
        File.Copy(Here, folder["no-sum.tar.gz"]);
        foreach (var sum in new[] { "", "<html>", new string('a', 63) })
        {
            await File.WriteAllTextAsync(folder["no-sum.tar.gz.sha256"], sum);
            StringAssert.Contains(await FailAsync("sh", script, "--to", to, "--from", folder["no-sum.tar.gz"]), "is no SHA-256");
        }
        StringAssert.Contains(await FailAsync("env", "-u", "HOME", "sh", script, "--from", Here), "HOME is not set");

        // Without a network, from the file.
        StringAssert.Contains(await RunAsync("sh", script, "--uninstall", "--to", to), "is gone");
        Assert.IsFalse(File.Exists(to + "/bin/shimmy"));
        await RunAsync("sh", script, "--to", to, "--from", Here);
        Assert.AreEqual("pretended list\n", await RunAsync(to + "/bin/shimmy", "list"));
        CollectionAssert.AreEqual(new[] { to + "/lib/shimmy" }, Directory.GetFileSystemEntries(to + "/lib"));
        var before = File.GetLastWriteTimeUtc(to + "/lib/shimmy/.installed");
        foreach (var other in new[] { "elsewhere", null })
        {
            File.Delete(to + "/bin/shimmy");
            if (other is null)
                await File.WriteAllTextAsync(to + "/bin/shimmy", "mine");
            else
                File.CreateSymbolicLink(to + "/bin/shimmy", other);
            StringAssert.Contains(await FailAsync("sh", script, "--to", to, "--from", Here), "bin/shimmy is there and was not");
            Assert.AreEqual(before, File.GetLastWriteTimeUtc(to + "/lib/shimmy/.installed"), "nothing was replaced");
        }
        Assert.AreEqual("mine", await File.ReadAllTextAsync(to + "/bin/shimmy"));
        File.Delete(to + "/bin/shimmy");
        File.Delete(to + "/lib/shimmy/.installed");
        StringAssert.Contains(await FailAsync("sh", script, "--to", to, "--from", Here), "was not installed by this script");
        StringAssert.Contains(await FailAsync("sh", script, "--to", to, "--uninstall"), "was not installed by this script");
    }

    [TestMethod]
    [DataRow("libcuda.so.1 libcudart.so.13 libcublas.so.13 libvulkan.so.1", "cuda")]
    [DataRow("libcuda.so.1 libcudart.so.12 libcublas.so.12 libvulkan.so.1", "cuda12")]
    [DataRow("libcuda.so.1 libcudart.so.13 libvulkan.so.1", "vulkan", DisplayName = "the driver and half of CUDA")]
    [DataRow("libcuda.so.1 libvulkan.so.1", "vulkan", DisplayName = "the driver alone, as on a desktop")]
    [DataRow("libcuda.so.1", "cpu")]
    [DataRow("libcudart.so.13 libcublas.so.13", "cpu", DisplayName = "no driver")]
    [DataRow("", "cpu")]
    public async Task A_plugin_is_chosen_where_the_libraries_that_it_needs_are(string libraries, string backend)
    {
        using var folder = new TemporaryFolder();
        var lines = libraries.Split(' ').Select(library => $"\t{library} (libc6,x86-64) => /usr/lib/{library}\n");
        await StubAsync(folder["bin/ldconfig"], $"printf '{string.Concat(lines)}'");
        await File.WriteAllTextAsync(folder["icd.d/driver.json"], "{}");
        Directory.CreateDirectory(folder["dev/dri"]);

        Assert.AreEqual((0, backend + "\n"), await ChooseAsync(folder, ""));
        if (backend != "vulkan")
            return;
        Directory.Delete(folder["dev/dri"]);
        Assert.AreEqual((0, "cpu\n"), await ChooseAsync(folder, ""), "no device");
        foreach (var library in new[] { "libcudart.so.13", "libcublas.so.13" })
            await File.WriteAllTextAsync(folder["cuda/lib64/" + library], "");
        Assert.AreEqual((0, "cuda\n"), await ChooseAsync(folder, "/nowhere:" + folder["cuda/lib64"]), "where the loader looks too");

        static async Task<(int, string)> ChooseAsync(TemporaryFolder folder, string libraryPath)
        {
            var script = Product.Text("install.sh").Replace("\nmain \"$@\"", "\ngpu", StringComparison.Ordinal)
                .Replace("/usr/share/vulkan/", folder.Path + "/", StringComparison.Ordinal)
                .Replace("/etc/vulkan/", "/nowhere/", StringComparison.Ordinal)
                .Replace("/dev/", folder["dev/"], StringComparison.Ordinal);
            await File.WriteAllTextAsync(folder["choose.sh"], script);
            return await WithAsync(folder, "LD_LIBRARY_PATH=" + libraryPath, "sh", folder["choose.sh"]);
        }
    }

    [TestMethod]
    public async Task A_system_that_no_release_is_for_is_told_what_to_do()
    {
        using var folder = new TemporaryFolder();
        await StubAsync(folder["bin/ldd"], "echo 'musl libc (x86_64)'");
        await StubAsync(folder["bin/uname"], "case $1 in -s) echo Linux ;; *) echo x86_64 ;; esac");

        var (code, output) = await WithAsync(folder, "sh", await ScriptAsync(folder, "9.9.9"), "--to", folder["to"]);

        Assert.AreEqual(1, code);
        StringAssert.Contains(output, "no archive for linux-musl-x64 (musl, as on Alpine); make one there with ./publish.sh linux-musl-x64");
    }

    [TestMethod]
    public async Task On_Alpine_for_arm64_it_says_that_there_is_nothing_to_install()
    {
        using var folder = new TemporaryFolder();
        await StubAsync(folder["bin/ldd"], "echo 'musl libc (aarch64)'");
        await StubAsync(folder["bin/uname"], "case $1 in -s) echo Linux ;; *) echo aarch64 ;; esac");

        foreach (var script in new[] { await ScriptAsync(folder, "1.2.3"), Path.Combine(Repository.Root, "publish.sh") })
        {
            var (code, output) = await WithAsync(folder, "sh", script);
            Assert.AreEqual(1, code);
            StringAssert.Contains(output, "for musl (as on Alpine) on arm64");
        }
    }

    [TestMethod]
    public async Task Manual_and_completions_are_linked_to_where_they_are_looked_for()
    {
        using var folder = new TemporaryFolder();
        var (script, to) = (await ScriptAsync(folder, "1.2.3"), folder["to"]);
        await File.WriteAllTextAsync(folder["to/share/zsh/site-functions/_shimmy"], "mine");
        // A folder that leads elsewhere, from where the link would not lead back.
        Directory.CreateDirectory(folder["elsewhere/deep/man1"]);
        Directory.CreateSymbolicLink(to + "/share/man", folder["elsewhere/deep"]);
        await RunAsync("sh", script, "--to", to, "--from", Here);
        Assert.IsEmpty(Directory.GetFileSystemEntries(folder["elsewhere/deep/man1"]));
        Directory.Delete(to + "/share/man");
        await RunAsync("sh", script, "--to", to, "--from", Here);

        foreach (var (file, text) in new[]
        {
            ("man/man1/shimmy.1", ".TH"), ("bash-completion/completions/shimmy", "complete"), ("zsh/site-functions/_shimmy", "mine"),
            ("fish/vendor_completions.d/shimmy.fish", "complete"),
        })
        {
            Assert.AreEqual(text, await File.ReadAllTextAsync($"{to}/share/{file}"));
        }
        await RunAsync("sh", script, "--to", to, "--uninstall");
        CollectionAssert.AreEqual(new[] { to + "/share/zsh/site-functions/_shimmy" },
            Directory.GetFiles(to + "/share", "*", SearchOption.AllDirectories));
    }

    [TestMethod]
    public async Task The_version_that_is_told_is_that_of_the_archive()
    {
        using var folder = new TemporaryFolder();

        var (code, output) = await Tool.RunAsync("sh", await ScriptAsync(folder, "9.9.9"), "--to", folder["to"], "--from", Here);

        Assert.AreEqual(0, code, output);
        StringAssert.StartsWith(output, $"Shimmy 1.2.3 is in {folder["to"]}/lib/shimmy (shimmy-1.2.3-");
    }

    [TestMethod]
    public async Task A_system_without_OpenSSL_is_told_so_by_the_installer()
    {
        using var folder = new TemporaryFolder();
        var script = await ScriptAsync(folder, "1.2.3");
        Assert.DoesNotContain("OpenSSL", await RunAsync("sh", script, "--to", folder["to"], "--from", Here));
        var platform = Product.Platforms.First(one => one.Rid == System.Runtime.InteropServices.RuntimeInformation.RuntimeIdentifier);
        var missing = OpenSslLibrary.WhyMissing(_ => false, null);
        var published = Pretended.Published(folder["files"], folder, platform,
            program: $"#!/bin/sh\n[ $1 != pull ] || {{ echo 'shimmy pull: {missing}' >&2; exit 1; }}\n");
        var archive = ReleaseArchive.Make(published, folder["dist"], "1.2.4", platform, "");

        var output = await RunAsync("sh", script, "--to", folder["to"], "--from", archive.Path);

        StringAssert.Contains(output, "Shimmy 1.2.4 is in ");
        StringAssert.EndsWith(output, $"install.sh: {missing}\n");
    }

    [TestMethod]
    [DataRow("TERM")]
    [DataRow("KILL")]
    public async Task A_signal_between_the_two_renames_loses_no_program(string signal)
    {
        using var folder = new TemporaryFolder();
        var (script, to) = (await ScriptAsync(folder, "1.2.3"), folder["to"]);
        Assert.AreEqual(0, (await Tool.RunAsync("sh", script, "--to", to, "--from", Here)).ExitCode);
        await StubAsync(folder["bin/mv"], $$"""
            /bin/mv "$@" || exit
            case "$1" in
                */lib/shimmy) [ -e "{{folder["sent"]}}" ] || { : >"{{folder["sent"]}}"; kill -{{signal}} $PPID; sleep 0.2; } ;;
            esac
            """);

        Assert.AreNotEqual(0, (await WithAsync(folder, "sh", script, "--to", to, "--from", Here)).ExitCode);

        Assert.IsTrue(File.Exists(folder["sent"]));
        if (signal == "KILL")
        {
            // What could clean up did not run; the next one finds it, even where it fails itself.
            Assert.IsFalse(Directory.Exists(to + "/lib/shimmy"));
            await File.WriteAllTextAsync(folder["none.tar.gz"], "no archive");
            await File.WriteAllTextAsync(folder["none.tar.gz.sha256"], Packed.Hash("no archive"u8));
            Assert.AreNotEqual(0, (await Tool.RunAsync("sh", script, "--to", to, "--from", folder["none.tar.gz"])).ExitCode);
        }
        Assert.AreEqual((0, "pretended list\n"), await Tool.RunAsync(to + "/bin/shimmy", "list"));
        CollectionAssert.AreEqual(new[] { to + "/lib/shimmy" }, Directory.GetFileSystemEntries(to + "/lib"));
    }

    [TestMethod]
    public async Task Runs_at_once_leave_one_whole_program()
    {
        using var folder = new TemporaryFolder();
        var (script, to) = (await ScriptAsync(folder, "1.2.3"), folder["to"]);
        // Slow enough to be in each other's way.
        foreach (var tool in new[] { "tar", "mv" })
            await StubAsync(folder["bin/" + tool], $"sleep 0.1; /bin/{tool} \"$@\" || exit; sleep 0.1");

        foreach (var round in new[] { "a first program", "one in the place of another" })
        {
            var runs = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => WithAsync(folder, "sh", script, "--to", to, "--from", Here)));

            Assert.Contains(0, runs.Select(run => run.ExitCode), round);
            CollectionAssert.AreEqual(new[] { to + "/lib/shimmy" }, Directory.GetFileSystemEntries(to + "/lib"), round);
            Assert.AreEqual("pretended list\n", await RunAsync(to + "/bin/shimmy", "list"), round);
            CollectionAssert.AreEquivalent(
                new[] { "models", "runtimes", "share" }, Directory.GetDirectories(to + "/lib/shimmy").Select(Path.GetFileName).ToArray(), round);
        }
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public async Task What_an_interrupted_removal_has_left_the_next_run_takes_away(bool isRemoval)
    {
        using var folder = new TemporaryFolder();
        var (script, to) = (await ScriptAsync(folder, "1.2.3"), folder["to"]);
        await RunAsync("sh", script, "--to", to, "--from", Here);
        // Ended when the first file of the program was gone.
        await StubAsync(folder["bin/rm"], $$"""
            [ ! -e "{{folder["sent"]}}" ] || exec /bin/rm "$@"
            : >"{{folder["sent"]}}"
            shift
            find "$@" -name .installed -delete
            kill -KILL $PPID
            sleep 0.2
            """);
        Assert.AreNotEqual(0, (await WithAsync(folder, "sh", script, "--to", to, "--uninstall")).ExitCode);
        Assert.IsTrue(File.Exists(folder["sent"]));

        string[] next = isRemoval ? ["--uninstall"] : ["--from", Here];
        await RunAsync("sh", [script, "--to", to, .. next]);

        CollectionAssert.AreEqual(isRemoval ? [] : new[] { to + "/lib/shimmy" }, Directory.GetFileSystemEntries(to + "/lib"));
        Assert.AreEqual(isRemoval, new FileInfo(to + "/bin/shimmy").LinkTarget is null);
        if (isRemoval)
            StringAssert.Contains(await FailAsync("sh", script, "--to", to, "--uninstall"), "was not installed by this script");
        else
            Assert.AreEqual("pretended list\n", await RunAsync(to + "/bin/shimmy", "list"));
    }

    [TestMethod]
    public async Task The_installer_for_Windows_installs_from_an_address_and_a_file_and_takes_away()
    {
        using var folder = new TemporaryFolder();
        using var site = new Site(Folder["site"]);
        var text = Product.Text("install.ps1").Replace("@VERSION@", "9.9.9", StringComparison.Ordinal)
            .Replace("@RELEASES@", site.Address.TrimEnd('/'), StringComparison.Ordinal);
        var main = text.LastIndexOf("\nMain", StringComparison.Ordinal);
        var (script, to) = (folder["install.ps1"], folder["to"]);
        await File.WriteAllTextAsync(script, text[..main] + """

            function Get-UserPath { "$env:FAKE_PATH" }
            function Set-UserPath([string] $Path) { Write-Output "PATH: $Path" }
            """ + text[main..]);

        var (code, output) = await PowerShellAsync("-File", script, "-To", to, "-From", site.Address, "-Version", "v1.2.3", "-Backend", "cpu");
        Assert.AreEqual(0, code, output);
        StringAssert.Contains(output, $"PATH: {to}\nShimmy 1.2.3 is in {to} (shimmy-1.2.3-win-x64).");
        StringAssert.Contains(Joined(output), "vcomp140.dll cannot be found, which models need.");
        CollectionAssert.IsSubsetOf(new[] { to + "/shimmy.exe", to + "/.installed" }, Directory.GetFiles(to));
        (code, output) = await PowerShellAsync("-File", script, "-To", to, "-Version", "3.0.0");
        Assert.AreEqual(1, code, output);
        StringAssert.Contains(Joined(output), "is there a version 3.0.0 for win-x64?");
        // A program that does not run takes the place of none that does.
        var broken = Pretended.Published(folder["broken-files"], folder, Product.Platforms.First(one => one.Rid == "win-x64"), program: "#!/bin/sh\nexit 3\n");
        var archive = ReleaseArchive.Make(broken, folder.Path, "2.0.0", Product.Platforms.First(one => one.Rid == "win-x64"), "");
        (code, output) = await PowerShellAsync("-File", script, "-To", to, "-From", archive.Path);
        Assert.AreEqual(1, code, output);
        StringAssert.Contains(Joined(output), "does not run here, and nothing was changed. It may need Microsoft's Visual C++ Redistributable");
        CollectionAssert.AreEqual(new[] { to }, Directory.GetFileSystemEntries(folder.Path, "to*"));
        Assert.AreEqual("pretended list\n", await RunAsync(to + "/shimmy.exe", "list"));
        // As a run leaves it that was ended between the two renames.
        Directory.Move(to, to + ".old");
        (code, output) = await PowerShellAsync("-File", script, "-To", to, "-From", folder["none.zip"]);
        Assert.AreEqual(1, code, output);
        Assert.IsTrue(File.Exists(to + "/shimmy.exe"), "the old program is back");
        (code, output) = await PowerShellAsync("-File", script, "-To", to, "-From", ArchiveOf("win-x64"));
        Assert.AreEqual(0, code, output);
        StringAssert.Contains(output, $"Shimmy 1.2.3 is in {to}");
        (code, output) = await PowerShellAsync("-File", script, "-To", to, "-Uninstall");
        Assert.AreEqual(0, code, output);
        Assert.IsEmpty(Directory.GetFileSystemEntries(folder.Path, "to*"));
        // As a removal leaves it that was ended in the middle.
        await File.WriteAllTextAsync(folder["to.old/LICENSE"], "");
        (code, output) = await PowerShellAsync("-File", script, "-To", to, "-Uninstall");
        Assert.AreEqual(0, code, output);
        Assert.IsEmpty(Directory.GetFileSystemEntries(folder.Path, "to*"));
        (code, output) = await PowerShellAsync("-File", script, "-To", to, "-Uninstall");
        Assert.AreEqual(1, code, output);
    }

    [TestMethod]
    public async Task For_Windows_too_a_plugin_is_chosen_where_the_libraries_that_it_needs_are()
    {
        using var folder = new TemporaryFolder();
        var cases = new (string System, string InPath, string Backend)[]
        {
            ("nvcuda.dll vulkan-1.dll", "cudart64_13.dll cublas64_13.dll", "cuda"), ("nvcuda.dll", "cudart64_12.dll cublas64_12.dll", "cuda12"),
            ("nvcuda.dll vulkan-1.dll", "cudart64_13.dll", "vulkan"), ("nvcuda.dll vulkan-1.dll", "", "vulkan"), ("nvcuda.dll", "", "cpu"),
            ("vulkan-1.dll", "cudart64_13.dll cublas64_13.dll", "vulkan"), ("", "", "cpu"),
        };
        for (var i = 0; i < cases.Length; i++)
        {
            foreach (var (place, names) in new[] { ("System32", cases[i].System), ("cuda", cases[i].InPath) })
            {
                foreach (var name in names.Split(' ', StringSplitOptions.RemoveEmptyEntries))
                    await File.WriteAllTextAsync(folder[$"{i}/{place}/{name}"], "");
            }
        }
        var text = Product.Text("install.ps1");
        await File.WriteAllTextAsync(folder["choose.ps1"], text[..text.LastIndexOf("\nMain", StringComparison.Ordinal)] + $$"""

            foreach ($i in 0..{{cases.Length - 1}}) {
                $env:SystemRoot = "{{folder.Path}}/$i"
                $env:PATH = "/nowhere", "{{folder.Path}}/$i/cuda" -join [IO.Path]::PathSeparator
                Get-Backend
            }
            """);

        var (code, output) = await PowerShellAsync("-File", folder["choose.ps1"], "-To", folder.Path);

        Assert.AreEqual(0, code, output);
        Assert.AreEqual(string.Join('\n', cases.Select(one => one.Backend)) + "\n", output);
    }

    [TestMethod]
    public async Task An_archive_for_Windows_gets_the_manual_and_the_completions_that_Linux_gets()
    {
        using var folder = new TemporaryFolder();
        File.Copy(Path.Combine(Repository.Root, "publish.ps1"), folder["publish.ps1"]);
        File.Copy(Path.Combine(Repository.Root, "runtimes/manifest.json"), folder["runtimes/manifest.json"]);
        await StubAsync(folder["bin/npm"], "");
        await StubAsync(folder["bin/dotnet"], """
            echo "$*" >>calls
            case "$1" in
                publish)
                    mkdir -p dist/win-x64
                    printf '#!/bin/sh\necho "…says $*"\necho end\n' >dist/win-x64/shimmy.exe
                    chmod +x dist/win-x64/shimmy.exe ;;
                msbuild) echo 1.2.3 ;;
            esac
            """);

        var (code, output) = await PowerShellAsync("-Command", $$"""
            $env:OS = 'Windows_NT'; $env:PATH = "{{folder["bin"]}}:$env:PATH"; $env:SOURCE_DATE_EPOCH = '1'
            Remove-Item env:Version -ErrorAction SilentlyContinue
            function cmd { 'v1.2.3' }
            Set-Location '{{folder["bin"]}}'
            [Console]::OutputEncoding = [Text.Encoding]::Latin1
            & '{{folder["publish.ps1"]}}' win-x64
            "left with $LASTEXITCODE"
            & '{{folder["publish.ps1"]}}' linux-x64
            "left with $LASTEXITCODE in $PWD, $([Console]::OutputEncoding.WebName), $(Test-Path env:Version), $env:SOURCE_DATE_EPOCH"
            """);

        Assert.AreEqual(0, code, output);
        StringAssert.Contains(output, "\nleft with 0\n");
        StringAssert.Contains(output, "unknown RID 'linux-x64'");
        StringAssert.Contains(output, $"\nleft with 1 in {folder.Path}/bin, iso-8859-1, False, 1\n");
        var script = await File.ReadAllTextAsync(Path.Combine(Repository.Root, "publish.sh"));
        var onLinux = OfLinux().Matches(script).Select(match => (match.Groups[1].Value, match.Groups[2].Value.Trim('"'))).ToArray();
        Assert.HasCount(4, onLinux);
        foreach (var (file, command) in onLinux.Append(("shimmy.ps1", "completion powershell")))
            Assert.AreEqual($"…says {command}\nend\n", await File.ReadAllTextAsync(folder[$"dist/win-x64/share/{file}"]), file);
        Assert.HasCount(5, Directory.GetFiles(folder["dist/win-x64/share/"], "*", SearchOption.AllDirectories));
        StringAssert.Contains(await File.ReadAllTextAsync(folder["calls"]), "run --project packaging -- archive dist/win-x64 win-x64 1.2.3");
    }

    private static async Task<string> ScriptAsync(TemporaryFolder folder, string version, string releases = "file:///nowhere")
    {
        await File.WriteAllTextAsync(folder["install.sh"], Product.Text("install.sh").Replace("@VERSION@", version, StringComparison.Ordinal)
            .Replace("@RELEASES@", releases, StringComparison.Ordinal));
        return folder["install.sh"];
    }

    private static async Task<string> RunAsync(string tool, params string[] arguments)
    {
        var (code, output) = await Tool.RunAsync(tool, arguments);
        Assert.AreEqual(0, code, output);
        return output;
    }

    private static async Task<string> FailAsync(string tool, params string[] arguments)
    {
        var (code, output) = await Tool.RunAsync(tool, arguments);
        Assert.AreNotEqual(0, code, output);
        return output;
    }

    // With other programs of these names in the place of the system's.
    private static Task<(int ExitCode, string Output)> WithAsync(TemporaryFolder folder, params string[] command) =>
        Tool.RunAsync("env", ["PATH=" + folder["bin"] + ":/usr/bin:/bin", .. command]);

    private static async Task StubAsync(string path, string script)
    {
        await File.WriteAllTextAsync(path, "#!/bin/sh\n" + script + "\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    // Without colours, and without a word to its makers.
    private static Task<(int ExitCode, string Output)> PowerShellAsync(params string[] arguments) => Tool.RunAsync(
        "env", ["NO_COLOR=1", "POWERSHELL_TELEMETRY_OPTOUT=1", "POWERSHELL_UPDATECHECK=Off", Tool.PowerShell, "-NoProfile", .. arguments]);

    // Errors are broken at the width of the terminal, with a bar before each line.
    private static string Joined(string output) => Break().Replace(output, " ");

    [GeneratedRegex(@"\s*\n[\s|]*")]
    private static partial Regex Break();

    [GeneratedRegex("""([\w-]+(?:/[\w.-]+)+):("[^"]+"|\w+)""")]
    private static partial Regex OfLinux();
}
