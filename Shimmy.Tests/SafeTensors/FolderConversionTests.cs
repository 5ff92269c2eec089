using System.Text.Json.Nodes;
using Shimmy.Gguf;
using Shimmy.Models.Discovery;
using Shimmy.SafeTensors;
using Shimmy.SafeTensors.Files;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Soak;

namespace Shimmy.Tests.SafeTensors;

/// <summary>Folders of our own: what becomes of them, and what is refused in which words before anything is written.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class FolderConversionTests
{
    [TestMethod]
    public void One_file_and_several_shards_become_the_same_model_but_for_the_weights_seed()
    {
        using var folder = new TemporaryFolder();
        var (one, two) =
            (FolderConversion.Of(RandomFolder.Write(folder["one"])).Header,
                FolderConversion.Of(RandomFolder.Write(folder["two"], shards: 2)).Header);

        CollectionAssert.AreEqual(one.Tensors.Select(Shown).ToArray(), two.Tensors.Select(Shown).ToArray());
        Assert.AreEqual(RandomFolder.Rows, one.Tensors.Single(tensor => tensor.Name == "token_embd.weight").Dimensions[1]);
        Assert.AreEqual(256, one.Integer("llama.context_length"));
        Assert.AreEqual(1, one.Integer("tokenizer.ggml.bos_token_id"));

        static string Shown(GgufTensor tensor) => $"{tensor.Name} {tensor.Type} {string.Join('x', tensor.Dimensions)}";
    }

    [TestMethod]
    public void The_header_that_is_planned_is_the_one_of_the_file()
    {
        using var folder = new TemporaryFolder();
        var conversion = FolderConversion.Of(RandomFolder.Write(folder["tiny"]), "q8_0");
        conversion.WriteFile(folder["tiny.gguf"]);

        var written = GgufReader.ReadFile(folder["tiny.gguf"]);
        CollectionAssert.AreEqual(conversion.Header.Tensors.Select(tensor => (tensor.Name, tensor.Type)).ToArray(),
            written.Tensors.Select(tensor => (tensor.Name, tensor.Type)).ToArray());
        Assert.AreEqual(GgmlType.Q8_0, written.Tensors.Single(tensor => tensor.Name == "blk.0.attn_q.weight").Type);
        Assert.AreEqual(GgmlType.F32, written.Tensors.Single(tensor => tensor.Name == "blk.0.attn_norm.weight").Type);
        CollectionAssert.AreEquivalent(conversion.Header.Metadata.Keys.ToArray(), written.Metadata.Keys.ToArray());
    }

    [TestMethod]
    [DataRow("architectures", """["MambaForCausalLM"]""", "MambaForCausalLM is not known; known are BertForMaskedLM")]
    [DataRow("architectures", "null", "config.json: architectures is missing")]
    [DataRow("quantization_config", """{"quant_method":"gptq"}""", "quantized (gptq")]
    [DataRow("hidden_size", "64", "'model.embed_tokens.weight' has the shape [357, 32], but by config.json it should be [357, 64]")]
    [DataRow("intermediate_size", "96", "'model.layers.0.mlp.gate_proj.weight' has the shape [64, 32]")]
    [DataRow("num_hidden_layers", "1", "'model.layers.1.input_layernorm.weight' is unknown")]
    [DataRow("num_hidden_layers", "3", "'model.layers.2.input_layernorm.weight' is missing")]
    [DataRow("num_hidden_layers", "-2", "num_hidden_layers must be a whole number")]
    [DataRow("vocab_size", "400", "it should be [400, 32]")]
    [DataRow("hidden_act", "\"relu\"", "hidden_act 'relu' is not computed")]
    [DataRow("rope_scaling", """{"type":"dynamic","factor":2}""", "scaling of kind 'dynamic' is not computed")]
    [DataRow("max_position_embeddings", "null", "max_position_embeddings is missing")]
    public void A_configuration_that_would_come_out_wrong_is_refused_by_name(string key, string value, string reason)
    {
        using var folder = new TemporaryFolder();
        var path = RandomFolder.Write(folder["bad"], config => config[key] = JsonNode.Parse(value));

        var refused = Assert.ThrowsExactly<SafeTensorsException>(() => FolderConversion.Of(path));

        StringAssert.Contains(refused.Message, reason);
    }

    [TestMethod]
    [DataRow("model.layers.0.self_attn.q_proj.qweight", "quantized (tensor")]
    [DataRow("model.layers.0.something.weight", "'model.layers.0.something.weight' is unknown")]
    public void A_tensor_that_is_not_understood_is_refused(string name, string reason)
    {
        using var folder = new TemporaryFolder();
        var path = RandomFolder.Write(folder["bad"], tensors: shapes => shapes[name] = [2, 2]);

        StringAssert.Contains(Assert.ThrowsExactly<SafeTensorsException>(() => FolderConversion.Of(path)).Message, reason);
    }

    [TestMethod]
    public void A_missing_shard_is_named()
    {
        using var folder = new TemporaryFolder();
        var path = RandomFolder.Write(folder["bad"], shards: 2);
        File.Delete(Path.Combine(path, "model-00002-of-00002.safetensors"));

        StringAssert.Contains(Assert.ThrowsExactly<SafeTensorsException>(() => FolderConversion.Of(path)).Message,
            "model-00002-of-00002.safetensors is missing; model.safetensors.index.json names it");
    }

    [TestMethod]
    [DataRow("pytorch_model.bin", "is a pickle, which can run any program")]
    [DataRow("consolidated.safetensors", "Mistral's own layout")]
    [DataRow("model.onnx", "is not read")]
    public void Weights_in_another_form_are_never_opened(string file, string reason)
    {
        using var folder = new TemporaryFolder();
        var path = RandomFolder.Write(folder["bad"]);
        File.Move(Path.Combine(path, "model.safetensors"), Path.Combine(path, file));

        StringAssert.Contains(Assert.ThrowsExactly<SafeTensorsException>(() => FolderConversion.Of(path)).Message, reason);
    }

    [TestMethod]
    public void Damaged_files_are_refused_in_words_in_time_and_within_memory()
    {
        using var told = new StringWriter();
        var verdict = new Verdict(told);

        FolderRun.Run(new SoakOptions { Requests = 600, Seed = 7 }, verdict);

        Assert.IsEmpty(verdict.Missed, told.ToString());
    }

    [TestMethod]
    public async Task Requests_at_once_convert_once_and_a_changed_folder_converts_again()
    {
        using var folder = new TemporaryFolder();
        var path = RandomFolder.Write(folder["tiny"]);
        var cache = new ConversionCache(folder["cache"], "auto");

        var made = await Task.WhenAll(Enumerable.Range(0, 8)
            .Select(_ => cache.FileOfAsync(path, null, ConversionWatch.None, CancellationToken.None)));

        Assert.HasCount(1, made.Distinct());
        CollectionAssert.AreEqual(new[] { made[0] }, Directory.GetFiles(folder["cache"]));
        Assert.AreEqual(made[0], cache.Find(path));
        File.WriteAllText(Path.Combine(path, "chat_template.jinja"), "{{ messages[0].content }}");
        Assert.IsNull(cache.Find(path));
        var again = await cache.FileOfAsync(path, null, ConversionWatch.None, CancellationToken.None);
        Assert.AreEqual("{{ messages[0].content }}", GgufReader.ReadFile(again).Text("tokenizer.chat_template"));
    }

    [TestMethod]
    public async Task A_folder_that_changes_meanwhile_and_what_a_killed_process_left_are_never_served()
    {
        using var folder = new TemporaryFolder();
        var path = RandomFolder.Write(folder["tiny"]);
        var killed = folder[$"cache/other-{new string('0', 32)}-auto.gguf"];
        File.WriteAllText(killed + ".partial", "half");
        File.WriteAllText(killed + ".lock", "");
        var cache = new ConversionCache(folder["cache"], "auto");
        var changes = new ConversionWatch(() => File.WriteAllText(Path.Combine(path, "added_tokens.json"), "{}"), _ => { }, (_, _) => { });

        var refused = await Assert.ThrowsExactlyAsync<SafeTensorsException>(
            () => cache.FileOfAsync(path, null, changes, CancellationToken.None));

        StringAssert.Contains(refused.Message, "the folder was changed while it was read");
        Assert.IsEmpty(Directory.GetFiles(folder["cache"]));
        Assert.AreEqual("not converted", cache.StateOf(path)!.ToString());
        Assert.IsTrue(File.Exists(await cache.FileOfAsync(path, null, ConversionWatch.None, CancellationToken.None)));
        Assert.AreEqual("converted", cache.StateOf(path)!.ToString());
    }

    [TestMethod]
    public async Task The_least_recently_used_conversion_leaves_when_the_bound_is_reached()
    {
        using var folder = new TemporaryFolder();
        var (first, second) = (RandomFolder.Write(folder["first"]), RandomFolder.Write(folder["second"]));
        var size = FolderConversion.Of(first).TargetBytes;
        var cache = new ConversionCache(folder["cache"], "auto", size * 3 / 2);
        // Somebody points the option at a folder of models.
        File.WriteAllBytes(folder["cache/mine-q8_0.gguf"], new byte[size]);

        await cache.FileOfAsync(first, null, ConversionWatch.None, CancellationToken.None);
        await cache.FileOfAsync(second, null, ConversionWatch.None, CancellationToken.None);

        Assert.IsNull(cache.Find(first));
        Assert.IsNotNull(cache.Find(second));
        Assert.IsTrue(File.Exists(folder["cache/mine-q8_0.gguf"]));
    }

    [TestMethod]
    public void A_folder_is_found_as_a_model_by_its_name()
    {
        using var folder = new TemporaryFolder();
        RandomFolder.Write(folder["models/org/tiny-llama"]);
        RandomFolder.Write(folder["models/odd"], config => config["architectures"] = new JsonArray("OddModel"));

        var scan = new ModelDiscovery([new FolderSource("dirs", folder["models"])]).Scan();

        var found = scan.Models.Single();
        Assert.AreEqual(("tiny-llama", "llama", 256), (found.Name, found.Architecture, found.ContextLength));
        Assert.IsTrue(Directory.Exists(found.Path));
        StringAssert.Contains(scan.Skipped.Single().Reason, "OddModel is not known");
    }
}
