using Shimmy.Server;
using Shimmy.Api;
using System.Net;
using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.Anthropic;

/// <summary>Requests and answers of <c>/v1/messages</c>.</summary>
[TestClass]
public sealed class MessagesTests
{
    private const string Route = "v1/messages";

    [TestMethod]
    [TestCategory("Unit")]
    public async Task A_stream_has_its_events_in_order()
    {
        await using var server = await ServerFixture.StartAsync();
        using var answer =
            await server.PostAsync(Route + "?beta=true",
                """{"model":"talker","max_tokens":2,"stream":true,"messages":[{"role":"user","content":"?"}]}""");

        Assert.AreEqual("text/event-stream", answer.Content.Headers.ContentType!.MediaType);
        Assert.AreEqual(
            """
            event: message_start
            data: {"type":"message_start","message":{"id":"msg_ID","type":"message","role":"assistant","model":"talker","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":6,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0,"service_tier":"standard"}}}

            event: content_block_start
            data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

            event: content_block_delta
            data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"I"}}

            event: content_block_delta
            data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" am"}}

            event: content_block_stop
            data: {"type":"content_block_stop","index":0}

            event: message_delta
            data: {"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null},"usage":{"input_tokens":6,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":2,"service_tier":"standard"}}

            event: message_stop
            data: {"type":"message_stop"}


            """, Transcript.Of(await answer.Content.ReadAsStringAsync()));
    }

    [TestMethod]
    [TestCategory("Unit")]
    public async Task A_whole_answer_tells_the_sequence_that_ended_it()
    {
        await using var server = await ServerFixture.StartAsync();
        var answer =
            await server.AnswerAsync(Route,
                """{"model":"talker","max_tokens":9,"stop_sequences":["nope"," talk"],"messages":[{"role":"user","content":"?"}]}""");

        Assert.AreEqual(
            """{"id":"msg_ID","type":"message","role":"assistant","model":"talker","content":[{"type":"text","text":"I am"}],"stop_reason":"stop_sequence","stop_sequence":" talk","usage":{"input_tokens":6,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":3,"service_tier":"standard"}}""",
            Transcript.Of(answer));
    }

    [TestMethod]
    [TestCategory("Unit")]
    [DataRow(3, false, "max_tokens")]
    [DataRow(4, false, "model_context_window_exceeded")]
    [DataRow(4, true, "max_tokens")]
    public async Task The_end_of_the_context_is_told_from_that_of_max_tokens(int most, bool asLlamaServer, string reason)
    {
        var mode = new LlamaServerMode { IsOn = asLlamaServer };
        mode.Loading.SetResult();
        var model = new FixedTokensModel(["a"u8.ToArray(), "b"u8.ToArray(), "c"u8.ToArray()], FinishReason.Length);
        await using var server = await ServerFixture.StartAsync(new OneModelEngine(model, template: null), entry => model.Spec with { Name = entry.Name, Path = entry.Path },
            new ServerOptions { LlamaServer = mode }, null, ["talker"], name => "/nowhere");
        var body = $$"""{"model":"talker","max_tokens":{{most}},"messages":[{"role":"user","content":"?"}]""";

        Assert.Contains($"\"stop_reason\":\"{reason}\",\"stop_sequence\":null", await server.AnswerAsync(Route, body + "}"));
        Assert.Contains($"\"delta\":{{\"stop_reason\":\"{reason}\"", await server.AnswerAsync(Route, body + ",\"stream\":true}"));
    }

