using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.OpenAI.Responses;

/// <summary>What a model reads of the items that a client sends, or of those that are stored.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ResponseConversationTests
{
    private const string Route = "v1/responses";
    private const string Call = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>";

    [TestMethod]
    public async Task A_tool_round_trips_by_previous_response_id()
    {
        var seen = new List<GenerationRequest>();
        await using var server =
            await ServerFixture.StartAsync(ResponseEvents.Thinker(seen, "<think>\nlook it up\n</think>\n\n" + Call, "It rains.", "Bye."));
        var first =
            await Answer(server, $$"""{"model":"talker","instructions":"rules","input":"Oslo?","tools":[{{ResponseEvents.Weather}}]}""");
        var call = first.GetProperty("output")[1];
        var second = await Answer(server, $$"""
            {"model":"talker","previous_response_id":{{first.GetProperty("id").GetRawText()}},"tools":[{{ResponseEvents.Weather}}],
             "input":[{"type":"function_call_output","call_id":{{call.GetProperty("call_id").GetRawText()}},"output":"rain"}]}
            """);
        var third =
            await Answer(server,
                $$"""{"model":"talker","previous_response_id":{{second.GetProperty("id").GetRawText()}},"input":"thanks"}""");

        Assert.AreEqual("It rains.", second.GetProperty("output")[0].GetProperty("content")[0].GetProperty("text").GetString());
        Assert.AreEqual(first.GetProperty("id").GetString(), second.GetProperty("previous_response_id").GetString());
        // Instructions are those of their own request alone.
        var turns =
            $"<|im_start|>user\nOslo?<|im_end|>\n<|im_start|>assistant\n<think>\nlook it up\n</think>\n\n\n{Call}<|im_end|>\n<|im_start|>tool\nrain<|im_end|>\n";
        Assert.Contains("<|im_start|>system\nrules<|im_end|>\n", seen[0].Text());
        Assert.EndsWith("<|im_end|>\n" + turns + "<|im_start|>assistant\n", seen[1].Text());
        Assert.DoesNotContain("rules", seen[1].Text());
        Assert.AreEqual(turns + "<|im_start|>assistant\nIt rains.<|im_end|>\n<|im_start|>user\nthanks<|im_end|>\n<|im_start|>assistant\n",
            seen[2].Text());
        Assert.AreEqual("Bye.", third.GetProperty("output")[0].GetProperty("content")[0].GetProperty("text").GetString());
    }

    [TestMethod]
    public async Task Items_become_turns()
    {
        var seen = new List<GenerationRequest>();
        await using var server = await ServerFixture.StartAsync(ResponseEvents.Thinker(seen, "ok"));
        await Answer(server,
            """
            {"model":"talker","input":[
              {"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_text","text":"b<|im_end|>"}]},
              {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"short"}],"content":[{"type":"reasoning_text","text":"long"}]},
              {"type":"message","role":"assistant","id":"msg_1","status":"completed","content":[{"type":"output_text","text":"c","annotations":[]},{"type":"refusal","refusal":"no"}]},
              {"type":"function_call","call_id":"1","name":"f","arguments":"{\"x\":1}"},
              {"type":"function_call","call_id":"2","name":"g","arguments":"{}"},
              {"type":"function_call_output","call_id":"1","output":[{"type":"input_text","text":"one"}]},
              {"type":"function_call_output","call_id":"2","output":"two"},
              {"type":"reasoning","id":"rs_2","summary":[{"type":"summary_text","text":"only a summary"}]},
              {"role":"assistant","content":"d"},
              {"type":"reasoning","id":"rs_3","summary":[],"encrypted_content":"another server's"},
              {"role":"assistant","content":"e"},
              {"role":"user","content":"f"}]}
            """);

        Assert.AreEqual(
            "<|im_start|>user\nab<|im_end|><|im_end|>\n"
            + "<|im_start|>assistant\n<think>\nlong\n</think>\n\ncno\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n</tool_call>\n<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call><|im_end|>\n"
            + "<|im_start|>tool\none<|im_end|>\n<|im_start|>tool\ntwo<|im_end|>\n"
            + "<|im_start|>assistant\n<think>\nonly a summary\n</think>\n\nd<|im_end|>\n<|im_start|>assistant\ne<|im_end|>\n<|im_start|>user\nf<|im_end|>\n<|im_start|>assistant\n",
            seen[0].Text());
        Assert.IsTrue(seen[0].Prompt.Parts.Where(part => part.Text.Contains("b<|im_end|>", StringComparison.Ordinal))
            .All(part => !part.ParseSpecial));
    }

    [TestMethod]
    public async Task Thoughts_survive_a_client_that_brings_back_only_what_is_encrypted()
    {
        var seen = new List<GenerationRequest>();
        await using var server = await ServerFixture.StartAsync(ResponseEvents.Thinker(seen, "<think>\nsecret é\n</think>\n\nhello"));
        var first = await Answer(server, """{"model":"talker","store":false,"include":["reasoning.encrypted_content"],"input":"hi"}""");
        var thoughts = first.GetProperty("output")[0].GetProperty("encrypted_content").GetRawText();
        await Answer(server, $$"""
            {"model":"talker","store":false,"input":[{"role":"user","content":"hi"},{"type":"reasoning","summary":[],"content":null,"encrypted_content":{{thoughts}}},
             {"role":"assistant","content":[{"type":"output_text","text":"hello"}]},{"role":"user","content":"more"}]}
            """);

        Assert.Contains("<think>\nsecret é\n</think>\n\nhello", seen[1].Text());
    }

    [TestMethod]
    public async Task A_reference_stands_for_an_item_that_is_stored()
    {
        var seen = new List<GenerationRequest>();
        await using var server = await ServerFixture.StartAsync(ResponseEvents.Thinker(seen, "hello"));
        var first = await Answer(server, """{"model":"talker","input":[{"id":"msg_mine","role":"user","content":"hi"}]}""");
        await Answer(server, $$"""
            {"model":"talker","input":[{"type":"item_reference","id":"msg_mine"},{"id":{{first.GetProperty("output")[0].GetProperty("id").GetRawText()}}},{"role":"user","content":"more"}]}
            """);

        Assert.AreEqual(
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nhello<|im_end|>\n<|im_start|>user\nmore<|im_end|>\n<|im_start|>assistant\n", seen[1].Text());
        using var unknown = await server.PostAsync(Route, """{"model":"talker","input":[{"type":"item_reference","id":"msg_other"}]}""");
        Assert.AreEqual(404, (int)unknown.StatusCode);
        Assert.AreEqual("input[0].id", (await unknown.JsonAsync()).GetProperty("error").GetProperty("param").GetString());
    }

    // What the Codex CLI sends on the second turn of a session: its whole history, tools of kinds that we do not have, nothing stored.
    [TestMethod]
    public async Task A_request_of_Codex_is_answered()
    {
        var seen = new List<GenerationRequest>();
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(ResponseEvents.Thinker(seen,
            "<think>\nlist first\n</think>\n\n<tool_call>\n{\"name\": \"exec_command\", \"arguments\": {\"cmd\": \"ls\"}}\n</tool_call>"),
                loggers: log);
        var stream = await server.AnswerAsync(Route,
            """
            {"model":"talker","instructions":"You are a coding agent.",
             "input":[
              {"type":"message","role":"developer","content":[{"type":"input_text","text":"<permissions>read only</permissions>"}]},
              {"type":"message","role":"user","content":[{"type":"input_text","text":"<environment_context>\n  <cwd>/repo</cwd>\n</environment_context>"}]},
              {"type":"message","role":"user","content":[{"type":"input_text","text":"What is here?"}]},
              {"type":"reasoning","summary":[],"content":null,"encrypted_content":null},
              {"type":"function_call","name":"exec_command","arguments":"{\"cmd\":\"pwd\"}","call_id":"call_abc"},
              {"type":"function_call_output","call_id":"call_abc","output":"Exit code: 0\nOutput:\n/repo\n"}],
             "tools":[
              {"type":"function","name":"exec_command","description":"Runs a command.","strict":false,"parameters":{"type":"object","properties":{"cmd":{"type":"string"},"yield_time_ms":{"type":"number"}},"required":["cmd"],"additionalProperties":false}},
              {"type":"custom","name":"apply_patch","description":"Edits files.","format":{"type":"grammar","syntax":"lark","definition":"start: \"x\""}},
              {"type":"web_search","external_web_access":false},
              {"type":"image_generation","output_format":"png"},
              {"type":"namespace","name":"mcp__files","description":"","tools":[{"type":"function","name":"read","description":"","strict":false,"parameters":{"type":"object","properties":{}}}]}],
             "tool_choice":"auto","parallel_tool_calls":true,"reasoning":{"effort":"medium","summary":"auto"},"store":false,"stream":true,
             "include":["reasoning.encrypted_content"],"prompt_cache_key":"019a0000-0000-7000-8000-000000000000","text":{"verbosity":"low"},
             "client_metadata":{"x-codex-installation-id":"1"}}
            """);

        var events = ResponseEvents.Read(stream);
        var done = events.Where(occurred => occurred.Type() == "response.output_item.done")
            .Select(occurred => occurred.GetProperty("item")).ToArray();
        Assert.AreEqual(("reasoning", "function_call"), (done[0].Type(), done[1].Type()));
        Assert.AreEqual(("exec_command", "{\"cmd\": \"ls\"}"),
            (done[1].GetProperty("name").GetString(), done[1].GetProperty("arguments").GetString()));
        Assert.AreEqual("response.completed", events[^1].Type());
        var usage = events[^1].GetProperty("response").GetProperty("usage");
        Assert.AreEqual(usage.GetProperty("total_tokens").GetInt32(), usage.GetProperty("input_tokens")
            .GetInt32() + usage.GetProperty("output_tokens").GetInt32());
        var prompt = seen[0].Text();
        Assert.Contains("<|im_start|>system\nYou are a coding agent.\n\n<permissions>read only</permissions><|im_end|>", prompt);
        Assert.Contains("<|im_start|>tool\nExit code: 0\nOutput:\n/repo\n<|im_end|>", prompt);
        Assert.Contains("exec_command", prompt);
        foreach (var type in (string[])["custom", "web_search", "image_generation", "namespace"])
            await log.WaitForAsync($"skipped a tool of type {type}:");
        Assert.DoesNotContain("apply_patch", prompt);
        using var nothing = await server.Client.GetAsync($"{Route}/{events[^1].GetProperty("response").GetProperty("id").GetString()}");
        Assert.AreEqual(404, (int)nothing.StatusCode);
    }

    [TestMethod]
    public async Task What_the_template_refuses_is_the_input()
    {
        await using var server = await ServerFixture.StartAsync(ResponseEvents.Thinker([], "ok"));
        foreach (var route in (string[])[Route, Route + "/input_tokens"])
        {
            using var answer = await server.PostAsync(route, """{"model":"talker","input":"bad","chat_template_kwargs":{"a":null}}""");
            var error = (await answer.JsonAsync()).GetProperty("error");
            Assert.AreEqual((400, "input"), ((int)answer.StatusCode, error.GetProperty("param").GetString()));
            Assert.StartsWith("input: ", error.GetProperty("message").GetString()!);
            Assert.Contains("nothing bad is said here", error.GetProperty("message").GetString()!);
        }
    }

    [TestMethod]
    [DataRow("null")]
    [DataRow("{\"a\":1}")]
    public async Task Variables_of_the_template_may_be_null(string value)
    {
        var seen = new List<GenerationRequest>();
        await using var server = await ServerFixture.StartAsync(ResponseEvents.Thinker(seen, "ok"));
        await Answer(server, $$$"""
            {"model":"talker","input":"?","chat_template_kwargs":{"tail":{{{value}}}}}
            """);
        await server.AnswerAsync("v1/chat/completions", $$$"""
            {"model":"talker","messages":[{"role":"user","content":"?"}],"chat_template_kwargs":{"tail":{{{value}}}}}
            """);
        Assert.AreEqual(2,
            seen.Count(request =>
                request.Text().EndsWith(value == "null" ? "assistant\n" : "assistant\n{\"a\": 1}", StringComparison.Ordinal)));
    }

    [TestMethod]
    [DataRow("\"required\"", true)]
    [DataRow("{\"type\":\"function\",\"name\":\"weather\"}", true)]
    [DataRow("{\"type\":\"allowed_tools\",\"mode\":\"required\",\"tools\":[{\"type\":\"function\",\"name\":\"weather\"}]}", true)]
    [DataRow("{\"type\":\"allowed_tools\",\"mode\":\"auto\",\"tools\":[{\"type\":\"function\",\"name\":\"weather\"}]}", false)]
    [DataRow("\"auto\"", false)]
    public async Task A_choice_of_tools_is_enforced(string choice, bool required)
    {
        var seen = new List<GenerationRequest>();
        await using var server = await ServerFixture.StartAsync(ResponseEvents.Thinker(seen, Call));
        var answer = await Answer(server, $$"""
            {"model":"talker","input":"?","tool_choice":{{choice}},"tools":[{{ResponseEvents.Weather}}]}
            """);

        Assert.AreEqual(choice, answer.GetProperty("tool_choice").GetRawText());
        Assert.IsNotNull(seen[0].Grammar);
        // Auto is free until a call begins.
        Assert.AreEqual(required, seen[0].GrammarTrigger is null);
    }

    private static async Task<JsonElement> Answer(ServerFixture server, string body)
    {
        using var document = JsonDocument.Parse(await server.AnswerAsync(Route, body));
        return document.RootElement.Clone();
    }
}
