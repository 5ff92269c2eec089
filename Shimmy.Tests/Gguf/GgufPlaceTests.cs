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
    // Where the text may stand.
    private const string Placed = "shimmy/packed/0/models/placed.gguf";

    [TestMethod]
    public void A_text_stands_for_the_part_of_another_file()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("Elsewhere no text stands for a model.");
        using var folder = new TemporaryFolder();
        var plain = RandomModel.Write(folder["plain.gguf"]);
        var whole = File.ReadAllBytes(plain);
        File.WriteAllBytes(folder["a file.bin"], [.. new byte[8192], .. whole, .. new byte[100]]);
        var place = new GgufPlace(folder["a file.bin"], 8192, whole.Length);
        File.WriteAllText(folder[Placed], place.Text());

        Assert.AreEqual(place, GgufPlace.Of(folder[Placed]));
        Assert.AreEqual((false, (long)whole.Length), (GgufPlace.Of(plain).IsPart, GgufPlace.Of(plain).Length));
        var (expected, header) = (GgufReader.ReadFile(plain), GgufReader.ReadFile(folder[Placed]));
        Assert.AreEqual((expected.DataOffset, expected.FileLength), (header.DataOffset, header.FileLength));
        CollectionAssert.AreEqual(expected.Tensors.Select(tensor => tensor.Name).ToList(), header.Tensors.Select(tensor => tensor.Name).ToList());
        // Skipped arrays seek in the file.
        Assert.AreEqual(expected.DataOffset, GgufReader.ReadFile(folder[Placed], new GgufLimits { ArrayLength = 0 }).DataOffset);

        var listed = SingleFile.Open(folder[Placed]);
        Assert.AreEqual(whole.Length, listed.SizeBytes);
    }

    [TestMethod]
    public async Task Its_digest_is_that_of_the_part()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("Elsewhere no text stands for a model.");
        using var folder = new TemporaryFolder();
        var plain = RandomModel.Write(folder["plain.gguf"]);
        var whole = File.ReadAllBytes(plain);
        File.WriteAllBytes(folder["holds.bin"], [.. new byte[4096], .. whole, .. new byte[100]]);
        File.WriteAllText(folder[Placed], new GgufPlace(folder["holds.bin"], 4096, whole.Length).Text());
        using var digests = new FileDigests(null);

        Assert.AreEqual(await DigestAsync(digests, plain), await DigestAsync(digests, folder[Placed]));
    }

    [TestMethod]
    public void Where_the_file_was_moved_or_is_another_one_the_error_says_so()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("Elsewhere no text stands for a model.");
        using var folder = new TemporaryFolder();
        var packed = folder["packed"];
        foreach (var change in new Action[]
        {
            () => File.Delete(packed), () => File.AppendAllText(packed, "more"), () => File.SetLastWriteTimeUtc(packed, DateTime.UnixEpoch),
        })
        {
            File.WriteAllBytes(packed, new byte[100]);
            File.WriteAllText(folder[Placed], new GgufPlace(packed, 10, 20).Text());
            Assert.AreEqual(20, GgufPlace.Of(folder[Placed]).Length);
            change();
            StringAssert.Contains(Assert.ThrowsExactly<IOException>(() => GgufReader.ReadFile(folder[Placed])).Message,
                $"is within {packed}, which was moved or is another file now");
            Assert.AreEqual(7, GgufPlace.LengthOf(folder[Placed], 7));
        }
        // Beyond its end, or all of it.
        File.WriteAllBytes(packed, new byte[100]);
        foreach (var (offset, length) in new[] { (90, 20), (0, 20) })
        {
            File.WriteAllText(folder[Placed], new GgufPlace(packed, offset, length).Text());
            Assert.ThrowsExactly<IOException>(() => GgufPlace.Of(folder[Placed]));
        }
    }

    [TestMethod]
    public void What_only_looks_like_such_a_text_is_no_GGUF_and_leads_nowhere()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["packed"], new byte[100]);
        var text = new GgufPlace(folder["packed"], 10, 20).Text();
        foreach (var (path, content) in new[]
        {
            ("models/downloaded.gguf", text), ("shimmy/packed/downloaded.gguf", text),
            (Placed, "SHIMMY.GGUF.AT.1 "), (Placed, "SHIMMY.GGUF.AT.1 a 1 1 1 /x\n"), (Placed, "SHIMMY.GGUF.AT.1 1 1 1 1 x\n"), (Placed, ""),
        })
        {
            File.WriteAllText(folder[path], content);
            Assert.ThrowsExactly<GgufException>(() => GgufReader.ReadFile(folder[path]), content);
        }
    }

    [TestMethod]
    public void A_pipe_is_no_file_of_a_model()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("Linux has the device.");
        StringAssert.Contains(Assert.ThrowsExactly<IOException>(() => GgufReader.ReadFile("/dev/ptmx")).Message, "no regular file");
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
