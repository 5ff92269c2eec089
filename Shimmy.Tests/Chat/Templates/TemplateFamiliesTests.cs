using Shimmy.Chat.Templates;
using static Shimmy.Tests.Chat.Templates.Templates;

namespace Shimmy.Tests.Chat.Templates;

[TestClass]
[TestCategory("Unit")]
public sealed class TemplateFamiliesTests
{
    [TestMethod]
    [DataRow("chatml", "<|im_start|>system\n‹S›<|im_end|>\n<|im_start|>user\n‹A›<|im_end|>\n<|im_start|>assistant\n‹B›<|im_end|>\n" +
        "<|im_start|>user\n‹C›<|im_end|>\n<|im_start|>assistant\n")]
    [DataRow("llama3", "<s><|start_header_id|>system<|end_header_id|>\n\n‹S›<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n‹A›<|eot_id|>" +
        "<|start_header_id|>assistant<|end_header_id|>\n\n‹B›<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n‹C›<|eot_id|>" +
        "<|start_header_id|>assistant<|end_header_id|>\n\n")]
    [DataRow("mistral", "<s>[INST] ‹S\n\nA› [/INST] ‹B›</s>[INST] ‹C› [/INST]")]
    [DataRow("openchat", "<s>‹S›<|end_of_turn|>GPT4 Correct User: ‹A›<|end_of_turn|>GPT4 Correct Assistant: ‹B›<|end_of_turn|>" +
        "GPT4 Correct User: ‹C›<|end_of_turn|>GPT4 Correct Assistant:")]
    [DataRow("gemma", "<s><start_of_turn>user\n‹S\n\nA›<end_of_turn>\n<start_of_turn>model\n‹B›<end_of_turn>\n<start_of_turn>user\n‹C›<end_of_turn>\n" +
        "<start_of_turn>model\n")]
    [DataRow("phi3", "<|system|>\n‹S›<|end|>\n<|user|>\n‹A›<|end|>\n<|assistant|>\n‹B›<|end|>\n<|user|>\n‹C›<|end|>\n<|assistant|>\n")]
    [DataRow("deepseek", "<s>‹S›<｜User｜>‹A›<｜Assistant｜>‹B›<｜end▁of▁sentence｜><｜User｜>‹C›<｜Assistant｜>")]
    [DataRow("vicuna", "<s>‹S› USER: ‹A› ASSISTANT: ‹B›</s>USER: ‹C› ASSISTANT:")]
    [DataRow("alpaca", "<s>‹S›\n\n### Instruction:\n‹A›\n\n### Response:\n‹B›</s>\n\n### Instruction:\n‹C›\n\n### Response:\n")]
    [DataRow("command-r", "<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>‹S›<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|USER_TOKEN|>‹A›<|END_OF_TURN_TOKEN|>" +
        "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>‹B›<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|USER_TOKEN|>‹C›<|END_OF_TURN_TOKEN|>" +
        "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>")]
    [DataRow("zephyr", "<|system|>\n‹S›</s>\n<|user|>\n‹A›</s>\n<|assistant|>\n‹B›</s>\n<|user|>\n‹C›</s>\n<|assistant|>\n")]
    public void A_family_renders_its_format(string name, string expected)
    {
        var template = Of(TemplateSource.Named(name));

        var prompt = template.Render(Turns(Says("system", "S"), Says("user", "A"), Says("assistant", "B"), Says("user", "C")));

        Assert.AreEqual(expected, prompt.Marked());
        Assert.IsNotEmpty(template.Stop);
    }

    [TestMethod]
    [DataRow("vicuna", "<s>A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, " +
        "and polite answers to the user's questions. USER: ‹A› ASSISTANT:")]
    [DataRow("alpaca", "<s>Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n" +
        "### Instruction:\n‹A›\n\n### Response:\n")]
    public void A_family_that_begins_with_a_system_text_has_one_of_its_own(string name, string expected) =>
        Assert.AreEqual(expected, Of(TemplateSource.Named(name)).Render(Turns(Says("user", "A"))).Marked());

    [TestMethod]
    [DataRow("qwen", "chatml")]
    [DataRow("Llama-3", "llama3")]
    [DataRow("mixtral", "mistral")]
    [DataRow("ZEPHYR", "zephyr")]
    public void A_family_is_found_by_its_aliases(string alias, string family) =>
        Assert.AreEqual(family, TemplateFamilies.Find(alias)!.Name);

    [TestMethod]
    public void What_is_neither_family_nor_file_is_refused_with_the_families()
    {
        var failure = Assert.ThrowsExactly<FormatException>(() => TemplateSource.Named("no-such-family"));

        Assert.AreEqual("'no-such-family' is neither a file nor a family of chat templates; families are " +
            "chatml, llama3, mistral, openchat, gemma, phi3, deepseek, vicuna, alpaca, zephyr, command-r", failure.Message);
    }
}
