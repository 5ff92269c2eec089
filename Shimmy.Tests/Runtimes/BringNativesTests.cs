using System.Diagnostics;
using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Runtimes;

/// <summary>Runs natives.targets as a build does, with packages made here, a cache of its own and no network.</summary>
[TestClass]
[TestCategory("Worker")]
public sealed class BringNativesTests
{
    private const string ArchiveName = "node-llama-cpp-linux-x64-1.2.3.tgz";

    private readonly string _folder = Directory.CreateTempSubdirectory("shimmy-natives-").FullName;

    private string Cache => Path.Combine(_folder, "cache");

    private string Native => Path.Combine(_folder, "out", "linux-x64", "native");

    [TestCleanup]
    public void Clean() => Directory.Delete(_folder, recursive: true);

    [TestMethod]
    public async Task A_package_in_the_cache_is_unpacked_without_npm_and_a_second_build_does_nothing()
    {
        PinArchive(CreateArchive());

        var first = await BuildAsync(path: PathWithoutNpm());
        Assert.AreEqual(0, first.ExitCode, first.Output);
        string[] expected = [".unpacked", "LICENSE.llama.cpp", "LICENSE.node-llama-cpp", "libggml-base.so", "libllama.v0.so"];
        CollectionAssert.AreEquivalent(expected, Directory.GetFiles(Native).Select(Path.GetFileName).ToArray());

        var written = File.GetLastWriteTimeUtc(Path.Combine(Native, ".unpacked"));
        File.Delete(Path.Combine(Cache, ArchiveName));
        var second = await BuildAsync(path: PathWithoutNpm());
        Assert.AreEqual(0, second.ExitCode, second.Output);
        Assert.AreEqual(written, File.GetLastWriteTimeUtc(Path.Combine(Native, ".unpacked")));
    }

    [TestMethod]
    public async Task A_package_with_another_hash_is_refused_and_nothing_is_unpacked()
    {
        var archive = CreateArchive();
        PinArchive(archive);
        File.AppendAllText(archive, "tampered");

        var build = await BuildAsync(PathWithoutNpm());

        Assert.AreNotEqual(0, build.ExitCode, build.Output);
        var error = SingleError(build.Output);
        Assert.Contains("SHIMMY005", error);
        Assert.Contains(Convert.ToBase64String(SHA512.HashData(File.ReadAllBytes(archive))), error);
        Assert.Contains("Delete the file and build again", error);
        Assert.IsFalse(Directory.Exists(Native));
    }

    [TestMethod]
    public async Task Without_npm_the_error_says_what_to_do()
    {
        PinArchive(CreateArchive());
        File.Delete(Path.Combine(Cache, ArchiveName));

        var build = await BuildAsync(PathWithoutNpm());

        Assert.AreNotEqual(0, build.ExitCode, build.Output);
        var error = SingleError(build.Output);
        Assert.Contains("npm was not found", error);
        Assert.Contains("Install Node.js", error);
        Assert.Contains(ArchiveName, error);
        Assert.IsEmpty(Directory.GetFileSystemEntries(Cache), "half a download is left");
    }

    [TestMethod]
    public async Task A_backend_that_is_not_pinned_is_refused_by_name()
    {
        PinArchive(CreateArchive());

        var build = await BuildAsync(PathWithoutNpm(), "-p:NativeBackends=vulkan");

        Assert.AreNotEqual(0, build.ExitCode, build.Output);
        Assert.Contains("No native libraries are pinned for RID 'linux-x64' with backend 'vulkan'", SingleError(build.Output));
    }

    private static string SingleError(string output) =>
        output.Split('\n').Single(line => line.Contains("error", StringComparison.Ordinal));

    /// <summary>An archive as npm pack makes it, in the cache.</summary>
    private string CreateArchive()
    {
        Directory.CreateDirectory(Cache);
        var archive = Path.Combine(Cache, ArchiveName);
        using var zipped = new GZipStream(File.Create(archive), CompressionLevel.Fastest);
        using var tar = new TarWriter(zipped);
        foreach (var name in new[] { "LICENSE", "bins/linux-x64/libllama.v0.so", "bins/linux-x64/libggml-base.so",
            "bins/linux-x64/libllama-common.so", "bins/linux-x64/llama-addon.node" })
        {
            tar.WriteEntry(
                new UstarTarEntry(TarEntryType.RegularFile, "package/" + name) { DataStream = new MemoryStream("content"u8.ToArray()) });
        }

        return archive;
    }

    private void PinArchive(string archive) => File.WriteAllText(Path.Combine(_folder, "manifest.json"), $$"""
        { "version": "1.2.3", "packages": [
          { "rid": "linux-x64", "backend": "cpu", "package": "@node-llama-cpp/linux-x64", "libraries": "lib*.so",
            "integrity": "sha512-{{Convert.ToBase64String(SHA512.HashData(File.ReadAllBytes(archive)))}}" }
        ] }
        """);

    /// <summary>A PATH with all that unpacking needs, but no npm.</summary>
    private string PathWithoutNpm()
    {
        if (OperatingSystem.IsWindows())
            return Environment.SystemDirectory;
        var bin = Directory.CreateDirectory(Path.Combine(_folder, "bin")).FullName;
        foreach (var tool in new[] { "sh", "tar", "gzip" })
        {
            if (!File.Exists(Path.Combine(bin, tool)))
                File.CreateSymbolicLink(Path.Combine(bin, tool), SystemTool.Find(tool)!);
        }
        return bin;
    }

    private async Task<(int ExitCode, string Output)> BuildAsync(string path, params string[] arguments)
    {
        var dotnet = Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } host ? host : SystemTool.Find("dotnet")!;
        var start = new ProcessStartInfo(dotnet)
        {
            WorkingDirectory = _folder,
            ArgumentList =
            {
                "msbuild", Path.Combine(Repository.Root, "runtimes", "natives.targets"), "-nologo", "-t:BringNatives", "-nodeReuse:false",
                "-p:NativeRid=linux-x64", $"-p:NativeManifest={Path.Combine(_folder, "manifest.json")}", $"-p:NativeCache={Cache}",
                $"-p:NativeFolder={Path.Combine(_folder, "out")}",
            },
            Environment = { ["PATH"] = path },
        };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        return await SystemTool.RunAsync(start, TimeSpan.FromMinutes(2));
    }
}
