using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.OpenAI;

/// <summary><c>/v1/completions</c> byte by byte.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class CompletionTranscriptTests
{
    private const string Route = "v1/completions";

    [TestMethod]
    public async Task A_stream_has_text_reason_and_DONE()
    {
        await using var server = await ServerFixture.StartAsync();
        var answer = await server.AnswerAsync(Route, """{"model":"talker","stream":true,"prompt":"who are you"}""");

        Assert.AreEqual(
            """
            data: {"id":"cmpl-ID","object":"text_completion","created":0,"model":"talker","choices":[{"index":0,"text":"I","logprobs":null,"finish_reason":null}]}

            data: {"id":"cmpl-ID","object":"text_completion","created":0,"model":"talker","choices":[{"index":0,"text":" am","logprobs":null,"finish_reason":null}]}

            data: {"id":"cmpl-ID","object":"text_completion","created":0,"model":"talker","choices":[{"index":0,"text":" talker","logprobs":null,"finish_reason":null}]}

            data: {"id":"cmpl-ID","object":"text_completion","created":0,"model":"talker","choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"stop"}]}

            data: [DONE]


            """, Transcript.Of(answer));
    }

    [TestMethod]
    public async Task A_stream_of_several_prompts_numbers_them_and_sums_their_usage()
    {
        await using var server = await ServerFixture.StartAsync();
        var answer = await server.AnswerAsync(Route,
            """{"model":"talker","stream":true,"stream_options":{"include_usage":true},"max_tokens":1,"prompt":["a b",[1,2,3]]}""");

        Assert.AreEqual(
            """
            data: {"id":"cmpl-ID","object":"text_completion","created":0,"model":"talker","choices":[{"index":0,"text":"I","logprobs":null,"finish_reason":null}],"usage":null}

            data: {"id":"cmpl-ID","object":"text_completion","created":0,"model":"talker","choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"length"}],"usage":null}

            data: {"id":"cmpl-ID","object":"text_completion","created":0,"model":"talker","choices":[{"index":1,"text":"I","logprobs":null,"finish_reason":null}],"usage":null}

            data: {"id":"cmpl-ID","object":"text_completion","created":0,"model":"talker","choices":[{"index":1,"text":"","logprobs":null,"finish_reason":"length"}],"usage":null}

            data: {"id":"cmpl-ID","object":"text_completion","created":0,"model":"talker","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0}}}

            data: [DONE]


            """, Transcript.Of(answer));
    }

    [TestMethod]
    public async Task A_whole_answer_is_one_object_with_a_choice_for_each_prompt()
    {
        var engine = new ScriptedEngine { Answer = (_, request) => [request.Prompt.Parts[0].Text.ToUpperInvariant(), "!"] };
        await using var server = await ServerFixture.StartAsync(engine);
        var answer = await server.AnswerAsync(Route, """{"model":"talker","prompt":["x","y z"]}""");

        Assert.AreEqual(
            """{"id":"cmpl-ID","object":"text_completion","created":0,"model":"talker","choices":[{"index":0,"text":"X!","logprobs":null,"finish_reason":"stop"},{"index":1,"text":"Y Z!","logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0}}}""",
            Transcript.Of(answer));
    }

    [TestMethod]
    public async Task Without_max_tokens_the_answer_goes_on_until_it_ends()
    {
        var engine = new ScriptedEngine { Answer = (_, _) => Enumerable.Repeat("a", 100) };
        await using var server = await ServerFixture.StartAsync(engine);
        using var answer = JsonDocument.Parse(await server.AnswerAsync(Route, """{"model":"talker","prompt":"x"}"""));

        Assert.AreEqual(100, answer.RootElement.GetProperty("usage").GetProperty("completion_tokens").GetInt32());
        Assert.AreEqual("stop", answer.RootElement.GetProperty("choices")[0].GetProperty("finish_reason").GetString());
    }

    [TestMethod]
    public async Task A_prompt_that_fails_ends_the_others_and_is_the_answer()
    {
        var ended = new TaskCompletionSource();
        var engine = new ScriptedEngine
        {
            Answer = (_, request) => request.Prompt.Parts[0].Text == "bad"
                ? throw new EngineException(EngineFailure.GenerationFailed, "no luck")
                : ["never"],
            BeforeToken = async cancellation =>
            {
                using var _ = cancellation.Register(() => ended.TrySetResult());
                await Task.Delay(Timeout.Infinite, cancellation);
            },
        };
        await using var server = await ServerFixture.StartAsync(engine);
        using var answer = await server.PostAsync(Route, """{"model":"talker","prompt":["good","bad","good"]}""");

        Assert.AreEqual(502, (int)answer.StatusCode);
        Assert.AreEqual("no luck", (await answer.JsonAsync()).GetProperty("error").GetProperty("message").GetString());
        await ended.Task.WaitAsync(TimeSpan.FromSeconds(10));
    }
}
