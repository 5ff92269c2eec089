using Shimmy.Gguf;

namespace Shimmy.Tests.Gguf;

[TestClass]
[TestCategory("Unit")]
public sealed class ModelFileNameTests
{
    [TestMethod]
    [DataRow("llama-3-8b-instruct-Q4_K_M.gguf", "llama-3-8b-instruct", "8B", "Q4_K_M")]
    [DataRow("phi3-mini-4k-instruct.gguf", "phi3-mini-4k-instruct", null, null)]
    [DataRow("qwen2-7b-Q8_0-00001-of-00003.gguf", "qwen2-7b", "7B", "Q8_0")]
    [DataRow("mistral-7b-instruct-v0.2.Q5_K_S.gguf", "mistral-7b-instruct-v0.2", "7B", "Q5_K_S")]
    [DataRow("ggml-model-q4_0.gguf", "ggml-model", null, "Q4_0")]
    [DataRow("model_q4_k_m.gguf", "model", null, "Q4_K_M")]
    [DataRow("Qwen3-30B-A3B-UD-Q4_K_XL.GGUF", "Qwen3-30B-A3B", "30B-A3B", "UD-Q4_K_XL")]
    [DataRow("Foo-1.5B.i1-IQ2_XXS.gguf", "Foo-1.5B", "1.5B", "IQ2_XXS")]
    [DataRow("mixtral-8x7b-v0.1.IQ3_M.gguf", "mixtral-8x7b-v0.1", "8x7B", "IQ3_M")]
    [DataRow("SmolLM-135M-Instruct-fp16.gguf", "SmolLM-135M-Instruct", "135M", "F16")]
    [DataRow("Qwen2.5-7B-Instruct-1M-BF16.gguf", "Qwen2.5-7B-Instruct-1M", "7B", "BF16")]
    [DataRow("gpt-oss-20b-mxfp4.gguf", "gpt-oss-20b", "20B", "MXFP4")]
    [DataRow("stories260K.gguf", "stories260K", null, null)]
    [DataRow("llama-2-70b.gguf", "llama-2-70b", "70B", null)]
    [DataRow("bitnet-b1.58-2B-4T-TQ1_0.gguf", "bitnet-b1.58-2B-4T", "2B", "TQ1_0")]
    [DataRow("Q4_0.gguf", "Q4_0", null, null)]
    [DataRow("x-Q4_.gguf", "x-Q4_", null, null)]
    [DataRow("x-Q4__K.gguf", "x-Q4__K", null, null)]
    [DataRow("x-Qwen.gguf", "x-Qwen", null, null)]
    [DataRow("a.gguf", "a", null, null)]
    [DataRow("-.gguf", "-", null, null)]
    public void A_name_is_taken_apart(string fileName, string name, string? label, string? quantization)
    {
        var parsed = ModelFileName.Parse(fileName);
        Assert.AreEqual((name, label, quantization), (parsed.Name, parsed.ParameterLabel, parsed.Quantization));
    }

    [TestMethod]
    [DataRow("qwen2-7b-Q8_0-00002-of-00003.gguf", 2, 3)]
    [DataRow("qwen2-7b-00001-of-00001.gguf", 1, 1)]
    [DataRow("qwen2-7b-00004-of-00003.gguf", 0, 0)]
    [DataRow("qwen2-7b-00000-of-00003.gguf", 0, 0)]
    [DataRow("qwen2-7b-+0001-of-00003.gguf", 0, 0)]
    [DataRow("-00001-of-00003.gguf", 0, 0)]
    public void Shards_have_numbers(string fileName, int shard, int count)
    {
        var parsed = ModelFileName.Parse(fileName);
        Assert.AreEqual((shard, count), (parsed.Shard, parsed.ShardCount));
    }

    [TestMethod]
    public void Another_shard_has_the_name_that_llama_cpp_looks_for() =>
        Assert.AreEqual("a-Q8_0-00003-of-00012.gguf", ModelFileName.Parse("a-Q8_0-00001-of-00012.gguf").OfShard(3));

    [TestMethod]
    [DataRow("a.gguf", true)]
    [DataRow("a.GGUF", true)]
    [DataRow(".gguf", false)]
    [DataRow("a.gguf.part", false)]
    [DataRow("a.bin", false)]
    public void Only_gguf_files_may_hold_models(string fileName, bool expected) =>
    Assert.AreEqual(expected, ModelFileName.IsGguf(fileName));

    [TestMethod]
    [DataRow("model-mmproj-f16.gguf", "mmproj", true)]
    [DataRow("MMPROJ_model.gguf", "mmproj", true)]
    [DataRow("overdrafted.gguf", "draft", false)]
    [DataRow("nodraft-draft.gguf", "draft", true)]
    public void Words_are_whole(string fileName, string word, bool expected) =>
    Assert.AreEqual(expected, ModelFileName.Parse(fileName).HasWord(word));

    [TestMethod]
    [DataRow(292_800, "293K")]
    [DataRow(8_030_261_248, "8B")]
    [DataRow(7_615_616_512, "7.6B")]
    [DataRow(70_553_706_496, "70.6B")]
    [DataRow(134_515_008, "135M")]
    [DataRow(999_600_000, "1B")]
    [DataRow(1_030_000_000_000, "1T")]
    [DataRow(12, "12")]
    public void Counts_are_said_as_people_say_them(long count, string expected) => Assert.AreEqual(expected, ModelLabels.OfParameters(count));
}
