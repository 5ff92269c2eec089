using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.OpenAI.Responses;

/// <summary><c>/v1/responses</c> byte by byte.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ResponseTranscriptTests
{
    private const string Route = "v1/responses";

    private const string Rest =
        """
        "parallel_tool_calls":true,"previous_response_id":null,"prompt_cache_key":null,"reasoning":{"effort":null,"summary":null},"safety_identifier":null,"service_tier":"default","store":true,"temperature":0.8,"text":{"format":{"type":"text"},"verbosity":"medium"},"tool_choice":"auto","tools":[],"top_logprobs":0,"top_p":0.95,"truncation":"disabled"
        """;

    [TestMethod]
    public async Task A_whole_answer_is_one_object()
    {
        await using var server = await ServerFixture.StartAsync();
        using var answer = await server.PostAsync(Route, """{"model":"talker","input":"one two three","user":"me","metadata":{"a":"b"}}""");

        Assert.AreEqual("application/json", answer.Content.Headers.ContentType!.ToString());
        Assert.AreEqual(
            """{"id":"resp_1","object":"response","created_at":0,"status":"completed","background":false,"error":null,"incomplete_details":null,"instructions":null,"max_output_tokens":null,"max_tool_calls":null,"model":"talker","output":[{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"I am talker"}]}],"""
            + Rest + ""","usage":{"input_tokens":8,"input_tokens_details":{"cached_tokens":0},"output_tokens":3,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":11},"user":"me","metadata":{"a":"b"}}""",
            ResponseEvents.Normal(await answer.Content.ReadAsStringAsync()));
    }

    [TestMethod]
    public async Task A_stream_has_every_event_in_order()
    {
        await using var server = await ServerFixture.StartAsync();
        using var answer =
            await server.PostAsync(Route,
                """{"model":"talker","stream":true,"max_output_tokens":2,"input":[{"role":"user","content":"hi"}]}""");

        Assert.AreEqual("text/event-stream; charset=utf-8", answer.Content.Headers.ContentType!.ToString());
        var stream = await answer.Content.ReadAsStringAsync();
        ResponseEvents.Read(stream);
        var head = """{"id":"resp_1","object":"response","created_at":0,"status":"in_progress","background":false,"error":null,"incomplete_details":null,"instructions":null,"max_output_tokens":2,"max_tool_calls":null,"model":"talker","output":[],""" + Rest + ""","usage":null,"user":null,"metadata":{}}""";
        const string item =
            """{"id":"msg_1","type":"message","status":"incomplete","role":"assistant","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"I am"}]}""";
        var tail = head.Replace("in_progress", "incomplete", StringComparison.Ordinal)
            .Replace("\"incomplete_details\":null", "\"incomplete_details\":{\"reason\":\"max_output_tokens\"}", StringComparison.Ordinal)
            .Replace("\"output\":[]", $"\"output\":[{item}]", StringComparison.Ordinal)
            .Replace("\"usage\":null",
                "\"usage\":"
                    + """{"input_tokens":6,"input_tokens_details":{"cached_tokens":0},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":8}""", StringComparison.Ordinal);
        Assert.AreEqual(
            $$$"""
            event: response.created
            data: {"type":"response.created","sequence_number":0,"response":{{{head}}}}

            event: response.in_progress
            data: {"type":"response.in_progress","sequence_number":1,"response":{{{head}}}}

            event: response.output_item.added
            data: {"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]}}

            event: response.content_part.added
            data: {"type":"response.content_part.added","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}}

            event: response.output_text.delta
            data: {"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"I","logprobs":[]}

            event: response.output_text.delta
            data: {"type":"response.output_text.delta","sequence_number":5,"item_id":"msg_1","output_index":0,"content_index":0,"delta":" am","logprobs":[]}

            event: response.output_text.done
            data: {"type":"response.output_text.done","sequence_number":6,"item_id":"msg_1","output_index":0,"content_index":0,"text":"I am","logprobs":[]}

            event: response.content_part.done
            data: {"type":"response.content_part.done","sequence_number":7,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":"I am"}}

            event: response.output_item.done
            data: {"type":"response.output_item.done","sequence_number":8,"output_index":0,"item":{{{item}}}}

            event: response.incomplete
            data: {"type":"response.incomplete","sequence_number":9,"response":{{{tail}}}}


            """, ResponseEvents.Normal(stream));
    }

    [TestMethod]
    public async Task Thoughts_text_and_calls_are_items_of_their_own_streamed_or_not()
    {
        var seen = new List<GenerationRequest>();
        const string answer =
            "<think>\nhmm, so\n</think>\n\nLet me look.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>";
        await using var server = await ServerFixture.StartAsync(ResponseEvents.Thinker(seen, answer));
        const string body = """{"model":"talker","store":false,"input":"?","tools":[WEATHER]}""";
        var asked = body.Replace("WEATHER", ResponseEvents.Weather, StringComparison.Ordinal);

        using var whole = JsonDocument.Parse(await server.AnswerAsync(Route, asked));
        var stream = await server.AnswerAsync(Route, asked.Replace("{\"model\"", "{\"stream\":true,\"model\"", StringComparison.Ordinal));
        var events = ResponseEvents.Read(stream);

        var output = ResponseEvents.Normal(whole.RootElement.GetProperty("output").GetRawText());
        Assert.AreEqual(
            """[{"id":"rs_1","type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"hmm, so"}]},{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"Let me look."}]},{"id":"fc_1","type":"function_call","status":"completed","arguments":"{\"city\": \"Oslo\"}","call_id":"call_1","name":"weather"},{"id":"fc_2","type":"function_call","status":"completed","arguments":"{\"city\": \"Rome\"}","call_id":"call_2","name":"weather"}]""",
            output);
        Assert.AreEqual(output, ResponseEvents.Normal(events[^1].GetProperty("response").GetProperty("output").GetRawText()));
        Assert.AreEqual("completed", whole.RootElement.GetProperty("status").GetString());
        // The scripted tokens are words.
        Assert.AreEqual(2, whole.RootElement.GetProperty("usage").GetProperty("output_tokens_details")
            .GetProperty("reasoning_tokens").GetInt32());
        Assert.AreEqual(ResponseEvents.Weather, whole.RootElement.GetProperty("tools")[0].GetRawText());
        string[] kinds = [.. events.Select(occurred => occurred.Type()).Aggregate(new List<string>(), (all, type) =>
        {
            if (all.LastOrDefault() != type)
                all.Add(type);
            return all;
        })];
        CollectionAssert.AreEqual(
            new[]
            {
                "response.created", "response.in_progress",
                "response.output_item.added", "response.content_part.added", "response.reasoning_text.delta",
                    "response.reasoning_text.done", "response.content_part.done", "response.output_item.done",
                "response.output_item.added", "response.content_part.added", "response.output_text.delta",
                    "response.output_text.done", "response.content_part.done", "response.output_item.done",
                "response.output_item.added", "response.function_call_arguments.delta",
                    "response.function_call_arguments.done", "response.output_item.done",
                "response.output_item.added", "response.function_call_arguments.delta",
                    "response.function_call_arguments.done", "response.output_item.done",
                "response.completed",
            }, kinds);
    }

    [TestMethod]
    public async Task An_empty_answer_is_an_empty_message()
    {
        await using var server = await ServerFixture.StartAsync(new ScriptedEngine { Answer = (_, _) => [] });
        const string body = """{"model":"talker","input":"?"}""";
        using var whole = JsonDocument.Parse(await server.AnswerAsync(Route, body));
        ResponseEvents.Read(await server.AnswerAsync(Route, """{"model":"talker","stream":true,"input":"?"}"""));

        Assert.AreEqual("", whole.RootElement.GetProperty("output")[0].GetProperty("content")[0].GetProperty("text").GetString());
    }

    [TestMethod]
    public async Task A_failure_in_the_middle_is_an_error_and_a_failed_response_and_the_body_has_no_end()
    {
        await using var server = await ServerFixture.StartAsync(new ScriptedEngine { Answer = (_, _) => Failing() });
        const string body = """{"model":"talker","stream":true,"input":"?"}""";
        var answer = await server.RawAsync($"POST /{Route} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {body.Length}\r\n\r\n{body}");

        Assert.Contains("\"delta\":\"one\"", answer);
        Assert.Contains("""
            data: {"type":"error","sequence_number":8,"code":"generation_failed","message":"the worker died","param":null}
            """.Trim(), answer);
        Assert.Contains("""
            "status":"failed","background":false,"error":{"code":"server_error","message":"the worker died"}
            """.Trim(), answer);
        Assert.EndsWith("}}\n\n\r\n", answer);
        using var plain = await server.PostAsync(Route, """{"model":"talker","input":"?"}""");
        Assert.AreEqual(502, (int)plain.StatusCode);

        static IEnumerable<string> Failing()
        {
            yield return "one";
            throw new EngineException(EngineFailure.WorkerLost, "the worker died");
        }
    }

    [TestMethod]
    public async Task Fields_become_options_and_are_repeated_in_the_answer()
    {
        GenerationRequest? seen = null;
        await using var server = await ServerFixture.StartAsync(new ScriptedEngine
        {
            Answer = (_, request) =>
            {
                seen = request;
                return ["{}"];
            },
        });
        using var answer = JsonDocument.Parse(await server.AnswerAsync(Route,
            """
            {"model":"talker","input":"?","instructions":"be brief","temperature":0.5,"top_p":0.75,"max_output_tokens":9,"top_logprobs":2,"top_k":3,
             "text":{"format":{"type":"json_schema","name":"a","schema":{"type":"object"}},"verbosity":"low"},"reasoning":{"effort":"high","summary":"auto"},
             "parallel_tool_calls":false,"prompt_cache_key":"k","safety_identifier":"s","service_tier":"auto","truncation":"disabled","background":false,
             "max_tool_calls":4,"include":["message.output_text.logprobs"],"store":false}
            """));

        Assert.AreEqual((0.5f, 0.75f, 3, 9, 2),
            (seen!.Options.Temperature, seen.Options.TopP, seen.Options.TopK, seen.Options.MaxTokens!.Value,
                seen.Options.TopLogProbabilities!.Value));
        Assert.IsNotNull(seen.Grammar);
        Assert.StartsWith("be brief", seen.Text());
        var said = answer.RootElement.GetRawText();
        foreach (var part in (string[])["\"instructions\":\"be brief\"", "\"temperature\":0.5",
            "\"top_p\":0.75", "\"max_output_tokens\":9", "\"top_logprobs\":2",
            "\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"a\",\"schema\":{\"type\":\"object\"}},\"verbosity\":\"low\"}",
            "\"reasoning\":{\"effort\":\"high\",\"summary\":\"auto\"}", "\"parallel_tool_calls\":false",
                "\"prompt_cache_key\":\"k\"", "\"safety_identifier\":\"s\"",
            "\"max_tool_calls\":4", "\"store\":false", "\"service_tier\":\"default\""])
        {
            Assert.Contains(part, said);
        }
    }

    [TestMethod]
    public async Task Input_tokens_are_those_that_the_answer_counts()
    {
        await using var server = await ServerFixture.StartAsync();
        const string body = """{"model":"talker","instructions":"be brief","input":"one two three"}""";
        using var counted = JsonDocument.Parse(await server.AnswerAsync(Route + "/input_tokens", body));
        using var answer = JsonDocument.Parse(await server.AnswerAsync(Route, body));

        var tokens = answer.RootElement.GetProperty("usage").GetProperty("input_tokens").GetInt32();
        Assert.AreEqual($$"""{"object":"response.input_tokens","input_tokens":{{tokens}}}""", counted.RootElement.GetRawText());
    }
}
