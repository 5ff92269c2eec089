using Shimmy.Gguf;
using Shimmy.Models.Discovery;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Models.Discovery;

[TestClass]
[TestCategory("Unit")]
public sealed class OtherSourcesTests
{
    [TestMethod]
    public void LM_Studio_keeps_models_by_publisher()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["home/.lmstudio/models/infra-ai/ocelot-v1/ocelot-v1-instruct-Q8_0.gguf"]);
        RandomModel.Write(folder["home/.cache/lm-studio/models/old/one/older-F32.gguf"]);
        RandomModel.Write(folder["home/.lmstudio/models/infra-ai/ocelot-v1/too/deep.gguf"]);
        Assert.AreEqual("ocelot-v1-instruct older", Names(Scan(new LmStudioSource(HostEnvironments.In(folder)))));
    }

    [TestMethod]
    public void LM_Studio_s_settings_and_pointer_are_followed()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["moved/pub/model/a.gguf"]);
        RandomModel.Write(folder["lm/models/pub/model/b.gguf"]);
        RandomModel.Write(folder["old/pub/model/c.gguf"]);
        File.WriteAllText(folder["home/.lmstudio-home-pointer"], folder["lm"] + "\n");
        File.WriteAllText(folder["lm/settings.json"], $$"""{"downloadsFolder":"{{folder["moved"]}}","other":[1]}""");
        File.WriteAllText(folder["home/.config/LM Studio/settings.json"], $$"""{"downloadsFolder":"{{folder["old"]}}"}""");
        Assert.AreEqual("a c b", Names(Scan(new LmStudioSource(HostEnvironments.In(folder)))));
    }

    [TestMethod]
    [DataRow("{")]
    [DataRow("[]")]
    [DataRow("{\"downloadsFolder\":7}")]
    [DataRow("{\"downloadsFolder\":\"\\ud800\"}")]
    public void Settings_of_LM_Studio_that_cannot_be_read_leave_the_usual_folders(string settings)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["home/.lmstudio/settings.json"], settings);
        RandomModel.Write(folder["home/.lmstudio/models/pub/model/b.gguf"]);
        Assert.AreEqual("b", Names(Scan(new LmStudioSource(HostEnvironments.In(folder)))));
    }

    [TestMethod]
    public void The_cache_of_llama_cpp_names_models_by_its_manifests()
    {
        using var folder = new TemporaryFolder();
        const string Cache = "home/.cache/llama.cpp/";
        RandomModel.Write(folder[Cache + "org_tiny-GGUF_tiny-Q8_0.gguf"]);
        RandomModel.Write(folder[Cache + "org_tiny-GGUF_sub_other-Q4_0.gguf"], new RandomModelShape { Seed = 2 });
        RandomModel.Write(folder[Cache + "someone_loose-F32.gguf"], new RandomModelShape { Seed = 3 });
        Projector(folder[Cache + "org_tiny-GGUF_mmproj-tiny-f16.gguf"], width: 999);
        File.WriteAllText(folder[Cache + "org_tiny-GGUF_tiny-Q8_0.gguf.etag"], "x");
        File.WriteAllText(
            folder[Cache + "manifest=org=tiny-GGUF=latest.json"],
            """{"ggufFile":{"rfilename":"tiny-Q8_0.gguf","size":1},"mmprojFile":{"rfilename":"mmproj-tiny-f16.gguf"}}""");
        File.WriteAllText(folder[Cache + "manifest=org=tiny-GGUF=Q4_0.json"], """{"ggufFile":{"rfilename":"sub/other-Q4_0.gguf"}}""");
        File.WriteAllText(folder[Cache + "manifest=org=broken=Q4_0.json"], "{");
        File.WriteAllText(folder[Cache + "manifest=odd.json"], "{");

        var result = Scan(new LlamaCppCacheSource(HostEnvironments.In(folder)));

        Assert.AreEqual("org/tiny-GGUF:Q4_0 org/tiny-GGUF:Q8_0 someone_loose", Names(result));
        Assert.AreEqual(folder[Cache + "org_tiny-GGUF_mmproj-tiny-f16.gguf"], result.Models[1].Projector);
        Assert.AreEqual("manifest=org=broken=Q4_0.json", Path.GetFileName(result.Skipped[0].Path));
    }

    [TestMethod]
    public void Adapters_are_paired_with_the_models_whose_shape_they_fit()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["a/base.gguf"]);
        RandomModel.Write(folder["a/wide.gguf"], new RandomModelShape { Embedding = 128 });
        RandomModel.Write(folder["a/flat.gguf"], new RandomModelShape { Layers = 1 });
        RandomModel.Write(folder["b/same-shape.gguf"], new RandomModelShape { Seed = 2 });
        RandomModel.Write(folder["b/other-family.gguf"], new RandomModelShape { Architecture = "qwen2", Seed = 2 });
        Adapter(folder["a/near.gguf"], "llama", 64, layers: 2);
        Adapter(folder["c/far.gguf"], "llama", 64, layers: 2);
        Adapter(folder["a/named.gguf"], "llama", 64, layers: 2, baseModel: "Same Shape");
        Adapter(folder["a/alien.gguf"], "llama", 32, layers: 2);

        var result = Scan(new FolderSource("models", folder.Path));

        Assert.AreEqual("near.gguf far.gguf", Adapters(result, "base"));
        Assert.AreEqual("named.gguf far.gguf", Adapters(result, "same-shape"));
        Assert.AreEqual("", Adapters(result, "wide") + Adapters(result, "flat") + Adapters(result, "other-family"));
        Assert.AreEqual("adapter, not a model; fits same-shape", Reason(result, "named.gguf"));
        Assert.AreEqual("adapter, not a model; fits base, same-shape", Reason(result, "far.gguf"));
        Assert.AreEqual("adapter, not a model; fits none of the models found", Reason(result, "alien.gguf"));
    }

    [TestMethod]
    public void Projectors_are_paired_with_the_model_beside_them_of_their_width()
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["a/one.gguf"]);
        RandomModel.Write(folder["a/wide.gguf"], new RandomModelShape { Embedding = 128 });
        RandomModel.Write(folder["b/two.gguf"]);
        Projector(folder["a/mmproj.gguf"], 64);

        var result = Scan(new FolderSource("models", folder.Path));

        Assert.AreEqual(folder["a/mmproj.gguf"], result.Models.Single(model => model.Name == "one").Projector);
        Assert.AreEqual(1, result.Models.Count(model => model.Projector is not null));
        Assert.AreEqual("multimodal projector, not a model; fits one", Reason(result, "mmproj.gguf"));
    }

    private static ScanResult Scan(IModelSource source) => new ModelDiscovery([source]).Scan();

    private static string Names(ScanResult result) => string.Join(' ', result.Models.Select(model => model.Name));

    private static string Adapters(ScanResult result, string model) =>
        string.Join(' ', result.Models.Single(entry => entry.Name == model).Adapters.Select(Path.GetFileName));

    private static string Reason(ScanResult result, string fileName) =>
        result.Skipped.Single(skipped => Path.GetFileName(skipped.Path) == fileName).Reason;

    private static void Projector(string path, uint width) => new GgufWriter()
        .Add("general.architecture", "clip").AddTensor("mm.2.weight", GgmlType.F32, [1, width], output => output.Write(new byte[4 * width]))
        .AddTensor("v.x", GgmlType.F32, [1], output => output.Write(new byte[4])).WriteFile(path);

    private static void Adapter(string path, string architecture, int width, int layers, string? baseModel = null)
    {
        var writer = new GgufWriter().Add("general.architecture", architecture).Add("general.type", "adapter").Add("adapter.type", "lora");
        if (baseModel is not null)
            writer.Add("general.base_model.0.name", baseModel);

        for (var layer = 0; layer < layers; layer++)
        {
            writer.AddTensor($"blk.{layer}.attn_q.weight.lora_a", GgmlType.F32, [width, 2], output => output.Write(new byte[width * 8]));
            writer.AddTensor($"blk.{layer}.attn_q.weight.lora_b", GgmlType.F32, [2, width], output => output.Write(new byte[width * 8]));
        }

        writer.WriteFile(path);
    }
}
