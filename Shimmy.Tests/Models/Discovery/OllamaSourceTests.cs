using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Gguf;
using Shimmy.Models.Discovery;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Models.Discovery;

[TestClass]
[TestCategory("Unit")]
public sealed class OllamaSourceTests
{
    [TestMethod]
    public void ollama_blobs()
    {
        using var folder = new TemporaryFolder();
        var tiny = Blob(folder, RandomModel.Bytes());
        var other = Blob(folder, RandomModel.Bytes(new RandomModelShape { Seed = 2 }));
        var text = Blob(folder, "no model"u8.ToArray());
        Manifest(folder, "registry.ollama.ai/library/tiny/latest", ("model", tiny));
        Manifest(folder, "registry.ollama.ai/library/tiny/1b", ("model", tiny));
        Manifest(folder, "registry.ollama.ai/someone/other/q8", ("model", other), ("system", Blob(folder, "You are terse."u8.ToArray())));
        Manifest(folder, "hf.co/org/other-GGUF/Q8_0", ("model", other));
        Manifest(folder, "registry.ollama.ai/library/broken/latest", ("model", text));
        Manifest(folder, "registry.ollama.ai/library/lost/latest", ("model", new string('0', 64)));
        Manifest(folder, "registry.ollama.ai/library/cloud/latest");
        Manifest(folder, "registry.ollama.ai/library/tensors/latest", ("tensor", text), ("json", text));
        Manifest(folder, "registry.ollama.ai/library/flat", ("model", tiny));
        File.WriteAllText(folder["ollama/manifests/registry.ollama.ai/library/tiny/.DS_Store"], "junk");
        File.WriteAllText(folder["ollama/manifests/registry.ollama.ai/library/bad/latest"], "{\"layers\":");

        var result = Scan(folder);

        Assert.AreEqual("hf.co/org/other-GGUF:Q8_0 tiny:1b someone/other:q8", Names(result));
        Assert.AreEqual("tiny:latest tiny ollama/tiny:1b", string.Join(' ', result.Models[1].OtherNames));
        Assert.AreEqual("You are terse.", result.Models[2].Settings.Defaults.System);
        Assert.AreEqual(folder["ollama/blobs/sha256-" + tiny], result.Models[1].Path);
        var reasons = result.Skipped.ToDictionary(
            skipped => Path.GetRelativePath(folder["ollama"], skipped.Path), skipped => skipped.Reason);
        Assert.HasCount(6, reasons);
        const string Library = "manifests/registry.ollama.ai/library/";
        StringAssert.StartsWith(reasons["blobs/sha256-" + text], "not a GGUF file");
        Assert.AreEqual($"sha256-{new string('0', 64)} is missing from blobs", reasons[Library + "lost/latest"]);
        StringAssert.StartsWith(reasons[Library + "cloud/latest"], "a stub of a cloud model");
        StringAssert.StartsWith(reasons[Library + "tensors/latest"], "safetensors of Ollama's own engine");
        StringAssert.StartsWith(reasons[Library + "flat"], "not at HOST/NAMESPACE/MODEL/TAG");
        StringAssert.StartsWith(reasons[Library + "bad/latest"], "cannot be read");
    }

    [TestMethod]
    public void parse_manifest()
    {
        string digest = new('a', 64);
        var manifest = OllamaManifest.Parse(Encoding.UTF8.GetBytes($$"""
            {"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",
             "config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"sha256:{{digest}}","size":487},
             "layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:{{digest}}","size":1117320512},
                       {"mediaType":"application/vnd.ollama.image.adapter","digest":"sha256:{{digest.Replace('a', 'b')}}","size":5},
                       {"mediaType":"application/vnd.ollama.image.projector","digest":"sha256:{{digest.Replace('a', 'c')}}","size":5},
                       {"mediaType":"application/vnd.ollama.image.license","digest":"sha256:{{digest.Replace('a', 'd')}}","size":5},
                       {"mediaType":"application/vnd.ollama.image.params","digest":"sha256:../../../../etc/passwd","size":5},
                       {"mediaType":7,"digest":null}, null, 3]}
            """));

        Assert.AreEqual("sha256-" + digest, manifest.Model);
        Assert.AreEqual("sha256-" + digest.Replace('a', 'b'), manifest.Adapters.Single());
        Assert.AreEqual("sha256-" + digest.Replace('a', 'c'), manifest.Projector);
        Assert.IsNull(manifest.Parameters, "a digest that is a path is no digest");
        Assert.IsNull(manifest.WhyNoModel);
    }

    [TestMethod]
    public void Parameters_become_settings_under_llama_cpp_s_names()
    {
        var settings = OllamaManifest.ReadParameters("""
            {"stop":["<|eot_id|>","User:"],"temperature":0.6,"top_k":20,"repeat_penalty":1.05,"num_ctx":8192,"num_gpu":0,"num_thread":3,
             "num_predict":-1,"seed":42,"repeat_last_n":-1,"top_p":"high","unknown":true}
            """u8);

        Assert.AreEqual("<|eot_id|> User:", string.Join(' ', settings.Defaults.Stop));
        Assert.AreEqual((8192, 0, 3), (settings.ContextLength, settings.Tuning.GpuLayers?.Number, settings.Threads));
        Assert.AreEqual(
            "penalty_last_n=-1 penalty_repeat=1.05 seed=42 temp=0.6 top_k=20",
            string.Join(' ', settings.Defaults.Sampling.OrderBy(pair => pair.Key, StringComparer.Ordinal)
                .Select(pair => $"{pair.Key}={pair.Value}")));
    }

