using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;
using Shimmy.Tests.Packaging;

namespace Shimmy.Tests.Executable;

/// <summary>What publish.sh wrote. .ci/run publishes first and counts a test that is skipped here as a failure.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed partial class PublishedTests
{
    private static string Folder => Path.GetDirectoryName(ShimmyProcess.Executable)!;

    private static string Rid => Path.GetFileName(Folder);

    // What moves the cache folder, which a packed program unpacks itself into: on macOS it always lies in the home folder.
    private static string CacheVariable =>
        OperatingSystem.IsWindows() ? "LOCALAPPDATA" : OperatingSystem.IsMacOS() ? "HOME" : "XDG_CACHE_HOME";

    [TestInitialize]
    public void OnlyWherePublished()
    {
        if (!ShimmyProcess.IsPublished)
            Assert.Inconclusive("SHIMMY_EXECUTABLE names no published executable; .ci/run publishes one and runs this.");
    }

    // Instructions for arm64 have four bytes each, which makes the compiled code a tenth larger. Its file for Linux grows in steps of 64 KiB,
    // where segments begin: it has 16,255,056 bytes, and room for one step.
    [TestMethod]
    public void The_executable_has_at_most_15_8_megabytes_and_for_arm64_16_35() =>
        Assert.IsLessThanOrEqualTo(
            Rid.EndsWith("arm64", StringComparison.Ordinal) ? 16_350_000 : 15_800_000, new FileInfo(ShimmyProcess.Executable).Length);

    [TestMethod]
    public void Beside_the_executable_are_only_its_model_libraries_documents_and_the_schema_of_its_config()
    {
        var names = Directory.GetFileSystemEntries(Folder).Select(Path.GetFileName).ToArray();
        string[] expected =
            ["LICENSE", "THIRD-PARTY-NOTICES.txt", "licences", "models", "runtimes", "share", "shimmy.cdx.json",
                "shimmy.config.schema.json", Path.GetFileName(ShimmyProcess.Executable)];
        CollectionAssert.AreEquivalent(expected, names);
    }

    [TestMethod]
    [DataRow("licences/dotnet/LICENSE.TXT")]
    [DataRow("licences/dotnet/THIRD-PARTY-NOTICES.TXT")]
    [DataRow("licences/aspnetcore/LICENSE.txt")]
    [DataRow("runtimes/llamasharp/LICENSE.llama.cpp")]
    [DataRow("runtimes/llamasharp/LICENSE.libgomp")]
    [DataRow("runtimes/llama.cpp-v0.4.0/LICENSE.llama.cpp")]
    [DataRow("runtimes/llama.cpp-v0.4.0/LICENSE.node-llama-cpp")]
    public void Licences_travel_with_it(string file)
    {
        if (file.EndsWith("libgomp", StringComparison.Ordinal) && Rid is not ("linux-x64" or "linux-arm64"))
            Assert.Inconclusive("Archives for Linux with glibc alone bring libgomp.");
        Assert.IsGreaterThan(0, new FileInfo(Path.Combine(Folder, file)).Length);
    }

    [TestMethod]
    public void The_archive_has_the_checksum_beside_it()
    {
        var checksum = Directory.GetFiles(Path.GetDirectoryName(Folder)!, $"shimmy-*-{Rid}.*.sha256").Single();
        var archive = checksum[..^".sha256".Length];
        using var content = File.OpenRead(archive);
        Assert.AreEqual($"{Convert.ToHexStringLower(SHA256.HashData(content))}  {Path.GetFileName(archive)}",
            File.ReadAllText(checksum).TrimEnd());
    }

    // Ubuntu 22.04, Debian 12 and RHEL 9 have it; for arm64, LLamaSharp's libraries need that of Ubuntu 24.04 and Debian 13.
    [TestMethod]
    public async Task It_needs_no_newer_glibc_than_the_documents_say()
    {
        if (!Rid.StartsWith("linux-", StringComparison.Ordinal) || Rid.Contains("musl", StringComparison.Ordinal))
            Assert.Inconclusive("readelf knows the files of Linux, and glibc alone has versions of its symbols.");
        var libgomp = Path.Combine(Folder, "runtimes", "llamasharp", "libgomp.so.1");
        var needed = new Dictionary<bool, int>();
        foreach (var file in Directory.EnumerateFiles(Folder, "*.so*", SearchOption.AllDirectories).Where(file => file != libgomp))
        {
            var isLLamaSharp = file.Contains("/runtimes/llamasharp/", StringComparison.Ordinal);
            needed[isLLamaSharp] = Math.Max(await NewestOfAsync(file), needed.GetValueOrDefault(isLLamaSharp));
        }

        // What is of a system with glibc 2.38 or newer, as no release is, takes functions of that one.
        foreach (var ofTheBuilder in new[] { ShimmyProcess.Executable, libgomp })
            Assert.Contains(await NewestOfAsync(ofTheBuilder), new[] { 34, 38 });
        Assert.AreEqual(34, needed[false]);
        Assert.AreEqual(Rid == "linux-arm64" ? 38 : 34, needed[true]);
        var contributing = await File.ReadAllTextAsync(Path.Combine(Repository.Root, "docs", "contributing.md"));
        StringAssert.Contains(contributing, "Linux archives need glibc 2.34 or newer");
        StringAssert.Contains(contributing, "for linux-arm64, LLamaSharp's libraries need 2.38");

        static async Task<int> NewestOfAsync(string file)
        {
            var (exitCode, output) = await Tool.RunAsync("readelf", "--version-info", "--wide", file);
            Assert.AreEqual(0, exitCode, output);
            return GlibcVersion().Matches(output).Max(match => int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture));
        }
    }

    // What is printed would go to whatever was opened first: to the pipe of signals, for one, whose bytes are signals to the process.
    [TestMethod]
    public async Task A_server_that_was_started_with_all_streams_closed_answers_and_ends_with_0()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("A shell closes the streams.");
        using var folder = new TemporaryFolder();
        var start = ShimmyProcess.CreateStart(
            ["-c", "exec \"$0\" serve --bind 0 --ready-file \"$1\" <&- >&- 2>&-", ShimmyProcess.Executable, folder["ready"]], folder.Path);
        start.FileName = "/bin/sh";
        using var process = Process.Start(start)!;
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        try
        {
            await Poll.UntilAsync(() => process.HasExited || File.Exists(folder["ready"]), "the server is ready");
            Assert.IsFalse(process.HasExited, "it ended before it was ready");

            using var client = new HttpClient { BaseAddress = new Uri((await File.ReadAllTextAsync(folder["ready"], limit.Token)).Trim()) };
            using var answer = await client.PostAsync("v1/completions",
                new StringContent("""{"model":"shimmy-demo","prompt":"Hello","max_tokens":4}""", Encoding.UTF8, "application/json"),
                limit.Token);
            Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode);
            Process.Start("kill", ["-TERM", $"{process.Id}"]).Dispose();
            await process.WaitForExitAsync(limit.Token);
            Assert.AreEqual(0, process.ExitCode);
        }
        finally
        {
            if (!process.HasExited)
                process.Kill(entireProcessTree: true);
        }
    }

    [TestMethod]
    public async Task One_file_with_a_model_in_it_runs_where_it_was_copied_to()
    {
        using var folder = new TemporaryFolder();
        var packed = folder["taken along" + Path.GetExtension(ShimmyProcess.Executable)];
        var written = await ShimmyProcess.RunAsync(["pack", "shimmy-demo", "-o", packed]);
        Assert.AreEqual(0, written.ExitCode, written.Errors);
        var verified = await ShimmyProcess.RunAsync(["pack", "--verify", packed]);
        StringAssert.Contains(verified.Output, "all as they were packed");

        var cache = folder["cache"];
        var first = await RunPackedAsync(cache, "generate", "--prompt", "What is Shimmy?", "--temperature", "0");
        var second = await RunPackedAsync(cache, "generate", "--prompt", "What is Shimmy?", "--temperature", "0");
        Assert.AreEqual(0, first.ExitCode, first.Output);
        StringAssert.Contains(first.Output, "unpacking");
        Assert.DoesNotContain("unpacking", second.Output);
        StringAssert.Contains(second.Output, "server");
        StringAssert.StartsWith(first.Output, second.Output.TrimEnd());
        string[] ends = OperatingSystem.IsWindows() ? ["cmd", "/c", "exit 3"] : ["sh", "-c", "exit 3"];
        Assert.AreEqual(3, (await RunPackedAsync(cache, ["exec", "--quiet", "--", .. ends])).ExitCode);

        File.WriteAllText(folder["no-folder"], "");
        var refused = await RunPackedAsync(folder["no-folder"], "list");
        Assert.AreEqual(1, refused.ExitCode);
        StringAssert.Contains(refused.Output, CacheVariable + " names another folder");
        using (var file = File.OpenWrite(packed))
        {
            file.Position = file.Length / 2;
            file.WriteByte(0xAA);
            file.WriteByte(0x55);
        }
        refused = await RunPackedAsync(folder["another"], "list");
        Assert.AreEqual(1, refused.ExitCode);
        StringAssert.Contains(refused.Output, "copy it again");
        // Without its end it would be a plain program, whose models are elsewhere.
        using (var file = File.OpenWrite(packed))
            file.SetLength(file.Length - 100);
        refused = await RunPackedAsync(cache, "list");
        Assert.AreEqual(1, refused.ExitCode);
        StringAssert.Contains(refused.Output, "copy it again");

        Task<(int ExitCode, string Output)> RunPackedAsync(string cacheFolder, params string[] arguments)
        {
            var start = ShimmyProcess.CreateStart(
                arguments, folder.Path, new Dictionary<string, string> { ["HOME"] = folder.Path, [CacheVariable] = cacheFolder });
            start.FileName = packed;
            (start.RedirectStandardInput, start.StandardInputEncoding) = (false, null);
            return SystemTool.RunAsync(start, TimeSpan.FromMinutes(1));
        }
    }

    [GeneratedRegex(@"Name: GLIBC_2\.(\d+)")]
    private static partial Regex GlibcVersion();
}
