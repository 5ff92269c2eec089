using Shimmy.Gguf;
using Shimmy.Models.Discovery;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Models.Discovery;

[TestClass]
[TestCategory("Unit")]
public sealed class HuggingFaceSourceTests
{
    private const string Hub = "home/.cache/huggingface/hub/";

    [TestMethod]
    public void Models_are_named_by_repository_and_quantization()
    {
        using var folder = new TemporaryFolder();
        Add(folder, "models--org--Tiny-GGUF", "abc123", "Tiny-Q8_0.gguf", "blob1");
        Add(folder, "models--org--Tiny-GGUF", "abc123", "sub/Tiny-UD-Q4_K_XL.gguf", "blob2", seed: 2);
        Add(folder, "models--org--Tiny-GGUF", "old456", "Tiny-Q2_K.gguf", "blob3", seed: 3);
        Add(folder, "models--single", "c0ffee", "plain.gguf", "blob4");
        Add(folder, "datasets--org--data", "abc", "data.gguf", "blob5");
        Add(folder, "spaces--org--space", "abc", "space.gguf", "blob6");
        File.WriteAllText(folder[Hub + "models--org--Tiny-GGUF/refs/main"], "abc123");
        File.WriteAllText(folder[Hub + "models--single/refs/main"], "c0ffee\n");
        File.WriteAllText(folder[Hub + "version.txt"], "1");

        var result = Scan(folder);

        Assert.AreEqual("org/Tiny-GGUF:Q8_0 org/Tiny-GGUF:UD-Q4_K_XL org/Tiny-GGUF:Q2_K single:F32",
            string.Join(' ', result.Models.Select(model => model.Name)));
        Assert.IsEmpty(result.Skipped);
        Assert.AreEqual(folder[Hub + "models--org--Tiny-GGUF/snapshots/abc123/Tiny-Q8_0.gguf"], result.Models[0].Path);
        Assert.AreEqual(new FileInfo(folder[Hub + "models--org--Tiny-GGUF/blobs/blob1"]).Length, result.Models[0].SizeBytes);
        Assert.AreEqual("huggingface", result.Models[0].Origin);
    }

    [TestMethod]
    public void Without_a_ref_the_snapshot_written_last_counts()
    {
        using var folder = new TemporaryFolder();
        Add(folder, "models--org--a", "aaa", "a-Q8_0.gguf", "blob1");
        Add(folder, "models--org--a", "bbb", "b-Q4_0.gguf", "blob2", seed: 2);
        Directory.SetLastWriteTimeUtc(folder[Hub + "models--org--a/snapshots/bbb"], new DateTime(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc));
        Assert.AreEqual("org/a:Q8_0 org/a:Q4_0", string.Join(' ', Scan(folder).Models.Select(model => model.Name)));
    }

    [TestMethod]
    [DataRow("gone")]
    [DataRow("../../models--org--b/snapshots/bbb")]
    [DataRow("")]
    public void A_ref_to_no_snapshot_is_reported(string reference)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder[Hub + "models--org--a/refs/main"], reference);
        var result = Scan(folder);
        Assert.IsEmpty(result.Models);
        Assert.AreEqual("names a snapshot that does not exist", result.Skipped.Single().Reason);
    }

    [TestMethod]
    public void A_link_to_a_blob_that_was_cleared_away_is_reported()
    {
        using var folder = new TemporaryFolder();
        Add(folder, "models--org--a", "aaa", "a.gguf", "blob1");
        File.Delete(folder[Hub + "models--org--a/blobs/blob1"]);
        var result = Scan(folder);
        Assert.IsEmpty(result.Models);
        StringAssert.StartsWith(result.Skipped.Single().Reason, "broken link to ");
    }

    [TestMethod]
    public void Shards_of_a_snapshot_are_found_by_their_links()
    {
        using var folder = new TemporaryFolder();
        for (var number = 1; number <= 2; number++)
        {
            var blob = folder[$"{Hub}models--org--big/blobs/b{number}"];
            new GgufWriter().Add("split.count", 2u).AddTensor($"t{number}", GgmlType.F32, [4], output => output.Write(new byte[16]))
                .WriteFile(blob);
            File.CreateSymbolicLink(folder[$"{Hub}models--org--big/snapshots/aaa/Q4_0/big-Q4_0-{number:D5}-of-00002.gguf"],
                $"../../../blobs/b{number}");
        }

        var model = Scan(folder).Models.Single();

        Assert.AreEqual("org/big:Q4_0", model.Name);
        Assert.HasCount(2, model.Shards);
        Assert.EndsWith("big-Q4_0-00001-of-00002.gguf", model.Path);
    }

    private static ScanResult Scan(TemporaryFolder folder) =>
        new ModelDiscovery([new HuggingFaceSource(HostEnvironments.In(folder))]).Scan();

    private static void Add(TemporaryFolder folder, string repository, string commit, string file, string blob, int seed = 1)
    {
        RandomModel.Write(folder[$"{Hub}{repository}/blobs/{blob}"], new RandomModelShape { Seed = seed, Layers = 1, Vocabulary = 384 });
        var link = folder[$"{Hub}{repository}/snapshots/{commit}/{file}"];
        var up = string.Concat(Enumerable.Repeat("../", 2 + file.Count(c => c == '/')));
        File.CreateSymbolicLink(link, $"{up}blobs/{blob}");
    }
}