    [TestMethod]
    public void One_file_with_other_settings_is_another_model()
    {
        using var folder = new TemporaryFolder();
        var model = Blob(folder, RandomModel.Bytes());
        var parameters = Blob(folder, "{\"num_ctx\":256}"u8.ToArray());
        var adapter = Blob(folder, "adapter"u8.ToArray());
        Manifest(folder, "registry.ollama.ai/library/a/latest", ("model", model));
        Manifest(folder, "registry.ollama.ai/library/b/latest", ("model", model), ("params", parameters),
            ("adapter", adapter), ("projector", adapter));

        var result = Scan(folder);

        Assert.AreEqual("a:latest b:latest", Names(result));
        Assert.AreEqual(256, result.Models[1].Settings.ContextLength);
        Assert.AreEqual(new LoraSetting(folder["ollama/blobs/sha256-" + adapter]), result.Models[1].Settings.Loras.Single());
        Assert.AreEqual(folder["ollama/blobs/sha256-" + adapter], result.Models[1].Projector);
    }

    [TestMethod]
    [DataRow("gemma3", null, false, true)]
    [DataRow("gemma3", "model", false, false)]
    [DataRow("gptoss", null, false, true)]
    [DataRow("gptoss", "model", false, true)]
    [DataRow("llama", null, false, false)]
    [DataRow("llama", null, true, true)]
    [DataRow("qwen3", null, false, false)]
    public void Ollama_s_own_variants_are_marked(string architecture, string? type, bool withVision, bool marked)
    {
        using var folder = new TemporaryFolder();
        var writer = new GgufWriter().Add("general.architecture", architecture).AddTensor("t", GgmlType.F32, [1], Zero);
        if (type is not null)
            writer.Add("general.type", type);

        if (withVision)
            writer.AddTensor("v.patch_embd.weight", GgmlType.F32, [1], Zero);

        var stream = new MemoryStream();
        writer.Write(stream);
        Manifest(folder, "registry.ollama.ai/library/m/latest", ("model", Blob(folder, stream.ToArray())));

        var model = Scan(folder).Models.Single();

        Assert.AreEqual(marked, model.WhyUnloadable is not null, model.WhyUnloadable);
        if (marked)
        {
            StringAssert.Contains(model.WhyUnloadable!, "Ollama");
            StringAssert.Contains(model.WhyUnloadable!, architecture);
        }

        static void Zero(Stream output) => output.Write(new byte[4]);
    }

    [TestMethod]
    public void A_hundred_thousand_mutated_manifests_and_parameters_are_read_or_refused()
    {
        byte[][] seeds =
        [
            Encoding.UTF8.GetBytes(
                $$"""{"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:{{new string('a', 64)}}"},{"mediaType":"x"}]}"""),
            """{"stop":["a","\u00e9\n"],"temperature":0.5,"num_ctx":4096,"top_k":1e3,"nested":{"deep":[[[1]]]}}"""u8.ToArray(),
        ];
        var random = new Random(5);
        (var read, var refused) = (0, 0);
        for (var i = 0; i < 100_000; i++)
        {
            var json = JsonFuzz.Mutate(seeds[i % 2], random);
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                _ = i % 2 == 0 ? OllamaManifest.Parse(json).Variant.Length : OllamaManifest.ReadParameters(json).Defaults.Stop.Count;
                read++;
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException)
            {
                refused++;
            }

            Assert.IsLessThan(16L << 20, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.IsGreaterThan(5_000, read);
        Assert.IsGreaterThan(20_000, refused);
    }

    private static ScanResult Scan(TemporaryFolder folder) => new ModelDiscovery([new OllamaSource(folder["ollama"])]).Scan();

    private static string Names(ScanResult result) => string.Join(' ', result.Models.Select(model => model.Name));

    private static string Blob(TemporaryFolder folder, byte[] content)
    {
        var digest = Convert.ToHexStringLower(SHA256.HashData(content));
        File.WriteAllBytes(folder["ollama/blobs/sha256-" + digest], content);
        return digest;
    }

    private static void Manifest(TemporaryFolder folder, string path, params (string Kind, string Digest)[] layers)
    {
        var list = string.Join(',', layers.Select(layer =>
            $$"""{"mediaType":"application/vnd.ollama.image.{{layer.Kind}}","digest":"sha256:{{layer.Digest}}","size":1}"""));
        File.WriteAllText(folder["ollama/manifests/" + path],
            $$"""{"schemaVersion":2,"config":{"digest":"sha256:0"},"layers":[{{list}}]}""");
    }
}
