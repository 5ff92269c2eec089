using Shimmy.Gguf;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;

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
    [DataRow("deepseek4v", null)]
    // What is refused as a whole does not see either.
    [DataRow("qwen2.5vl_merger", "telepathy")]
    public void One_of_a_kind_that_is_not_loaded_neither_sees_nor_hears(string vision, string? audio)
    {
        using var folder = new TemporaryFolder();
        var writer = new GgufWriter().Add("general.architecture", "clip").Add("clip.has_vision_encoder", true)
            .Add("clip.vision.projector_type", vision);
        if (audio is not null)
            writer.Add("clip.has_audio_encoder", true).Add("clip.audio.projector_type", audio);
        writer.WriteFile(folder["mmproj.gguf"]);
        var file = ProjectorFile.Of(GgufReader.ReadFile(folder["mmproj.gguf"]));
        Assert.AreEqual((false, false), (file.CanSee, file.CanHear));
        Assert.Contains(audio ?? vision, Assert.ThrowsExactly<GgufException>(() => ProjectorFile.Check(folder["mmproj.gguf"])).Message);
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
            Assert.IsNull(file.AudioUnsupportedReason);
        else
            Assert.Contains(reason, file.AudioUnsupportedReason!);
    }

    // What libmtmd was seen to read: llava's converter writes CLIP's own width into projection_dim.
    [TestMethod]
    [DataRow("mlp", "mm.2.weight", 1)]
    [DataRow("ldp", "mm.model.mb_block.1.block.2.1.bias", 0)]
    [DataRow("ldpv2", "mm.model.peg.0.bias", 0)]
    [DataRow("qwen3vl_merger", "mm.2.bias", 0)]
    [DataRow("glm4v", "mm.down.weight", 1)]
    [DataRow("adapter", "adapter.linear.dense_4h_to_h.weight", 1)]
    public void The_width_is_that_of_the_last_tensor_and_not_of_the_metadata(string kind, string tensor, int dimension)
    {
        Assert.AreEqual(96, WidthOf(kind, [(tensor, dimension == 0 ? [96] : [32, 96])]));
        Assert.AreEqual(0, WidthOf(kind, []));
    }

    [TestMethod]
    public void An_mlp_with_a_normalization_has_the_width_of_its_other_matrix() => Assert.AreEqual(96,
        WidthOf("mlp", [("mm.0.weight", [32, 96]), ("mm.3.weight", [96, 96]), ("mm.3.bias", [96])]));

    [TestMethod]
    public void The_metadata_say_the_width_of_kinds_whose_tensors_are_not_known() => Assert.AreEqual(768, WidthOf("granite4_vision", []));

    private static int WidthOf(string kind, (string Name, int[] Dimensions)[] tensors)
    {
        using var folder = new TemporaryFolder();
        var writer = new GgufWriter().Add("general.architecture", "clip").Add("clip.has_vision_encoder", true)
            .Add("clip.projector_type", kind).Add("clip.vision.projection_dim", 768u);
        foreach (var (name, dimensions) in tensors)
        {
            writer.AddTensor(name, GgmlType.F32, [.. dimensions.Select(length => (long)length)], output =>
                TensorData.Write(output, GgmlType.F32, new float[dimensions.Aggregate(1, (all, length) => all * length)]));
        }
        writer.WriteFile(folder["mmproj.gguf"]);
        return ProjectorFile.Of(GgufReader.ReadFile(folder["mmproj.gguf"])).Width;
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
