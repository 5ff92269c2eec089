using System.Security.Cryptography;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Executable;

/// <summary>What publish.sh wrote. .ci/run publishes first and counts a test that is skipped here as a failure.</summary>
[TestClass]
[TestCategory("Executable")]
public sealed class PublishedTests
{
    private static string Folder => Path.GetDirectoryName(ShimmyProcess.Executable)!;

    private static string Rid => Path.GetFileName(Folder);

    [TestInitialize]
    public void OnlyWherePublished()
    {
        if (!ShimmyProcess.IsPublished)
            Assert.Inconclusive("SHIMMY_EXECUTABLE names no published executable; .ci/run publishes one and runs this.");
    }

    [TestMethod]
    public void The_executable_has_at_most_19_megabytes() =>
        Assert.IsLessThanOrEqualTo(19_000_000, new FileInfo(ShimmyProcess.Executable).Length);

    [TestMethod]
    public void Beside_the_executable_are_only_its_model_libraries_licences_and_the_schema_of_its_config()
    {
        var names = Directory.GetFileSystemEntries(Folder).Select(Path.GetFileName).ToArray();
        string[] expected =
            ["LICENSE", "THIRD-PARTY-NOTICES.txt", "licences", "models", "runtimes",
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
    public void Licences_travel_with_it(string file) =>
        Assert.IsGreaterThan(0, new FileInfo(Path.Combine(Folder, file)).Length);

    [TestMethod]
    public void The_archive_has_the_checksum_beside_it()
    {
        var checksum = Directory.GetFiles(Path.GetDirectoryName(Folder)!, $"shimmy-*-{Rid}.*.sha256").Single();
        var archive = checksum[..^".sha256".Length];
        using var content = File.OpenRead(archive);
        Assert.AreEqual($"{Convert.ToHexStringLower(SHA256.HashData(content))}  {Path.GetFileName(archive)}",
            File.ReadAllText(checksum).TrimEnd());
    }
}
