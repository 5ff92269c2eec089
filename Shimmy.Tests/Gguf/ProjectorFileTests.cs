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
    [DataRow(1499, 80, 10, "a.position_embd.weight")]
    [DataRow(1500, 128, 10, "a.conv1d.1.weight")]
    [DataRow(1500, 80, 5, "mm.a.mlp.1.weight")]
    public void Shapes_of_an_encoder_of_sound_are_checked(int positions, int bands, int joined, string tensor)
    {
        using var folder = new TemporaryFolder();
        Assert.IsTrue(ProjectorFile.Check(RandomProjector.WriteHearing(folder["right.gguf"], 64)).CanHear);
        var path = RandomProjector.WriteHearing(folder["wrong.gguf"], 64, positions, bands, joined);
        Assert.Contains(tensor, Assert.ThrowsExactly<GgufException>(() => ProjectorFile.Check(path)).Message);
    }

    [TestMethod]
    [DataRow("ultravox", null, null)]
    [DataRow("voxtral", 4u, null)]
    [DataRow("ultravox", 10u, null)]
    [DataRow("ultravox", 8u, "its encoder joins 8 of 1500 positions")]
    [DataRow("lfm2a", null, "the kind lfm2a")]
    [DataRow("gemma4a", 10u, "the kind gemma4a")]
    public void Encoders_of_sound_that_are_not_heard_through_say_why(string kind, uint? stack, string? reason)
    {
        using var folder = new TemporaryFolder();
        var writer = new GgufWriter().Add("general.architecture", "clip").Add("clip.has_audio_encoder", true)
            .Add("clip.projector_type", kind);
        if (stack is { } joined)
            writer.Add("clip.audio.projector.stack_factor", joined);
        writer.WriteFile(folder["mmproj.gguf"]);
        var file = ProjectorFile.Of(GgufReader.ReadFile(folder["mmproj.gguf"]));
        Assert.AreEqual((false, reason is null), (file.CanSee, file.CanHear));
        if (reason is null)
            Assert.IsNull(file.WhyDeaf);
        else
            Assert.Contains(reason, file.WhyDeaf!);
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