    [TestMethod]
    [TestCategory("Unit")]
    public async Task Thinking_text_and_calls_are_blocks_of_their_own()
    {
        var engine = new ScriptedEngine
        {
            Answer = (_, _) =>
                ["<think>", "hm", "</think>", "Let me see.", "<tool_call>\n{\"name\": \"get_weather\", ",
                    "\"arguments\": {\"city\": \"Rome\"}}\n</tool_call>"],
            Facts = _ => Facts(ToolTemplates.Thinking),
        };
        await using var server = await ServerFixture.StartAsync(engine);
        const string body =
            """{"model":"talker","max_tokens":99,"messages":[{"role":"user","content":"?"}],"tools":[{"name":"get_weather","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}}]""";

        using var whole = JsonDocument.Parse(await server.AnswerAsync(Route, body + "}"));
        var blocks = whole.RootElement.GetProperty("content").EnumerateArray().ToArray();
        Assert.AreEqual("thinking text tool_use", string.Join(' ', blocks.Select(block => block.GetProperty("type").GetString())));
        Assert.AreEqual("hm", blocks[0].GetProperty("thinking").GetString());
        Assert.AreNotEqual("", blocks[0].GetProperty("signature").GetString());
        Assert.AreEqual("Rome", blocks[2].GetProperty("input").GetProperty("city").GetString());
        Assert.AreEqual("tool_use", whole.RootElement.GetProperty("stop_reason").GetString());

        var events = ServerSentEvents.Json(await server.AnswerAsync(Route, body + ",\"stream\":true}"));
        Assert.AreEqual("message_start", events[0].GetProperty("type").GetString());
        var open = -1;
        var inputs = "";
        foreach (var one in events[1..^2])
        {
            switch (one.GetProperty("type").GetString())
            {
                case "content_block_start":
                    Assert.AreEqual(open + 1, one.GetProperty("index").GetInt32());
                    open = one.GetProperty("index").GetInt32();
                    break;
                case "content_block_delta":
                    Assert.AreEqual(open, one.GetProperty("index").GetInt32());
                    inputs += one.GetProperty("delta").TryGetProperty("partial_json", out var json) ? json.GetString() : "";
                    break;
                default:
                    Assert.AreEqual(("content_block_stop", open),
                        (one.GetProperty("type").GetString(), one.GetProperty("index").GetInt32()));
                    break;
            }
        }
        Assert.AreEqual(2, open);
        Assert.AreEqual("Rome", JsonDocument.Parse(inputs).RootElement.GetProperty("city").GetString());
        Assert.AreEqual("message_delta message_stop", string.Join(' ', events[^2..].Select(one => one.GetProperty("type").GetString())));
        Assert.HasCount(1,
            events.Where(
                one => one.GetProperty("type").GetString() == "content_block_delta"
                    && one.GetProperty("delta").GetProperty("type").GetString() == "signature_delta").ToArray());
    }

    [TestMethod]
    [TestCategory("Unit")]
    public async Task Both_dialects_render_the_same_conversation_alike()
    {
        var prompts = new List<string>();
        var engine = new ScriptedEngine
        {
            Answer = (_, request) =>
            {
                prompts.Add(string.Concat(request.Prompt.Parts.Select(part => part.Text)));
                return ["ok"];
            },
            Facts = _ => Facts(ToolTemplates.Thinking),
        };
        await using var server = await ServerFixture.StartAsync(engine);
        await server.AnswerAsync(Route,
            """
            {"model":"talker","max_tokens":9,"system":[{"type":"text","text":"x-anthropic-billing-header: a=1; cch=83ab;"},{"type":"text","text":"Be kind.","cache_control":{"type":"ephemeral"}}],
             "tools":[{"name":"get_weather","description":"Weather.","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}},{"type":"web_search_20250305","name":"web_search","max_uses":3}],
             "messages":[{"role":"user","content":[{"type":"text","text":"Weather in Rome?"}]},
              {"role":"assistant","content":[{"type":"thinking","thinking":"I look.","signature":"c2ln"},{"type":"redacted_thinking","data":"x"},{"type":"tool_use","id":"toolu_1","name":"get_weather","input":{"city":"Rome"}}]},
              {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"sunny"}]},{"type":"text","text":"And Oslo?"}]}]}
            """);
        await server.AnswerAsync("v1/chat/completions",
            """
            {"model":"talker","tools":[{"type":"function","function":{"name":"get_weather","description":"Weather.","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}],
             "messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Weather in Rome?"},
              {"role":"assistant","content":null,"reasoning_content":"I look.","tool_calls":[{"id":"toolu_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Rome\"}"}}]},
              {"role":"tool","tool_call_id":"toolu_1","content":"sunny"},{"role":"user","content":"And Oslo?"}]}
            """);

        Assert.HasCount(2, prompts);
        Assert.AreEqual(prompts[1], prompts[0]);
        Assert.DoesNotContain("billing", prompts[0]);
        Assert.Contains("sunny", prompts[0]);
    }

