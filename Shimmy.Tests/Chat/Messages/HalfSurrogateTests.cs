using System.Net;
using System.Text;
using Shimmy.Chat.Messages;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Chat.Messages;

/// <summary>
/// Kind: text that was cut in the middle of an emoji. Half a surrogate pair becomes U+FFFD wherever it stands, and the request goes on: it
/// stays in the history of a conversation, which would otherwise be refused at every further turn.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class HalfSurrogateTests
{
    // Takes the arguments of calls apart, as templates of models that call tools do.
    private const string WithTools = """
        {%- for message in messages %}<|im_start|>{{ message.role }}
        {{ message.content or '' }}{% for call in message.tool_calls or [] %}<tool_call>{"name": "{{ call.function.name }}", "arguments": {
        {%- for key, value in call.function.arguments.items() %}{{ key | tojson }}: {{ value | tojson }}{% endfor %}}}</tool_call>{% endfor %}<|im_end|>
        {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
        {% endif %}
        """;

    private static ServerFixture _server = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext context) => _server = await ServerFixture.StartAsync(new ScriptedEngine
    {
        Facts = spec => new ModelFacts
        {
            Architecture = "scripted",
            Description = spec.Name,
            ContextLength = spec.ContextLength,
            Slots = spec.Parallel,
            ChatTemplates = new Dictionary<string, string> { ["default"] = WithTools },
        },
    });

    [ClassCleanup]
    public static async Task StopAsync() => await _server.DisposeAsync();

    [TestMethod]
    [DataRow("v1/chat/completions", """{"messages":[{"role":"user","content":"cut \ud83d"}]}""")]
    [DataRow("v1/chat/completions", """{"messages":[{"role":"user","content":[{"type":"text","text":"\udc00\ud800"}]}]}""")]
    [DataRow("v1/chat/completions", """
        {"messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":
        {"name":"f","arguments":"{\"x\":\"\\ud83d\"}"}}]},{"role":"tool","tool_call_id":"c1","content":"\ud83d"},{"role":"user","content":"b"}]}
        """, DisplayName = "arguments and the result of a tool")]
    [DataRow("v1/chat/completions", """
        {"messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":
        {"name":"f","arguments":"{\"\\ud83d\":{\"y\":[\"\\udc00\"]}}"}}]},{"role":"tool","tool_call_id":"c1","content":"r"}]}
        """, DisplayName = "a key inside arguments")]
    [DataRow("v1/chat/completions", """
        {"messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f","description":"\ud83d","parameters":
        {"type":"object","properties":{"\udc00":{"type":"string","enum":["\ud83d"],"description":"\ud83d"}}}}}]}
        """, DisplayName = "a tool and its schema")]
    [DataRow("v1/chat/completions", """
        {"messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":
        {"type":"object","properties":{"a":{"const":"\ud83d"}}}}}}
        """, DisplayName = "a schema of the answer")]
    [DataRow("v1/completions", """{"prompt":"\ud83d","stop":"\udc00"}""")]
    [DataRow("v1/responses", """{"input":"\ud83d"}""")]
    [DataRow("v1/responses", """
        {"input":[{"role":"user","content":"a"},{"type":"function_call","call_id":"c1","name":"f","arguments":"{\"x\":\"\\ud83d\"}"},
        {"type":"function_call_output","call_id":"c1","output":"\udc00"}]}
        """, DisplayName = "items of a response")]
    [DataRow("v1/messages", """
        {"max_tokens":9,"messages":[{"role":"user","content":"\ud83d"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f",
        "input":{"\udc00":"\ud83d"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"\ud83d"}]}]}
        """, DisplayName = "blocks of Anthropic's dialect")]
    [DataRow("api/generate", """{"prompt":"\ud83d","system":"\udc00"}""")]
    [DataRow("api/generate", """{"messages":[{"role":"user","content":"\ud83d"}]}""")]
    public async Task A_request_goes_on(string route, string body)
    {
        foreach (var stream in new[] { "false", "true" })
        {
            using var answer = await _server.PostAsync(route, $$"""{"model":"talker","stream":{{stream}},{{body.Trim()[1..]}}""");
            Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode, await answer.Content.ReadAsStringAsync());
        }
    }

    [TestMethod]
    public async Task The_model_reads_the_replacement_character()
    {
        var prompt = await PromptAsync("""cut \ud83d here, whole \ud83d\ude00""");
        StringAssert.Contains(prompt, "cut \ufffd here, whole \U0001F600");
    }

    [TestMethod]
    [DataRow("""\ud83d""", """\ufffd""")]
    [DataRow("""\ud83d\ude00""", """\ud83d\ude00""")]
    [DataRow("""\uD83D\uDE00""", """\uD83D\uDE00""")]
    [DataRow("""\ud83d\ud83d\ude00""", """\ufffd\ud83d\ude00""")]
    [DataRow("""\ude00\ud83d""", """\ufffd\ufffd""")]
    [DataRow("""\ud83d\n\ude00""", """\ufffd\n\ufffd""")]
    [DataRow("""\\ud83d""", """\\ud83d""")]
    [DataRow("""\\\ud83d""", """\\\ufffd""")]
    [DataRow("""\ud83dx\u0041\udbff""", """\ufffdx\u0041\ufffd""")]
    [DataRow("""\uzzzz \ud8""", """\uzzzz \ud8""")]
    public void A_repair_is_the_same_wherever_a_piece_ends(string json, string expected)
    {
        Assert.AreEqual(expected, SurrogateRepair.Of(json));
        for (var size = 1; size <= json.Length; size++)
        {
            var (pending, repaired) = (new List<byte>(), new List<byte>());
            for (var from = 0; from < json.Length; from += size)
            {
                pending.AddRange(Encoding.UTF8.GetBytes(json[from..Math.Min(json.Length, from + size)]));
                var piece = pending.ToArray();
                var decided = SurrogateRepair.InPlace(piece, isLast: from + size >= json.Length);
                Assert.IsLessThan(12, piece.Length - decided);
                repaired.AddRange(piece[..decided]);
                pending = [.. piece[decided..]];
            }
            Assert.AreEqual(expected, Encoding.UTF8.GetString([.. repaired]), $"pieces of {size}");
        }
    }

    // Longer than what is read at once, so that escapes lie across the borders of what is read.
    [TestMethod]
    public async Task A_long_body_is_repaired_throughout()
    {
        var text = string.Concat(Enumerable.Repeat("""\ud83d.\ud83d\ude00""", 20_000));
        var prompt = await PromptAsync(text);
        StringAssert.Contains(prompt, string.Concat(Enumerable.Repeat("\ufffd.\U0001F600", 20_000)));
    }

    private static async Task<string> PromptAsync(string content)
    {
        using var answer = await _server.PostAsync("apply-template",
            $$"""{"model":"talker","messages":[{"role":"user","content":"{{content}}"}]}""");
        return (await answer.JsonAsync()).GetProperty("prompt").GetString()!;
    }
}
