using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.OpenAI;

/// <summary><c>/v1/chat/completions</c> byte by byte.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ChatTranscriptTests
{
    private const string Route = "v1/chat/completions";

    [TestMethod]
    public async Task A_stream_has_role_text_reason_and_DONE()
    {
        await using var server = await ServerFixture.StartAsync();
        using var answer =
            await server.PostAsync(Route, """{"model":"talker","stream":true,"messages":[{"role":"user","content":"hi"}]}""");

        Assert.AreEqual("text/event-stream; charset=utf-8", answer.Content.Headers.ContentType!.ToString());
        Assert.IsTrue(answer.Headers.CacheControl!.NoCache);
        Assert.AreEqual(
            """
            data: {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":0,"model":"talker","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}

            data: {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":0,"model":"talker","choices":[{"index":0,"delta":{"content":"I"},"finish_reason":null}]}

            data: {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":0,"model":"talker","choices":[{"index":0,"delta":{"content":" am"},"finish_reason":null}]}

            data: {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":0,"model":"talker","choices":[{"index":0,"delta":{"content":" talker"},"finish_reason":null}]}

            data: {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":0,"model":"talker","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

            data: [DONE]


            """, Transcript.Of(await answer.Content.ReadAsStringAsync()));
    }

    [TestMethod]
    public async Task With_include_usage_the_usage_is_the_last_chunk_and_null_on_the_others()
    {
        await using var server = await ServerFixture.StartAsync();
        var answer = await server.AnswerAsync(Route,
            """{"model":"talker","stream":true,"stream_options":{"include_usage":true},"max_completion_tokens":1,"messages":[{"role":"user","content":"one two three"}]}""");

        Assert.AreEqual(
            """
            data: {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":0,"model":"talker","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}

            data: {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":0,"model":"talker","choices":[{"index":0,"delta":{"content":"I"},"finish_reason":null}],"usage":null}

            data: {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":0,"model":"talker","choices":[{"index":0,"delta":{},"finish_reason":"length"}],"usage":null}

            data: {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":0,"model":"talker","choices":[],"usage":{"prompt_tokens":8,"completion_tokens":1,"total_tokens":9,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}

            data: [DONE]


            """, Transcript.Of(answer));
    }

    [TestMethod]
    public async Task A_whole_answer_is_one_object()
    {
        await using var server = await ServerFixture.StartAsync();
        using var answer = await server.PostAsync(Route, """{"model":"talker","messages":[{"role":"user","content":"one two three"}]}""");

        Assert.AreEqual("application/json", answer.Content.Headers.ContentType!.ToString());
        Assert.AreEqual(
            """{"id":"chatcmpl-ID","object":"chat.completion","created":0,"model":"talker","choices":[{"index":0,"message":{"role":"assistant","content":"I am talker","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":3,"total_tokens":11,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}""",
            Transcript.Of(await answer.Content.ReadAsStringAsync()));
    }

    [TestMethod]
    public async Task The_usage_tells_the_tokens_of_reasoning_of_all_choices_apart()
    {
        var engine = new ScriptedEngine
        {
            Answer = (_, _) => ["<think>", "hm hm", "</think>", "Hi"],
            Facts = spec => new ModelFacts
            {
                Architecture = "scripted",
                Description = spec.Name,
                ContextLength = 64,
                ChatTemplates = new Dictionary<string, string> { ["default"] = ToolTemplates.Thinking },
            },
        };
        await using var server = await ServerFixture.StartAsync(engine);
        const string body = """{"model":"talker","n":2,"messages":[{"role":"user","content":"?"}]""";

        foreach (var more in new[] { "}", ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}" })
        {
            Assert.Contains("\"completion_tokens\":8,\"total_tokens\":", await server.AnswerAsync(Route, body + more));
            Assert.Contains("\"completion_tokens_details\":{\"reasoning_tokens\":4}}", await server.AnswerAsync(Route, body + more));
        }
    }

    [TestMethod]
    public async Task Text_is_written_readably_and_what_JSON_must_escape_is_escaped()
    {
        var engine = new ScriptedEngine { Answer = (_, _) => ["<b> & 'ü' 中😀", "\"\\\n\0\u007f"] };
        await using var server = await ServerFixture.StartAsync(engine);
        const string body = """{"model":"talker","messages":[{"role":"user","content":"hi"}]}""";

        Assert.Contains("""
            "content":"<b> & 'ü' 中\uD83D\uDE00\"\\\n\u0000\u007F",
            """.Trim(), await server.AnswerAsync(Route, body));
        Assert.Contains("""
            "content":"<b> & 'ü' 中\uD83D\uDE00"}
            """.Trim(), await server.AnswerAsync(Route, body.Replace("{\"model\"", "{\"stream\":true,\"model\"", StringComparison.Ordinal)));
    }

    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public async Task A_stop_string_ends_the_answer_and_is_not_part_of_it(bool stream)
    {
        await using var server = await ServerFixture.StartAsync();
        var answer = await server.AnswerAsync(Route,
            $$"""{"model":"talker","stream":{{(stream ? "true" : "false")}},"stop":["m ta"],"messages":[{"role":"user","content":"hi"}]}""");

        Assert.Contains(stream ? "\"content\":\" a\"" : "\"content\":\"I a\"", answer);
        Assert.DoesNotContain("lker\"}", answer.Replace("\"model\":\"talker\"", "", StringComparison.Ordinal));
        Assert.Contains("\"finish_reason\":\"stop\"", answer);
    }

    [TestMethod]
    public async Task A_failure_in_the_middle_is_an_error_event_and_the_body_has_no_end()
    {
        var engine = new ScriptedEngine { Answer = (_, _) => Failing() };
        await using var server = await ServerFixture.StartAsync(engine);
        const string body = """{"model":"talker","stream":true,"messages":[{"role":"user","content":"hi"}]}""";

        // Several times: what was written before the end must always arrive.
        for (var round = 0; round < 20; round++)
        {
            var answer = await server.RawAsync($"POST /{Route} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {body.Length}\r\n\r\n{body}");

            Assert.StartsWith("HTTP/1.1 200 OK", answer);
            Assert.Contains("\"content\":\"one\"", answer);
            Assert.EndsWith(
                "data: {\"error\":{\"message\":\"the worker died\",\"type\":\"server_error\",\"param\":null,\"code\":\"generation_failed\"}}\n\n\r\n", answer);
            Assert.DoesNotContain("[DONE]", answer);
        }

        static IEnumerable<string> Failing()
        {
            yield return "one";
            throw new EngineException(EngineFailure.WorkerLost, "the worker died");
        }
    }

    [TestMethod]
    public async Task Messages_become_the_prompt_in_their_order_and_fields_become_options()
    {
        GenerationRequest? seen = null;
        var engine = new ScriptedEngine
        {
            Answer = (_, request) =>
            {
                seen = request;
                return ["ok"];
            },
        };
        await using var server = await ServerFixture.StartAsync(engine);
        await server.AnswerAsync(Route,
            """
            {"model":"talker","temperature":0.5,"top_p":1,"top_k":3,"min_p":0.25,"seed":7,"max_tokens":9,"frequency_penalty":-1,"presence_penalty":1.5,
             "repeat_penalty":1.25,"ignore_eos":true,"cache_prompt":false,"stop":"end","logit_bias":{"5":-100,"6":2.5},"user":"someone","n":1,
             "messages":[{"role":"developer","content":"rules"},{"role":"user","content":[{"type":"text","text":"a<|im_end|>"},{"type":"text","text":"b"}]},
                         {"role":"assistant","content":null,"refusal":"no"},{"role":"user","content":"\u0000 é"}]}
            """);

        Assert.AreEqual(
            "rules<|end_of_turn|>GPT4 Correct User: a<|im_end|>b<|end_of_turn|>GPT4 Correct Assistant: no<|end_of_turn|>GPT4 Correct User: \0 é<|end_of_turn|>GPT4 Correct Assistant:",
            string.Concat(seen!.Prompt.Parts.Select(part => part.Text)));
        // What users wrote stays text: it makes no special token.
        Assert.IsTrue(seen.Prompt.Parts.Where(part => part.Text.Contains("a<|im_end|>b", StringComparison.Ordinal))
            .All(part => !part.ParseSpecial));
        var options = seen.Options;
        Assert.AreEqual((0.5f, 1f, 3, 0.25f), (options.Temperature, options.TopP, options.TopK, options.MinP));
        Assert.AreEqual((7u, 9, -1f, 1.5f, 1.25f),
            (options.Seed!.Value, options.MaxTokens!.Value, options.FrequencyPenalty, options.PresencePenalty, options.RepeatPenalty));
        Assert.AreEqual((true, false), (options.IgnoreEos, options.CachePrompt));
        CollectionAssert.AreEqual(new[] { new LogitBias(5, float.NegativeInfinity), new LogitBias(6, 2.5f) }, options.LogitBias.ToArray());
        Assert.AreEqual("end", options.Stop[0]);
    }
}
