using System.Text.Json;
using System.Text.RegularExpressions;
using Shimmy.Engine.Runtimes;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Runtimes;

[TestClass]
[TestCategory("Unit")]
public sealed class ManifestTests
{
    private static readonly JsonElement Manifest =
        JsonDocument.Parse(File.ReadAllText(Path.Combine(Repository.Root, "runtimes", "manifest.json"))).RootElement;

    private static JsonElement[] Packages => [.. Manifest.GetProperty("packages").EnumerateArray()];

    [TestMethod]
    [DataRow("linux-x64", "cpu vulkan cuda cuda12")]
    [DataRow("linux-arm64", "cpu")]
    [DataRow("win-x64", "cpu vulkan cuda cuda12")]
    [DataRow("win-arm64", "cpu")]
    [DataRow("osx-arm64", "cpu metal")]
    [DataRow("osx-x64", "cpu")]
    public void Every_rid_pins_the_backends_that_exist_for_it(string rid, string backends)
    {
        var pinned = Packages.Where(package => Text(package, "rid") == rid).Select(package => Text(package, "backend"));
        CollectionAssert.AreEquivalent(backends.Split(' '), pinned.ToArray());
        foreach (var backend in new[] { "cpu", "vulkan", "cuda", "cuda12", "metal", "opencl" })
            Assert.AreEqual(backends.Split(' ').Contains(backend), PinnedPlugins.Exists(rid, backend), backend);
    }

    [TestMethod]
    public void Every_integrity_is_a_sha512()
    {
        foreach (var package in Packages)
        {
            var integrity = Text(package, "integrity");
            Assert.StartsWith("sha512-", integrity);
            Assert.HasCount(64, Convert.FromBase64String(integrity["sha512-".Length..]), $"the SHA-512 of {Text(package, "package")}");
        }
    }

    [TestMethod]
    public void Different_packages_have_different_hashes()
    {
        var hashes = Packages.GroupBy(package => Text(package, "package"))
            .Select(group => group.Select(one => Text(one, "integrity")).Distinct().Single());
        Assert.AreEqual(hashes.Distinct().Count(), Packages.Select(package => Text(package, "package")).Distinct().Count());
    }

    [TestMethod]
    public void Plug_ins_are_known_by_their_size_and_so_is_the_library_that_they_belong_to()
    {
        // Of the CPU's package, libggml-base: where it has another size, the libraries are of another build, and so may plug-ins be.
        foreach (var rid in Packages.GroupBy(package => Text(package, "rid")).Where(rid => rid.Count() > 1))
        {
            foreach (var package in rid)
                Assert.IsGreaterThan(500_000, package.GetProperty("bytes").GetInt64(), $"{rid.Key} {Text(package, "backend")}");
        }

        foreach (var (backend, library) in new[] { ("cpu", "native/libggml-base.so"),
            ("vulkan", "vulkan/libggml-vulkan.so"), ("cuda", "cuda/libggml-cuda.so") })
        {
            var file = new FileInfo(Path.Combine(Repository.Root, "runtimes", "linux-x64", library));
            if (file.Exists)
            {
                Assert.AreEqual(Packages.Single(package => (Text(package, "rid"), Text(package, "backend")) == ("linux-x64", backend))
                    .GetProperty("bytes").GetInt64(), file.Length, library);
            }
        }
    }

    [TestMethod]
    public void The_build_can_find_every_entry()
    {
        // natives.targets has no JSON parser: it looks for "rid" and "backend" as the first two names of an object.
        var text = File.ReadAllText(Path.Combine(Repository.Root, "runtimes", "manifest.json"));
        var found = Regex.Matches(text, """\{\s*"rid":\s*"[^"]*",\s*"backend":\s*"[^"]*"[^}]*\}""");
        Assert.HasCount(Packages.Length, found);
        Assert.AreEqual(1, Regex.Count(text, "\"version\":"), "the build takes the first");
    }

    private static string Text(JsonElement package, string name) => package.GetProperty(name).GetString()!;
}
