using System.Text.Json;
using Shimmy.Chat.Output;
using Shimmy.Chat.Output.Tools;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Chat.Output;

/// <summary>
/// Kind: a tool call that is cut, by the limit or by a stop sequence. What there is of it is no text, nothing is invented to make it whole,
/// and the finish reason says that it was cut.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class CutCallTests
{
    private const string Template = """
        {%- if tools %}<|im_start|>system
        {% for tool in tools %}{{ tool | tojson }}
        {% endfor %}For each call write <tool_call>
        {"name": <name>, "arguments": <object>}
        </tool_call><|im_end|>
        {% endif %}{%- for message in messages %}<|im_start|>{{ message.role }}
        {{ message.content or '' }}{% for call in message.tool_calls or [] %}
        <tool_call>
        {"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
        </tool_call>{% endfor %}<|im_end|>
        {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
        {% endif %}
        """;

    private const string Call = """
        I look.
        <tool_call>
        {"name": "get_weather", "arguments": {"city": "Paris", "days": [1, 2]}}
        </tool_call>
        """;

    private const string Chat = """
        "messages":[{"role":"user","content":"?"}],"tools":[{"type":"function","function":{"name":"get_weather","parameters":
        {"type":"object","properties":{"city":{"type":"string"},"days":{"type":"array"}}}}}]
        """;

    private const string Response = """
        "input":"?","tools":[{"type":"function","name":"get_weather","parameters":
        {"type":"object","properties":{"city":{"type":"string"},"days":{"type":"array"}}}}]
        """;

    private const string Messages = """
        "messages":[{"role":"user","content":"?"}],"tools":[{"name":"get_weather","input_schema":
        {"type":"object","properties":{"city":{"type":"string"},"days":{"type":"array"}}}}]
        """;

    private static ServerFixture _server = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext context) => _server = await ServerFixture.StartAsync(new ScriptedEngine
    {
        // A character a token: every cut there is.
        Answer = (_, _) => Call.Select(c => c.ToString()),
        Facts = spec => new ModelFacts
        {
            Architecture = "scripted",
            Description = "",
            Slots = 1,
            ContextLength = 10_000,
            ChatTemplates = new Dictionary<string, string> { ["default"] = Template },
        },
    });

    [ClassCleanup]
    public static async Task StopAsync() => await _server.DisposeAsync();

    [TestMethod]
    public async Task Every_cut_leaves_text_or_a_whole_call_in_OpenAIs_dialect()
    {
        for (var most = 0; most <= Call.Length; most++)
        {
            var answer = Json(await _server.AnswerAsync("v1/chat/completions", $$"""{"model":"talker","max_tokens":{{most}},{{Chat}}}"""));
            var choice = answer.GetProperty("choices")[0];
            var message = choice.GetProperty("message");
            var content = message.GetProperty("content").GetString() ?? "";
            Assert.StartsWith(content.TrimEnd(), "I look.", $"{most}: {content}");
            var reason = choice.GetProperty("finish_reason").GetString();
            if (message.TryGetProperty("tool_calls", out var calls))
                IsWhole(calls[0].GetProperty("function").GetProperty("arguments").GetString()!);
            Assert.AreEqual(most < Call.Length ? "length" : "tool_calls", reason);
        }
    }

    [TestMethod]
    public async Task Every_cut_is_reported_as_a_prefix_in_a_stream()
    {
        for (var most = 0; most <= Call.Length; most++)
        {
            var chunks = ServerSentEvents.Json(await _server.AnswerAsync("v1/chat/completions",
                $$"""{"model":"talker","stream":true,"max_tokens":{{most}},{{Chat}}}""")).Select(chunk => chunk.GetProperty("choices")[0]).ToArray();
            var deltas = chunks.Select(choice => choice.GetProperty("delta")).ToArray();
            var content = string.Concat(deltas.Select(delta => delta.TryGetProperty("content", out var text) ? text.GetString() : ""));
            Assert.StartsWith(content.TrimEnd(), "I look.", $"{most}: {content}");
            var arguments = string.Concat(deltas.Where(delta => delta.TryGetProperty("tool_calls", out _))
                .Select(delta => delta.GetProperty("tool_calls")[0].GetProperty("function").GetProperty("arguments").GetString()));
            Assert.StartsWith(arguments, """{"city": "Paris", "days": [1, 2]}""");
            Assert.AreEqual(most < Call.Length ? "length" : "tool_calls", chunks[^1].GetProperty("finish_reason").GetString());
        }
    }

    [TestMethod]
    public async Task Every_cut_leaves_text_or_a_whole_call_in_Anthropics_dialect()
    {
        for (var most = 0; most <= Call.Length; most++)
        {
            var answer = Json(await _server.AnswerAsync("v1/messages", $$"""{"model":"talker","max_tokens":{{most}},{{Messages}}}"""));
            foreach (var block in answer.GetProperty("content").EnumerateArray())
            {
                if (block.GetProperty("type").GetString() == "tool_use")
                    IsWhole(block.GetProperty("input").GetRawText());
                else
                    Assert.StartsWith(block.GetProperty("text").GetString()!.TrimEnd(), "I look.");
            }
            Assert.AreEqual(most < Call.Length ? "max_tokens" : "tool_use", answer.GetProperty("stop_reason").GetString());
        }
    }

    [TestMethod]
    public async Task Every_cut_leaves_text_or_a_whole_call_in_a_response()
    {
        for (var most = 0; most <= Call.Length; most++)
        {
            var answer = Json(await _server.AnswerAsync("v1/responses",
                $$"""{"model":"talker","max_output_tokens":{{most}},{{Response}}}"""));
            foreach (var item in answer.GetProperty("output").EnumerateArray())
            {
                if (item.GetProperty("type").GetString() == "function_call")
                    IsWhole(item.GetProperty("arguments").GetString()!);
                else
                    Assert.StartsWith(item.GetProperty("content")[0].GetProperty("text").GetString()!.TrimEnd(), "I look.");
            }
            Assert.AreEqual(most < Call.Length ? "incomplete" : "completed", answer.GetProperty("status").GetString());
        }
    }

    [TestMethod]
    [DataRow("Paris", "stop", 0)]
    [DataRow("get_w", "stop", 0)]
    [DataRow("tool_c", "stop", 0)]
    [DataRow("</tool_call>", "tool_calls", 1)]
    [DataRow("}}", "stop", 0)]
    public async Task A_stop_sequence_inside_a_call_stops_and_calls_nothing_by_half(string stop, string reason, int calls)
    {
        var answer = Json(await _server.AnswerAsync("v1/chat/completions", $$"""{"model":"talker","stop":["{{stop}}"],{{Chat}}}"""));
        var choice = answer.GetProperty("choices")[0];
        Assert.AreEqual(reason, choice.GetProperty("finish_reason").GetString());
        var message = choice.GetProperty("message");
        Assert.AreEqual("I look.", message.GetProperty("content").GetString());
        Assert.AreEqual(calls, message.TryGetProperty("tool_calls", out var told) ? told.GetArrayLength() : 0);
        if (calls > 0)
            IsWhole(told[0].GetProperty("function").GetProperty("arguments").GetString()!);
    }

    [TestMethod]
    [DataRow("{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Pa", "")]
    [DataRow("{\"na", "")]
    [DataRow("{\"name\": \"get_w", "")]
    [DataRow("{\"answer\": [1, 2", "{\"answer\": [1, 2")]
    [DataRow("{\"name\": \"Paul\", \"age\": 3", "{\"name\": \"Paul\", \"age\": 3")]
    public void Bare_JSON_that_is_cut_is_text_where_it_cannot_be_a_call(string answer, string text)
    {
        var parser = new AnswerParser(new AnswerFormat
        {
            Calls = ToolCallSyntax.Generic,
            Tools = new Dictionary<string, JsonElement> { ["get_weather"] = default },
        });
        var events = parser.Push(answer).Concat(parser.End(cut: true)).ToArray();
        Assert.AreEqual(text, string.Concat(events.Select(one => one.Text)));
    }

    [TestMethod]
    public void Parameters_that_are_cut_are_not_closed()
    {
        const string whole = "<tool_call>\n<function=f>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>";
        for (var length = 0; length < whole.Length; length++)
        {
            var parser = new AnswerParser(new AnswerFormat
            {
                Calls = ToolTemplates.Coder,
                Tools = new Dictionary<string, JsonElement> { ["f"] = JsonElement.Parse("""{"properties":{"city":{"type":"string"}}}""") },
            });
            var events = parser.Push(whole[..length]).Concat(parser.End(cut: true)).ToArray();
            Assert.AreEqual("", string.Concat(events.Select(one => one.Text)), whole[..length]);
            var arguments = string.Concat(events.Select(one => one.Call?.Arguments));
            Assert.StartsWith(arguments, """{"city": "Paris"}""", whole[..length]);
            Assert.AreEqual(parser.HasCalls && arguments != """{"city": "Paris"}""", parser.EndsInCall, whole[..length]);
        }
    }

    private static void IsWhole(string arguments) =>
        Assert.AreEqual("""{"city":"Paris","days":[1,2]}""", arguments.Replace(" ", "", StringComparison.Ordinal));

    private static JsonElement Json(string text) => JsonDocument.Parse(text).RootElement;
}