    [TestMethod]
    [TestCategory("Worker")]
    public async Task Usage_tells_what_the_prefix_cache_did_where_caching_was_asked_for_and_counts_agree()
    {
        await using var server = await WorkerServer.StartAsync();
        const string turn =
            """{"role":"user","content":"Once upon a time there was a fox who lived in a forest and was hungry all day."}""";
        static string Body(string system, string more, string messages) =>
            $$"""{"model":"noise","max_tokens":4,"system":{{system}},"messages":[{{messages}}]{{more}}}""";
        const string plain = "\"You tell stories.\"";

        using var counted =
            JsonDocument.Parse(
                await server.Http.AnswerAsync(Route + "/count_tokens",
                    $$"""{"model":"noise","messages":[{{turn}}],"system":{{plain}} }"""));
        for (var round = 0; round < 2; round++)
        {
            using var told = JsonDocument.Parse(await server.Http.AnswerAsync(Route, Body(plain, "", turn)));
            Assert.AreEqual(counted.RootElement.GetProperty("input_tokens").GetInt32(),
                told.RootElement.GetProperty("usage").GetProperty("input_tokens").GetInt32());
        }

        static string Cached(int nonce) =>
            $$"""[{"type":"text","text":"x-anthropic-billing-header: cc_version=1; cch={{nonce}};"},{"type":"text","text":"You tell stories.","cache_control":{"type":"ephemeral"} }]""";
        using var first = JsonDocument.Parse(await server.Http.AnswerAsync(Route, Body(Cached(1), "", turn)));
        using var second =
            JsonDocument.Parse(
                await server.Http.AnswerAsync(Route,
                    Body(Cached(2),
                        "", turn + ",{\"role\":\"assistant\",\"content\":\"The end.\"},{\"role\":\"user\",\"content\":\"Go on.\"}")));
        var usage = second.RootElement.GetProperty("usage");
        Assert.IsGreaterThan(counted.RootElement.GetProperty("input_tokens").GetInt32() / 2,
            usage.GetProperty("cache_read_input_tokens").GetInt32());
        Assert.IsGreaterThan(0, usage.GetProperty("cache_creation_input_tokens").GetInt32());
    }

    [TestMethod]
    [TestCategory("Unit")]
    public async Task A_budget_of_thinking_is_enforced_and_the_answer_goes_on()
    {
        var prompts = new List<string>();
        var engine = new ScriptedEngine
        {
            Answer = (_, request) =>
            {
                prompts.Add(string.Concat(request.Prompt.Parts.Select(part => part.Text)));
                return prompts.Count == 1 ? Enumerable.Repeat(" hm", 5000).Prepend("<think>") : ["Done."];
            },
            Facts = _ => Facts(ToolTemplates.Thinking),
        };
        await using var server = await ServerFixture.StartAsync(engine);
        using var answer = JsonDocument.Parse(await server.AnswerAsync(Route,
            """{"model":"talker","max_tokens":3000,"thinking":{"type":"enabled","budget_tokens":1024},"messages":[{"role":"user","content":"?"}]}"""));

        var blocks = answer.RootElement.GetProperty("content").EnumerateArray().ToArray();
        Assert.AreEqual("thinking text", string.Join(' ', blocks.Select(block => block.GetProperty("type").GetString())));
        Assert.AreEqual("Done.", blocks[1].GetProperty("text").GetString());
        Assert.IsInRange(1020, 1030, blocks[0].GetProperty("thinking").GetString()!.Split(' ').Length);
        Assert.IsInRange(1025, 1040, answer.RootElement.GetProperty("usage").GetProperty("output_tokens").GetInt32());
        Assert.EndsWith(" hm\n</think>\n\n", prompts[1]);
        Assert.StartsWith(prompts[0], prompts[1]);
    }

