using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Shimmy.Gguf;
using Shimmy.SafeTensors;
using Shimmy.SafeTensors.Files;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.SafeTensors;

/// <summary>The same model written in another way becomes the same GGUF; what would come out wrong is refused.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class FolderVariationTests
{
    public static IEnumerable<object[]> Families => FolderFamily.All.Select(family => new object[] { family.Class });

    [TestMethod]
    [DynamicData(nameof(Families))]
    public void Shards_prefixes_buffers_and_missing_keys_change_nothing(string name)
    {
        using var folder = new TemporaryFolder();
        var family = FolderFamily.All.First(one => one.Class == name);
        var weights = RandomFolder.WeightsOf(family.Shapes, 3);
        var whole = Converted(folder, RandomFolder.Write(folder["whole"], family: family, weights: weights));

        Assert.AreEqual(whole, Converted(folder, RandomFolder.Write(folder["shards"], family: family, weights: weights, shards: 3)));
        var unlisted = RandomFolder.Write(folder["unlisted"], family: family, weights: weights, shards: 2);
        File.Delete(Path.Combine(unlisted, "model.safetensors.index.json"));
        Assert.AreEqual(whole, Converted(folder, unlisted));
        if (name == "BertModel")
        {
            Assert.AreEqual(whole, Converted(folder, Renamed("prefixed", tensor => "bert." + tensor)));
            return;
        }

        Assert.AreEqual(whole, Converted(folder, Renamed("bare", tensor => tensor.Replace("model.", "", StringComparison.Ordinal))));
        Assert.AreEqual(whole,
            Converted(folder, Renamed("nested", tensor => tensor.Replace("model.", "model.language_model.", StringComparison.Ordinal))));
        var buffers = new Dictionary<string, float[]>(weights) { ["model.layers.0.self_attn.rotary_emb.inv_freq"] = [1, 2] };
        Assert.AreEqual(whole, Converted(folder, RandomFolder.Write(folder["buffers"], family: family, weights: buffers,
            tensors: shapes => shapes["model.layers.0.self_attn.rotary_emb.inv_freq"] = [2])));
        Assert.AreEqual(whole, Converted(folder, RandomFolder.Write(folder["silent"], family: family, weights: weights, config: config =>
        {
            foreach (var key in new[] { "num_key_value_heads", "vocab_size", "num_local_experts", "num_experts" })
                config.Remove(key);
            config["rope_parameters"] = new JsonObject { ["rope_type"] = "default" };
        })));

        string Renamed(string path, Func<string, string> rename) => RandomFolder.Write(folder[path], family: family,
            weights: weights.ToDictionary(pair => rename(pair.Key), pair => pair.Value), tensors: shapes =>
            {
                var old = shapes.ToList();
                shapes.Clear();
                old.ForEach(pair => shapes[rename(pair.Key)] = pair.Value);
            });
    }

    [TestMethod]
    public void Experts_in_one_tensor_become_those_of_their_own()
    {
        using var folder = new TemporaryFolder();
        var family = FolderFamily.All.First(one => one.Class == "Qwen3MoeForCausalLM");
        var weights = RandomFolder.WeightsOf(family.Shapes, 3);
        var apart = Converted(folder, RandomFolder.Write(folder["apart"], family: family, weights: weights));
        for (var layer = 0; layer < RandomFolder.Layers; layer++)
        {
            var from = $"model.layers.{layer}.mlp.experts.";
            weights[from + "gate_up_proj"] = [.. Enumerable.Range(0, 4).SelectMany(expert =>
                weights[$"{from}{expert}.gate_proj.weight"].Concat(weights[$"{from}{expert}.up_proj.weight"]))];
            weights[from + "down_proj"] = [.. Enumerable.Range(0, 4).SelectMany(expert => weights[$"{from}{expert}.down_proj.weight"])];
        }

        var together = RandomFolder.Write(folder["together"], family: family, weights: weights, tensors: shapes =>
        {
            foreach (var name in shapes.Keys.Where(name => name.Contains(".experts.", StringComparison.Ordinal)).ToList())
                shapes.Remove(name);
            for (var layer = 0; layer < RandomFolder.Layers; layer++)
            {
                shapes[$"model.layers.{layer}.mlp.experts.gate_up_proj"] = [4, 128, RandomFolder.Width];
                shapes[$"model.layers.{layer}.mlp.experts.down_proj"] = [4, RandomFolder.Width, 64];
            }
        });

        Assert.AreEqual(apart, Converted(folder, together));
    }

    [TestMethod]
    public void The_type_of_the_first_matrix_decides_and_vectors_are_wide()
    {
        using var folder = new TemporaryFolder();
        var mixed = RandomFolder.Write(folder["mixed"], type: name => name.Contains("norm", StringComparison.Ordinal) ? "F32" : "BF16");

        var header = FolderConversion.Of(mixed).Header;

        Assert.IsTrue(header.Tensors.All(tensor => tensor.Type == (tensor.Dimensions.Count == 1 ? GgmlType.F32 : GgmlType.BF16)));
    }

    [TestMethod]
    public void Every_end_that_is_listed_is_kept()
    {
        using var folder = new TemporaryFolder();
        var path = RandomFolder.Write(folder["ends"]);
        File.WriteAllText(Path.Combine(path, "generation_config.json"), """{"eos_token_id":[2,300,301]}""");

        var header = FolderConversion.Of(path).Header;

        Assert.AreEqual((2L, 300L, 301L), (header.Integer("tokenizer.ggml.eos_token_id"), header.Integer("tokenizer.ggml.eot_token_id"),
            header.Integer("tokenizer.ggml.eom_token_id")));
    }

    [TestMethod]
    public void Templates_come_from_files_beside_and_by_name()
    {
        using var folder = new TemporaryFolder();
        var path = RandomFolder.Write(folder["templates"]);
        File.WriteAllText(Path.Combine(path, "chat_template.json"), """{"chat_template":"from json"}""");
        Directory.CreateDirectory(Path.Combine(path, "additional_chat_templates"));
        File.WriteAllText(Path.Combine(path, "additional_chat_templates", "tool_use.jinja"), "with tools");

        var header = FolderConversion.Of(path).Header;

        Assert.AreEqual(("from json", "with tools"),
            (header.Text("tokenizer.chat_template"), header.Text("tokenizer.chat_template.tool_use")));
    }

    [TestMethod]
    [DataRow("q4_k_m", "blk.0.attn_q.weight", "Q5_0")]
    [DataRow("q4_0", "blk.0.attn_q.weight", "Q4_0")]
    [DataRow("q4_0", "token_embd.weight", "Q8_0")]
    [DataRow("q4_0", "blk.0.attn_norm.weight", "F32")]
    public void Rows_that_are_no_whole_blocks_and_the_output_get_the_types_of_llama_cpps_quantizer(
        string type, string tensor, string expected)
    {
        using var folder = new TemporaryFolder();

        var header = FolderConversion.Of(RandomFolder.Write(folder["tiny"]), type).Header;

        Assert.AreEqual(expected, header.Tensors.Single(one => one.Name == tensor).Type.ToString());
    }

    [TestMethod]
    [DataRow("use_dora", "true", "use_dora: DoRA")]
    [DataRow("modules_to_save", """["lm_head"]""", "modules_to_save (lm_head)")]
    [DataRow("bias", "\"all\"", "bias is all")]
    [DataRow("peft_type", "\"IA3\"", "peft_type is IA3")]
    [DataRow("layer_replication", "[[0,1]]", "layer_replication")]
    [DataRow("init_lora_weights", "\"pissa\"", "init_lora_weights is pissa")]
    [DataRow("alpha_pattern", """{".*q_proj":4}""", "is a regular expression")]
    public void An_adapter_of_another_kind_is_refused_by_name(string key, string value, string reason)
    {
        using var folder = new TemporaryFolder();
        RandomPeft.Write(folder["adapter"], config => config[key] = JsonNode.Parse(value));

        StringAssert.Contains(
            Assert.ThrowsExactly<SafeTensorsException>(() => FolderConversion.OfAdapter(folder["adapter"], null)).Message, reason);
    }

    [TestMethod]
    public void An_adapter_for_another_model_is_refused_with_both_shapes()
    {
        using var folder = new TemporaryFolder();
        RandomPeft.Write(folder["adapter"]);
        var model = FolderConversion.HeaderOf(RandomFolder.Write(folder["wide"], family: FolderFamily.All[1]));

        StringAssert.Contains(
            Assert.ThrowsExactly<SafeTensorsException>(() => FolderConversion.OfAdapter(folder["adapter"], model)).Message,
            "is an adapter for a matrix of [16, 32], but the model's is [24, 32]");
    }

    // What matters of a converted file, as one text.
    private static string Converted(TemporaryFolder folder, string path)
    {
        var target = folder["out.gguf"];
        FolderConversion.Of(path).WriteFile(target);
        var header = GgufReader.ReadFile(target);
        using var file = File.OpenRead(target);
        var tensors = header.Tensors.OrderBy(tensor => tensor.Name, StringComparer.Ordinal).Select(tensor =>
        {
            var bytes = new byte[tensor.SizeBytes];
            file.Position = tensor.Offset;
            file.ReadExactly(bytes);
            return $"{tensor.Name} {tensor.Type} {string.Join('x', tensor.Dimensions)} {Convert.ToHexString(SHA256.HashData(bytes))}";
        });
        var keys = header.Metadata.Where(entry => entry.Key != "general.name" && entry.Value.Array is null)
            .OrderBy(entry => entry.Key, StringComparer.Ordinal)
            .Select(entry => $"{entry.Key} {entry.Value.Text}{entry.Value.Number}{entry.Value.Flag}");
        return string.Join('\n', keys.Concat(tensors));
    }
}
