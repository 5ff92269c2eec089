using System.Buffers;
using System.Text;
using System.Text.Json;
using Shimmy.Api.OpenAI;
using Shimmy.Chat.Output;
using Shimmy.Engine;

namespace Shimmy.Tests.Api.OpenAI;

/// <summary>
/// Kind: log probabilities beside an echoed prompt. Programs that judge models line them up with the tokens that they sent: an entry a
/// token, the first without a probability, and offsets that are places in the text.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class EchoedLogprobsTests
{
    [TestMethod]
    public void A_token_that_the_vocabulary_puts_before_a_prompt_has_no_length_in_the_text()
    {
        var logs = Logs("Once upon", [Token("<s>", null), Token(" Once"), Token(" up"), Token("on")], ofPrompt: 4);
        Assert.AreEqual("""["\u003Cs\u003E"," Once"," up","on"]""", logs.GetProperty("tokens").GetRawText());
        Assert.AreEqual("[null,-1,-1,-1]", logs.GetProperty("token_logprobs").GetRawText());
        Assert.AreEqual("[0,0,4,7]", logs.GetProperty("text_offset").GetRawText());
        Assert.AreEqual(JsonValueKind.Null, logs.GetProperty("top_logprobs")[0].ValueKind);
    }

    [TestMethod]
    public void A_special_token_that_the_echo_shows_has_the_length_of_its_text()
    {
        var logs = Logs("<s> Once", [Token("<s>", null), Token(" Once")], ofPrompt: 2);
        Assert.AreEqual("[0,3]", logs.GetProperty("text_offset").GetRawText());
    }

    [TestMethod]
    public void Offsets_count_characters_as_Python_does_wherever_tokens_part_them()
    {
        var emoji = Encoding.UTF8.GetBytes("\U0001F600");
        var tokens = new[] { Token("é"), Token(emoji[..2]), Token(emoji[2..]), Token("x") };
        Assert.AreEqual("[0,1,1,2]", Logs("é\U0001F600x", tokens, ofPrompt: 0).GetProperty("text_offset").GetRawText());
    }

    [TestMethod]
    public void The_token_that_was_taken_is_always_reported()
    {
        var unlikely = new GeneratedToken(7, "b"u8.ToArray(), new TokenLogProbability(-5, [new TopToken(1, "a"u8.ToArray(), -1)]));
        Assert.AreEqual("""{"a":-1,"b":-5}""", Logs("b", [unlikely], ofPrompt: 0).GetProperty("top_logprobs")[0].GetRawText());
        var alone = new GeneratedToken(7, "b"u8.ToArray(), new TokenLogProbability(-5, []));
        Assert.AreEqual("""{"b":-5}""", Logs("b", [alone], ofPrompt: 0).GetProperty("top_logprobs")[0].GetRawText());
    }

    [TestMethod]
    public void A_control_token_of_the_answer_is_spelled_out_and_has_no_length()
    {
        var control = new GeneratedToken(2, default, new TokenLogProbability(-5, [new TopToken(2, "<|x|>"u8.ToArray(), -5)]));
        var logs = Logs("ab", [Token("a"), control, Token("b")], ofPrompt: 0);
        Assert.AreEqual("<|x|>", logs.GetProperty("tokens")[1].GetString());
        Assert.AreEqual("[0,1,1]", logs.GetProperty("text_offset").GetRawText());
    }

    private static GeneratedToken Token(string text, double? log = -1) => Token(Encoding.UTF8.GetBytes(text), log);

    private static GeneratedToken Token(byte[] piece, double? log = -1) =>
        new(1, piece, log is { } value ? new TokenLogProbability((float)value, []) : null);

    private static JsonElement Logs(string text, GeneratedToken[] tokens, int ofPrompt)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            new CompletionLogprobs(text).Write(json, tokens, ofPrompt);
            json.WriteEndObject();
        }
        return JsonElement.Parse(buffer.WrittenSpan).GetProperty("logprobs");
    }
}