    [TestMethod]
    [TestCategory("Unit")]
    [DataRow("""{"messages":[{"role":"user","content":"a"}]}""", "max_tokens: is missing")]
    [DataRow("""{"max_tokens":-3,"messages":[{"role":"user","content":"a"}]}""", "max_tokens: must be a whole number")]
    [DataRow("""{"max_tokens":5}""", "messages: is missing")]
    [DataRow("""{"max_tokens":5,"messages":[]}""", "messages: is empty")]
    [DataRow("""{"max_tokens":5,"messages":[{"role":"tool","content":"a"}]}""", "messages[0].role: must be one of")]
    [DataRow("""{"max_tokens":5,"messages":[{"role":"user","content":7}]}""", "messages[0].content: must be a string or an array")]
    [DataRow("""{"max_tokens":5,"messages":[{"role":"user","content":[{"type":"image","source":{}}]}]}""", "messages[0].content[0].source.type: is missing")]
    [DataRow("""{"max_tokens":5,"messages":[{"role":"user","content":[{"type":"tool_result"}]}]}""", "messages[0].content[0].tool_use_id: is missing")]
    [DataRow("""{"max_tokens":5,"temperature":1.5,"messages":[{"role":"user","content":"a"}]}""", "temperature: must be a number from 0 to 1")]
    [DataRow("""{"max_tokens":5,"stop_sequences":[1],"messages":[{"role":"user","content":"a"}]}""", "stop_sequences[0]: must be a string")]
    [DataRow("""{"max_tokens":5,"system":5,"messages":[{"role":"user","content":"a"}]}""", "system: must be a string or an array")]
    [DataRow("""{"max_tokens":5,"thinking":{"type":"enabled"},"messages":[{"role":"user","content":"a"}]}""", "thinking.budget_tokens: is missing")]
    [DataRow("""{"max_tokens":1024,"thinking":{"type":"enabled","budget_tokens":1024},"messages":[{"role":"user","content":"a"}]}""", "thinking.budget_tokens: must be less than max_tokens")]
    [DataRow("""{"max_tokens":5,"tools":[{"name":"a"}],"messages":[{"role":"user","content":"a"}]}""", "tools[0].input_schema: is missing")]
    [DataRow("""{"max_tokens":5,"tool_choice":{"type":"any"},"tools":[{"type":"bash_20250124","name":"bash"}],"messages":[{"role":"user","content":"a"}]}""", "tool_choice: requires a tool call")]
    [DataRow("""{"max_tokens":5,"tool_choice":{"type":"tool","name":"bash"},"tools":[{"type":"bash_20250124","name":"bash"}],"messages":[{"role":"user","content":"a"}]}""", "tool_choice.name: 'bash' is not one of the tools")]
    public async Task What_is_wrong_is_named_in_Anthropics_form(string body, string message)
    {
        await using var server = await ServerFixture.StartAsync();
        using var answer = await server.PostAsync(Route, $$"""{"model":"talker",{{body[1..]}}""");
        var text = await answer.Content.ReadAsStringAsync();

        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode, text);
        using var json = JsonDocument.Parse(text);
        Assert.AreEqual("error", json.RootElement.GetProperty("type").GetString());
        Assert.AreEqual("invalid_request_error", json.RootElement.GetProperty("error").GetProperty("type").GetString());
        Assert.StartsWith(message, json.RootElement.GetProperty("error").GetProperty("message").GetString());
        Assert.AreEqual(answer.Headers.GetValues("request-id").Single(), json.RootElement.GetProperty("request_id").GetString());
        Assert.IsEmpty(server.Residency.Resident);
    }

    [TestMethod]
    [TestCategory("Unit")]
    public async Task A_model_of_Anthropics_own_is_none_of_ours()
    {
        await using var server = await ServerFixture.StartAsync();
        using var answer =
            await server.PostAsync(Route, """{"model":"claude-sonnet-4-5","max_tokens":5,"messages":[{"role":"user","content":"a"}]}""");

        Assert.AreEqual(HttpStatusCode.NotFound, answer.StatusCode);
        Assert.AreEqual("not_found_error", (await answer.JsonAsync()).GetProperty("error").GetProperty("type").GetString());
    }

    [TestMethod]
    [TestCategory("Unit")]
    public async Task What_breaks_a_stream_is_an_error_event()
    {
        var engine = new ScriptedEngine { Answer = (_, _) => Broken() };
        await using var server = await ServerFixture.StartAsync(engine);
        using var stream =
            await server.OpenAsync(Route, """{"model":"talker","max_tokens":5,"stream":true,"messages":[{"role":"user","content":"a"}]}""");
        var lines = new List<string>();
        using var reader = new StreamReader(await stream.Content.ReadAsStreamAsync());
        try
        {
            while (await reader.ReadLineAsync() is { } line)
                lines.Add(line);
        }
        catch (IOException)
        {
            // The connection ends without the body's end.
        }

        Assert.Contains("event: error", lines);
        Assert.Contains("\"type\":\"api_error\"", lines[lines.IndexOf("event: error") + 1]);

        static IEnumerable<string> Broken()
        {
            yield return "I";
            throw new EngineException(EngineFailure.GenerationFailed, "no luck");
        }
    }

    private static ModelFacts Facts(string template) => new()
    {
        Architecture = "scripted",
        Description = "",
        Slots = 1,
        ContextLength = 10_000,
        ChatTemplates = new Dictionary<string, string> { ["default"] = template },
    };
}
