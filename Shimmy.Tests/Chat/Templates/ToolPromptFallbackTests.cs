using System.Text.Json;
using Shimmy.Chat.Grammars;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Chat.Templates;

/// <summary>Tools where the template knows none, and tools beside a form for answers in words.</summary>
[TestClass]
public sealed class ToolPromptFallbackTests
{
    private const string Tools =
        """
        "tools":[{"type":"function","function":{"name":"get_weather","description":"Weather in a city","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]
        """;

    [TestMethod]
    [TestCategory("Unit")]
    public async Task A_template_without_tools_gets_them_as_text_and_bare_JSON_is_a_call()
    {
        GenerationRequest? seen = null;
        var engine = new ScriptedEngine
        {
            Answer = (_, request) =>
            {
                seen = request;
                return ["{\"name\": \"get", "_weather\", \"arguments\": {\"city\": ", "\"Rome\"}}"];
            },
        };
        await using var server = await ServerFixture.StartAsync(engine);
        var answer = JsonDocument.Parse(await server.AnswerAsync("v1/chat/completions",
            $$$"""
            {"model":"talker",{{{Tools}}},"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Paris?"},
             {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Paris\"}"}}]},
             {"role":"tool","tool_call_id":"c1","content":"rain"},{"role":"user","content":"Rome?"}]}
            """)).RootElement.GetProperty("choices")[0];

        var call = answer.GetProperty("message").GetProperty("tool_calls")[0].GetProperty("function");
        Assert.AreEqual(("get_weather", "tool_calls"),
            (call.GetProperty("name").GetString(), answer.GetProperty("finish_reason").GetString()));
        Assert.AreEqual("Rome", JsonDocument.Parse(call.GetProperty("arguments").GetString()!).RootElement.GetProperty("city").GetString());
        var prompt = string.Concat(seen!.Prompt.Parts.Select(part => part.Text));
        Assert.StartsWith("Be kind.\n\nYou can call functions.", prompt);
        Assert.Contains("- get_weather: Weather in a city\n  parameters: {\"type\":\"object\"", prompt);
        Assert.Contains("Assistant: {\"name\": \"get_weather\", \"arguments\": {\"city\":\"Paris\"}}", prompt);
        Assert.Contains("User: Result of get_weather: rain\n\nRome?", prompt);
    }

    [TestMethod]
    [TestCategory("Worker")]
    public async Task Required_and_a_form_for_words_hold_a_model_that_answers_noise()
    {
        await using var server = await WorkerServer.StartAsync();
        for (var seed = 0; seed < 6; seed++)
        {
            var ask = $$"""{"model":"noise",{{Tools}},"seed":{{seed}},"temperature":1,"max_tokens":400,"messages":[{"role":"user","content":"?"}]""";
            var called = Message(await server.Http.AnswerAsync("v1/chat/completions", ask + ",\"tool_choice\":\"required\"}"));
            Held(called, mustCall: true);
            Held(Message(await server.Http.AnswerAsync("v1/chat/completions", ask +
                ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"schema\":{\"type\":\"object\",\"properties\":{\"ok\":{\"type\":\"boolean\"}},\"required\":[\"ok\"],\"additionalProperties\":false}}}}")), mustCall: false);
        }

        static JsonElement Message(string answer) => JsonDocument.Parse(answer).RootElement.GetProperty("choices")[0];

        static void Held(JsonElement choice, bool mustCall)
        {
            // An answer that ran out of tokens in the middle of a text proves nothing.
            if (choice.GetProperty("finish_reason").GetString() == "length")
                return;
            var message = choice.GetProperty("message");
            if (message.TryGetProperty("tool_calls", out var calls))
            {
                Assert.AreEqual("get_weather", calls[0].GetProperty("function").GetProperty("name").GetString());
                using var arguments = JsonDocument.Parse(calls[0].GetProperty("function").GetProperty("arguments").GetString()!);
                Assert.AreEqual(JsonValueKind.String, arguments.RootElement.GetProperty("city").ValueKind);
                return;
            }
            Assert.IsFalse(mustCall, choice.GetRawText());
            using var words = JsonDocument.Parse(message.GetProperty("content").GetString()!);
            Assert.IsTrue(words.RootElement.GetProperty("ok").ValueKind is JsonValueKind.True or JsonValueKind.False);
        }
    }

    [TestMethod]
    [TestCategory("Unit")]
    public void Rules_of_two_grammars_keep_apart_and_what_is_no_name_stays()
    {
        const string grammar = "root ::= \"a\\\"root\" [b\\]c-d]{1,2} part # root\npart ::= \"x\"";

        var both = Grammar.Parse(grammar).Or(Grammar.Parse("root ::= \"y\"")).Text;

        Assert.AreEqual(
            "root ::= a-root | b-root\na-root ::= \"a\\\"root\" [b\\]c-d]{1,2} a-part # root\na-part ::= \"x\"\nb-root ::= \"y\"\n", both);
        GrammarCheck.Parse(both);
    }
}
