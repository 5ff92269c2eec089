using Shimmy.Gguf;
using Shimmy.Tests.Fixtures;

namespace Shimmy.Tests.Gguf;

/// <summary>A projector that would end libmtmd's process is refused with what is wrong.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ProjectorFileTests
{
    [TestMethod]
    public void A_sound_one_has_its_facts()
    {
        using var folder = new TemporaryFolder();
        var file = ProjectorFile.Check(RandomProjector.Write(folder["mmproj.gguf"], 64));
        Assert.AreEqual(("mlp", true, false, 64), (file.Kinds.Single(), file.CanSee, file.CanHear, file.Width));
    }

    [TestMethod]
    [DataRow("mm.2.weight")]
    [DataRow("mm.0.weight")]
    [DataRow("v.patch_embd.weight")]
    public void A_missing_tensor_is_named(string tensor)
    {
        using var folder = new TemporaryFolder();
        var path = RandomProjector.Write(folder["mmproj.gguf"], 64, without: tensor);
        Assert.Contains(tensor, Assert.ThrowsExactly<GgufException>(() => ProjectorFile.Check(path)).Message);
    }

    [TestMethod]
    public void Wrong_metadata_is_named()
    {
        using var folder = new TemporaryFolder();
        Assert.Contains("head_count", Assert.ThrowsExactly<GgufException>(() =>
            ProjectorFile.Check(RandomProjector.Write(folder["a.gguf"], 64, heads: 0))).Message);
        Assert.Contains("'telepathy'", Assert.ThrowsExactly<GgufException>(() =>
            ProjectorFile.Check(RandomProjector.Write(folder["b.gguf"], 64, kind: "telepathy"))).Message);
        Assert.Contains("'llama', not 'clip'", Assert.ThrowsExactly<GgufException>(() =>
            ProjectorFile.Check(RandomModel.Write(folder["c.gguf"]))).Message);
    }

    [TestMethod]
    public void Damaged_headers_are_refused_or_read_and_nothing_else()
    {
        using var folder = new TemporaryFolder();
        var seed = File.ReadAllBytes(RandomProjector.Write(folder["mmproj.gguf"], 64));
        var random = new Random(5);
        for (var i = 0; i < 300; i++)
        {
            var bytes = (byte[])seed.Clone();
            for (var changes = random.Next(1, 8); changes > 0; changes--)
                bytes[random.Next(4096)] = (byte)random.Next(256);
            File.WriteAllBytes(folder["damaged.gguf"], bytes);
            try
            {
                ProjectorFile.Check(folder["damaged.gguf"]);
            }
            catch (GgufException)
            {
                // Said in words.
            }
        }
    }
}
