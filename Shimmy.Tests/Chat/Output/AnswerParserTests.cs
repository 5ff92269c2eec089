using System.Text;
using System.Text.Json;
using Shimmy.Chat.Output;
using Shimmy.Chat.Output.Tools;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Chat.Output;

/// <summary>Thinking, text and calls are told apart, however the answer is cut into pieces.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class AnswerParserTests
{
    private static readonly ReasoningTags Think = new("<think>", "</think>");

    private static readonly ToolCallSyntax Bare = new()
    {
        Style = ToolCallStyle.Json,
        CallBegin = "{\"name\": \"",
        AfterName = "\", \"parameters\": ",
        CallEnd = "}",
        Separator = null,
        NameKey = "name",
        ArgumentsKey = "parameters",
    };

    private static readonly Dictionary<string, JsonElement> Tools = new() { ["get"] = default, ["add"] = default };

    [TestMethod]
    [DataRow("Hello there.", "T:Hello there.")]
    [DataRow("<think>\nhm\n</think>\n\nHi", "R:hm|T:Hi")]
    [DataRow("<thin is not a mark", "T:<thin is not a mark")]
    [DataRow("I look. \n<tool_call>\n{\"name\": \"get\", \"arguments\": {\"a\": [1, \"}\"]}}\n</tool_call>", "T:I look.|C0:get {\"a\": [1, \"}\"]}")]
    [DataRow("<tool_call>{\"arguments\":{\"x\":1},\"name\":\"add\"}</tool_call>", "C0:add {\"x\":1}")]
    [DataRow("<tool_call>\n{\"name\": \"get\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"b\": 2}}\n</tool_call>", "C0:get {}|C1:add {\"b\": 2}")]
    [DataRow("<tool_call>\n{\"name\": \"other\", \"arguments\": {}}\n</tool_call>", "T:<tool_call>\n{\"name\": \"other\", \"arguments\": {}}\n</tool_call>")]
    [DataRow("<think>use <tool_call> now</think><tool_call>{\"name\":\"get\",\"arguments\":{}}</tool_call> done", "R:use <tool_call> now|C0:get {}|T:done")]
    [DataRow("<tool_call>{\"name\":\"get\",\"arguments\":{\"half\": \"wa", "C0:get {\"half\": \"wa")]
    [DataRow("A < b and <tool", "T:A < b and <tool")]
    public void Parts_are_distinguished(string answer, string expected) =>
    Hold(new AnswerFormat { Reasoning = Think, Calls = ToolTemplates.Hermes, Tools = Tools }, answer, expected);

    [TestMethod]
    [DataRow("<think>\nhm\n</think>\n\nHi", "hm", "<think>\nhm\n</think>\n\nHi", false)]
    [DataRow("\n<think>a </think>b", "a", "\n<think>a </think>b", false)]
    [DataRow("hm</think>\nHi", "hm", "<think>hm</think>\nHi", true)]
    [DataRow("never closed", "never closed", "<think>never closed", true)]
    [DataRow("no thought", "", "no thought", false)]
    public void Thinking_may_stay_in_the_text_as_it_is(string answer, string thought, string text, bool begun)
    {
        foreach (var piece in (int[])[1, 3, 100])
        {
            var parser = new AnswerParser(new AnswerFormat { Reasoning = Think, BeginsReasoning = begun, ReasoningStaysInText = true });
            var events = answer.Chunk(piece).SelectMany(some => parser.Push(new string(some))).ToList();
            events.AddRange(parser.End());
            Assert.AreEqual(thought, string.Concat(events.Select(one => one.Reasoning)));
            Assert.AreEqual(text, string.Concat(events.Select(one => one.Text)));
        }
    }

    [TestMethod]
    [DataRow("hm</think>Hi", "R:hm|T:Hi")]
    [DataRow("never closed", "R:never closed")]
    public void A_prompt_may_have_begun_the_thinking(string answer, string expected) =>
        Hold(new AnswerFormat { Reasoning = Think, BeginsReasoning = true }, answer, expected);

    [TestMethod]
    [DataRow("{\"name\": \"get\", \"parameters\": {\"a\": 1}}", "C0:get {\"a\": 1}")]
    [DataRow("{\"answer\": 42}", "T:{\"answer\": 42}")]
    [DataRow("Text {\"name\": \"get\", \"parameters\": {}}", "T:Text {\"name\": \"get\", \"parameters\": {}}")]
    public void Calls_may_be_bare_JSON_at_the_beginning(string answer, string expected) =>
        Hold(new AnswerFormat { Calls = Bare, Tools = Tools }, answer, expected);

    private static void Hold(AnswerFormat format, string answer, string expected)
    {
        for (var seed = 0; seed < 40; seed++)
        {
            var random = new Random(seed);
            var parser = new AnswerParser(format);
            var events = new List<OutputEvent>();
            for (var at = 0; at < answer.Length;)
            {
                var length = seed == 0 ? answer.Length : Math.Min(answer.Length - at, random.Next(1, seed < 5 ? 2 : 9));
                events.AddRange(parser.Push(answer.Substring(at, length)));
                at += length;
            }
            events.AddRange(parser.End());
            Assert.AreEqual(expected, Shown(events), $"seed {seed}");
        }
    }

    private static string Shown(IEnumerable<OutputEvent> events)
    {
        var shown = new StringBuilder();
        var last = "";
        foreach (var outputEvent in events)
        {
            var kind = outputEvent.Call is { } call ? $"C{call.Index}:" : outputEvent.Reasoning.Length > 0 ? "R:" : "T:";
            if (kind != last)
                shown.Append(last.Length > 0 ? "|" : "").Append(kind);
            last = kind;
            shown.Append(outputEvent.Reasoning).Append(outputEvent.Text);
            if (outputEvent.Call is { Name: { } name })
                shown.Append(name).Append(' ');
            shown.Append(outputEvent.Call?.Arguments);
        }
        return shown.ToString();
    }
}
