using Shimmy.Gguf;
using Shimmy.Models;
using Shimmy.Models.Discovery;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Gguf;

/// <summary>A GGUF within another file: whoever reads by path reads the part that the text in its place names.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class GgufPlaceTests
{
    [TestMethod]
    public void A_text_stands_for_the_part_of_another_file()
    {
        using var folder = new TemporaryFolder();
        var plain = RandomModel.Write(folder["plain.gguf"]);
        var whole = File.ReadAllBytes(plain);
        File.WriteAllBytes(folder["a file.bin"], [.. new byte[8192], .. whole, .. new byte[100]]);
        var place = new GgufPlace(folder["a file.bin"], 8192, whole.Length);
        File.WriteAllText(folder["placed.gguf"], place.Text);

        Assert.AreEqual(place, GgufPlace.Of(folder["placed.gguf"]));
        Assert.AreEqual((false, (long)whole.Length), (GgufPlace.Of(plain).IsPart, GgufPlace.Of(plain).Length));
        var (expected, header) = (GgufReader.ReadFile(plain), GgufReader.ReadFile(folder["placed.gguf"]));
        Assert.AreEqual((expected.DataOffset, expected.FileLength), (header.DataOffset, header.FileLength));
        CollectionAssert.AreEqual(expected.Tensors.Select(tensor => tensor.Name).ToList(), header.Tensors.Select(tensor => tensor.Name).ToList());
        // Skipped arrays seek in the file.
        Assert.AreEqual(expected.DataOffset, GgufReader.ReadFile(folder["placed.gguf"], new GgufLimits { ArrayLength = 0 }).DataOffset);

        var listed = SingleFile.Open(folder["placed.gguf"]);
        Assert.AreEqual(whole.Length, listed.SizeBytes);
    }

    [TestMethod]
    public async Task Its_digest_is_that_of_the_part()
    {
        using var folder = new TemporaryFolder();
        var plain = RandomModel.Write(folder["plain.gguf"]);
        var whole = File.ReadAllBytes(plain);
        File.WriteAllBytes(folder["holds.bin"], [.. new byte[4096], .. whole, .. new byte[100]]);
        File.WriteAllText(folder["placed.gguf"], new GgufPlace(folder["holds.bin"], 4096, whole.Length).Text);
        using var digests = new FileDigests(null);

        Assert.AreEqual(await DigestAsync(digests, plain), await DigestAsync(digests, folder["placed.gguf"]));
    }

    [TestMethod]
    public void Where_the_file_was_moved_or_is_shorter_the_error_says_so()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["short.bin"], new byte[100]);
        foreach (var (path, offset, length) in new[] { (folder["gone.bin"], 10, 20), (folder["short.bin"], 90, 20), (folder["short.bin"], 0, 20) })
        {
            File.WriteAllText(folder["placed.gguf"], new GgufPlace(path, offset, length).Text);
            StringAssert.Contains(Assert.ThrowsExactly<IOException>(() => GgufReader.ReadFile(folder["placed.gguf"])).Message,
                $"is within {path}, which was moved");
        }
        // What only begins so is no GGUF at all.
        foreach (var text in new[] { "SHIMMY.GGUF.AT.1 ", "SHIMMY.GGUF.AT.1 a 1 /x\n", "" })
        {
            File.WriteAllText(folder["placed.gguf"], text);
            Assert.ThrowsExactly<GgufException>(() => GgufReader.ReadFile(folder["placed.gguf"]));
        }
    }

    private static async Task<string> DigestAsync(FileDigests digests, string path)
    {
        var entry = SingleFile.Open(path);
        await digests.SettleAsync([entry], TimeSpan.FromSeconds(30), CancellationToken.None);
        var digest = digests.Of(entry);
        Assert.AreNotEqual("", digest);
        return digest;
    }
}
