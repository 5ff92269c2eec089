using System.Net;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Shimmy.Api.Native;
using Shimmy.Api.OpenAI;
using Shimmy.Engine;
using Shimmy.Http;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api;

/// <summary>What is wrong with a request is said, with the field, what it was and what is allowed.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class BadRequestTests
{
    private const string Chat = "v1/chat/completions";
    private const string Text = "v1/completions";
    private const string Native = "api/generate";

    private static ServerFixture _server = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext context) => _server = await ServerFixture.StartAsync();

    [ClassCleanup]
    public static async Task StopAsync() => await _server.DisposeAsync();

    // Each is put into a request that is right without it; null stands for a field that is left out.
    [TestMethod]
    [DataRow("model", "5", "must be a string, not 5")]
    [DataRow("temperature", "\"hot\"", "must be a number from 0 to 100, not a string")]
    [DataRow("temperature", "-0.1", "must be a number from 0 to 100, not -0.1")]
    [DataRow("temperature", "1e999", "must be a number from 0 to 100, not 1e999")]
    [DataRow("temperature", "100000000000000000000000000000", "must be a number from 0 to 100, not a number of many digits")]
    [DataRow("top_p", "1.01", "must be a number from 0 to 1, not 1.01")]
    [DataRow("min_p", "[]", "must be a number from 0 to 1, not an array")]
    [DataRow("top_k", "1.5", "must be a whole number from -1 to 2147483647, not 1.5")]
    [DataRow("top_k", "1e10", "must be a whole number from -1 to 2147483647, not 1e10")]
    [DataRow("max_tokens", "-3", "must be a whole number from 0 to 2147483647, or -1 for no limit, not -3")]
    [DataRow("n_predict", "true", "must be a whole number from 0 to 2147483647, or -1 for no limit, not true")]
    [DataRow("repeat_penalty", "0", "must be a number from 0.01 to 100, not 0")]
    [DataRow("repetition_penalty", "0", "must be a number from 0.01 to 100, not 0")]
    [DataRow("frequency_penalty", "2.1", "must be a number from -2 to 2, not 2.1")]
    [DataRow("mirostat", "3", "must be a whole number from 0 to 2, not 3")]
    [DataRow("seed", "1.5", "must be a whole number of 64 bits, not 1.5")]
    [DataRow("seed", "9223372036854775808", "must be a whole number of 64 bits, not 9223372036854775808")]
    [DataRow("stop", "5", "must be a string, not 5")]
    [DataRow("stop", "[1,2]", "[0]: must be a string, not 1")]
    [DataRow("ignore_eos", "1", "must be true or false, not 1")]
    [DataRow("stream", "\"yes\"", "must be true or false, not a string")]
    [DataRow("grammar", "{}", "must be a string, not an object")]
    [DataRow("logit_bias", "5", "must be an object of token ids and biases, not 5")]
    [DataRow("logit_bias", "{\"a\":1}", "'a' is not a token id; a whole number is required")]
    [DataRow("logit_bias", "{\"5\":101}", ".5: must be a number from -100 to 100, not 101")]
    [DataRow("logit_bias", "[[1,2],[1]]", "[1]: must be a pair of a token id and a bias, not an array")]
    [DataRow("dry_sequence_breakers", "[null]", "[0]: must be a string, not null")]
    public async Task A_field_that_all_routes_share_is_named(string field, string? value, string message)
    {
        foreach (var (route, good) in new[]
        {
            (Chat, """{"model":"talker","messages":[{"role":"user","content":"hi"}]}"""),
            (Text, """{"model":"talker","prompt":"hi"}"""),
            (Native, """{"model":"talker","prompt":"hi"}"""),
        })
        {
            var body = good.Replace("\"model\":\"talker\",", field == "model" ? "" : null, StringComparison.Ordinal);
            body = value is null ? body : $$"""{"{{field}}":{{value}},{{(field == "model" ? body : good)[1..]}}""";
            await RefusedAsync(route, body, field, message);
        }
    }

    [TestMethod]
    [DataRow("""{}""", "messages", "is missing; an array of messages is required")]
    [DataRow("""{"messages":null}""", "messages", "is missing; an array of messages is required")]
    [DataRow("""{"messages":{}}""", "messages", "must be an array, not an object")]
    [DataRow("""{"messages":[]}""", "messages", "is empty; at least one message is required")]
    [DataRow("""{"messages":["hi"]}""", "messages[0]", "must be an object, not a string")]
    [DataRow("""{"messages":[{"content":"hi"}]}""", "messages[0].role", "is missing; 'system', 'developer', 'user', 'assistant' or 'tool' is required")]
    [DataRow("""{"messages":[{"role":"user","content":"a"},{"role":"wizard","content":"b"}]}""", "messages[1].role", "must be one of 'system', 'developer', 'user', 'assistant', 'tool', not 'wizard'")]
    [DataRow("""{"messages":[{"role":"user"}]}""", "messages[0].content", "is missing; a string or an array of text parts is required")]
    [DataRow("""{"messages":[{"role":"user","content":5}]}""", "messages[0].content", "must be a string or an array of parts, not 5")]
    [DataRow("""{"messages":[{"role":"user","content":[5]}]}""", "messages[0].content[0]", "must be an object, not 5")]
    [DataRow("""{"messages":[{"role":"user","content":[{"text":"a"}]}]}""", "messages[0].content[0].type", "is missing; a string is required")]
    [DataRow("""{"messages":[{"role":"user","content":[{"type":"text"}]}]}""", "messages[0].content[0].text", "is missing; a string is required")]
    [DataRow("""{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]}""", "messages[0].content[0].image_url.url", "is missing; a string is required")]
    [DataRow("""{"messages":[{"role":"user","content":"a"}],"max_tokens":1,"max_completion_tokens":2}""", "max_tokens", "differs from max_completion_tokens; give one of them")]
    [DataRow("""{"messages":[{"role":"user","content":"a"}],"stream_options":true}""", "stream_options", "must be an object, not true")]
    [DataRow("""{"messages":[{"role":"user","content":"a"}],"stream_options":{"include_usage":1}}""", "stream_options.include_usage", "must be true or false, not 1")]
    [DataRow("""{"messages":[{"role":"user","content":"a"}],"n":129}""", "n", "must be a whole number from 1 to 128, not 129")]
    public Task A_wrong_conversation_is_named(string body, string field, string message) =>
        RefusedAsync(Chat, $$"""{"model":"talker"{{(body.Length > 2 ? "," : "")}}{{body[1..]}}""", field, message);

    [TestMethod]
    [DataRow(Text, """{"model":"talker","prompt":{}}""", "prompt", "must be a string or an array, not an object")]
    [DataRow(Text, """{"model":"talker","prompt":[]}""", "prompt", "is empty")]
    [DataRow(Text, """{"model":"talker","prompt":[1,"a"]}""", "prompt[1]", "must be a token id, not a string")]
    [DataRow(Text, """{"model":"talker","prompt":[[]]}""", "prompt[0]", "is empty")]
    [DataRow(Text, """{"model":"talker","prompt":["a",5]}""", "prompt[1]", "must be a string, not 5")]
    [DataRow(Text, """{"model":"talker","prompt":[[-1]]}""", "prompt[0][0]", "must be a token id, not -1")]
    [DataRow(Text, """{"model":"talker","prompt":"a","echo":1}""", "echo", "must be true or false, not 1")]
    [DataRow(Text, """{"model":"talker","prompt":"a","logprobs":21}""", "logprobs", "must be a whole number from 0 to 20, not 21")]
    [DataRow(Text, """{"model":"talker","prompt":"a","suffix":7}""", "suffix", "must be a string, not 7")]
    [DataRow(Text, """{"model":"talker","prompt":"a","best_of":2}""", "best_of", "only the value of n is supported")]
    [DataRow(Text, """{"model":"talker","prompt":"a","n":2,"best_of":3}""", "best_of", "only the value of n is supported")]
    [DataRow(Native, """{"model":"talker"}""", "prompt", "is missing; prompt or messages is required")]
    [DataRow(Native, """{"model":"talker","prompt":"a","messages":[]}""", "prompt", "was given beside messages; give one of them")]
    [DataRow(Native, """{"model":"talker","messages":[]}""", "messages", "is empty; at least one message is required")]
    [DataRow(Native, """{"model":"talker","messages":[{"role":"user"}]}""", "messages[0].content", "is missing; a string is required")]
    public Task A_wrong_prompt_is_named(string route, string body, string field, string message) =>
    RefusedAsync(route, body, field, message);

    [TestMethod]
    [DataRow("", "the body is not valid JSON (line 1, byte 1): ")]
    [DataRow("{\"model\":\n \"talker\" \"prompt\"", "the body is not valid JSON (line 2, byte 11): ")]
    [DataRow("{\"model\":\"talker\",}", "the body is not valid JSON (line 1, byte 19): ")]
    [DataRow("{} {}", "the body is not valid JSON (line 1, byte 4): ")]
    [DataRow("{\"a\":NaN}", "the body is not valid JSON (line 1, byte 6): ")]
    [DataRow("null", "the body must be a JSON object, not null")]
    [DataRow("[{}]", "the body must be a JSON object, not an array")]
    [DataRow("{\"model\":\"talker\",\"model\":\"other\"}", "the body is not valid JSON: Duplicate property 'model'")]
    [DataRow("{\"model\":\"talker\",\"mod\\u0065l\":\"other\"}", "the body is not valid JSON: Duplicate property 'model'")]
    [DataRow("{\"\\ud800\":1,\"\\udc00\":1}", "the body is not valid JSON: Duplicate property '\ufffd'")]
    public async Task A_body_that_is_no_JSON_object_is_said_so(string body, string message)
    {
        foreach (var route in new[] { Chat, Text })
        {
            using var answer = await _server.PostAsync(route, body);
            Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
            var error = (await answer.JsonAsync()).GetProperty("error");
            Assert.StartsWith(message, error.GetProperty("message").GetString());
            Assert.AreEqual("invalid_json", error.GetProperty("code").GetString());
        }
        using var native = await _server.PostAsync(Native, body);
        Assert.StartsWith(message, (await native.JsonAsync()).GetProperty("error").GetString());
    }

    [TestMethod]
    public async Task Depth_and_bytes_that_are_no_text_are_refused()
    {
        foreach (var body in new byte[][]
        {
            Encoding.UTF8.GetBytes("{\"a\":" + new string('[', 100_000)),
            Encoding.UTF8.GetBytes("{\"a\":" + new string('[', 64) + new string(']', 64) + "}"),
            [.. "{\"model\":\"talker\",\"prompt\":\""u8, 0xFF, .. "\"}"u8],
            [.. "{\"mod\xFFel\":1}"u8, 0],
        })
        {
            using var answer = await _server.Client.PostAsync(Native, new ByteArrayContent(body));
            Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode, Encoding.Latin1.GetString(body[..Math.Min(40, body.Length)]));
        }
    }

    [TestMethod]
    public async Task What_is_odd_and_right_all_the_same_is_taken()
    {
        foreach (var body in new[]
        {
            "\uFEFF{\"model\":\"talker\",\"prompt\":\"a byte order mark\"}",
            """{"model":"TALKER","prompt":"another case"}""",
            """{"model":"talker","prompt":""}""",
            """{"model":"talker","prompt":null}""",
            """{"model":"talker"}""",
            """{"model":"talker","prompt":"a","n":2,"best_of":2.0}""",
            """{"model":"talker","prompt":"\u0000\ud83d\ude00\uffff","max_tokens":5.0,"seed":-1,"stop":null,"temperature":0e5}""",
            """{"model":"talker","prompt":"a","of_some_other_server":{"a":[]},"seed":-9223372036854775808,"logit_bias":{"7":-100,"8":1.5}}""",
        })
        {
            Assert.Contains("I am talker", await _server.AnswerAsync(Text, body));
        }
    }

    [TestMethod]
    public async Task What_a_client_wrote_is_quoted_in_short()
    {
        var long_ = new string('é', 1_000_000);
        foreach (var body in new[]
        {
            $$"""{"model":"{{long_}}","messages":[{"role":"user","content":"a"}]}""",
            $$"""{"model":"talker","messages":[{"role":"{{long_}}","content":"a"}]}""",
            $$"""{"model":"talker","messages":[{"role":"user","content":[{"type":"{{long_}}"}]}]}""",
            $$"""{"model":"talker","logit_bias":{"{{long_}}":1},"messages":[{"role":"user","content":"a"}]}""",
            $$"""{"model":"talker","{{long_}}":1,"{{long_}}":1,"messages":[{"role":"user","content":"a"}]}""",
        })
        {
            using var answer = await _server.PostAsync(Chat, body);
            Assert.IsInRange(400, 404, (int)answer.StatusCode);
            Assert.IsLessThan(1000, (await answer.Content.ReadAsStringAsync()).Length);
        }
    }

    [TestMethod]
    [DataRow(Chat)]
    [DataRow(Text)]
    [DataRow(Native)]
    public async Task An_unknown_model_is_404_and_names_close_ones(string route)
    {
        using var answer = await _server.PostAsync(route, route == Chat
            ? """{"model":"tolker","messages":[{"role":"user","content":"hi"}]}"""
            : """{"model":"tolker","prompt":"hi"}""");
        Assert.AreEqual(HttpStatusCode.NotFound, answer.StatusCode);
        var error = (await answer.JsonAsync()).GetProperty("error");
        var message = "the model 'tolker' does not exist here; the closest names are talker";
        if (route == Native)
        {
            Assert.AreEqual(message, error.GetString());
            return;
        }
        Assert.AreEqual((message, "model_not_found", "model"),
            (error.GetProperty("message").GetString(), error.GetProperty("code").GetString(), error.GetProperty("param").GetString()));
    }

    [TestMethod]
    public async Task A_request_that_is_wrong_loads_no_model()
    {
        var engine = new ScriptedEngine();
        await using var server = await ServerFixture.StartAsync(engine);
        foreach (var (route, body) in new[]
        {
            (Chat, """{"model":"talker","messages":[]}"""),
            (Text, """{"model":"talker","prompt":"a","top_p":2}"""),
            (Native, """{"model":"talker"}"""),
        })
        {
            using var answer = await server.PostAsync(route, body);
            Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
        }
        Assert.AreEqual(0, engine.Loads);
    }

    [TestMethod]
    public async Task What_a_request_does_not_say_the_model_says_or_llama_cpp()
    {
        GenerationRequest? seen = null;
        var engine = new ScriptedEngine
        {
            Answer = (_, request) =>
            {
                seen = request;
                return ["ok"];
            },
            Facts = spec => new ModelFacts
            {
                Architecture = "scripted",
                Description = "",
                SamplingDefaults =
                    new Dictionary<string, string> { ["temp"] = "0.6", ["top_k"] = "20", ["min_p"] = "none", ["penalty_repeat"] = "NaN" },
            },
        };
        await using var server = await ServerFixture.StartAsync(engine);
        foreach (var (route, prompt) in new[] { (Chat, """ "messages":[{"role":"user","content":"a"}] """), (Text, """ "prompt":"a" """) })
        {
            await server.AnswerAsync(route, $$"""{"model":"talker",{{prompt}}}""");
            Assert.AreEqual((0.6f, 20, 0.95f, 0.05f, 1f), Sampling(seen!.Options));
            Assert.IsNull(seen.Options.MaxTokens, route);
            await server.AnswerAsync(route, $$"""{"model":"talker","temperature":1,"min_p":0,"max_tokens":3,{{prompt}}}""");
            Assert.AreEqual((1f, 20, 0.95f, 0f, 1f), Sampling(seen.Options));
            Assert.AreEqual(3, seen.Options.MaxTokens);
        }

        static (float, int, float, float, float) Sampling(GenerationOptions options) =>
            (options.Temperature, options.TopK, options.TopP, options.MinP, options.RepeatPenalty);
    }

    [TestMethod]
    public async Task A_model_that_cannot_be_loaded_is_502_and_a_fault_of_ours_500_without_its_words()
    {
        var engine = new ScriptedEngine { Loading = (_, _, _) => throw new EngineException(EngineFailure.LoadFailed, "the file is torn") };
        var log = new CapturedLog();
        await using var server = await ServerFixture.StartAsync(engine, loggers: log);
        using var torn = await server.PostAsync(Text, """{"model":"talker","prompt":"hi"}""");
        Assert.AreEqual(HttpStatusCode.BadGateway, torn.StatusCode);
        Assert.AreEqual("""{"error":{"message":"the file is torn","type":"server_error","param":null,"code":"model_load_failed"}}""",
            await torn.Content.ReadAsStringAsync());

        engine.Loading = (_, _, _) => Task.CompletedTask;
        engine.Answer = (_, _) => throw new InvalidOperationException("secret");
        using var fault = await server.PostAsync(Text, """{"model":"talker","prompt":"hi"}""");
        Assert.AreEqual(HttpStatusCode.InternalServerError, fault.StatusCode);
        Assert.AreEqual(
            """{"error":{"message":"internal error; the server's log has it under this request's x-request-id","type":"server_error","param":null,"code":"internal_error"}}""",
            await fault.Content.ReadAsStringAsync());
        Assert.Contains(fault.Headers.GetValues("x-request-id").Single(), await log.WaitForAsync("secret"));

        // Once the stream has begun, the event says it, the log has it once, and Kestrel adds nothing.
        await log.WaitForAsync(" 500: ");
        log.Lines.Clear();
        using var stream = await server.OpenAsync(Text, """{"model":"talker","prompt":"hi","stream":true}""");
        using var reader = new StreamReader(await stream.Content.ReadAsStreamAsync());
        Assert.AreEqual(
            """data: {"error":{"message":"internal error; the server's log has it under this request's x-request-id","type":"server_error","param":null,"code":"internal_error"}}""",
            await reader.ReadLineAsync());
        await Assert.ThrowsAsync<IOException>(() => reader.ReadToEndAsync());
        await log.WaitForAsync("broke off");
        Assert.HasCount(2, log.Lines, string.Join('\n', log.Lines));
        Assert.Contains("secret", log.Lines.First());
    }

    [TestMethod]
    [DataRow(EngineFailure.PromptTooLong, 400, "context_length_exceeded", null)]
    [DataRow(EngineFailure.InvalidRequest, 400, "invalid_value", null)]
    [DataRow(EngineFailure.QueueFull, 429, "queue_full", 1)]
    [DataRow(EngineFailure.LoadFailed, 502, "model_load_failed", null)]
    [DataRow(EngineFailure.WorkerLost, 502, "generation_failed", null)]
    [DataRow(EngineFailure.GenerationFailed, 502, "generation_failed", null)]
    public void Each_failure_of_an_engine_has_its_status(EngineFailure failure, int status, string code, int? retryAfter)
    {
        var error =
            ApiError.Of(new EngineException(failure, "why") { Option = failure == EngineFailure.InvalidRequest ? "grammar" : null },
                new DefaultHttpContext())!;
        Assert.AreEqual((status, "why", code, retryAfter), (error.Status, error.Message, error.Code, error.RetryAfterSeconds));
        Assert.AreEqual(failure == EngineFailure.InvalidRequest ? "grammar" : null, error.Field);
        var type = status switch { 429 => "rate_limit_error", >= 500 => "server_error", _ => "invalid_request_error" };
        using var body = JsonDocument.Parse(OpenAIDialect.Instance.ErrorBody(error));
        Assert.AreEqual(type, body.RootElement.GetProperty("error").GetProperty("type").GetString());
        Assert.AreEqual("{\"error\":\"why\"}", Encoding.UTF8.GetString(NativeDialect.Instance.ErrorBody(error)));
    }

    private static async Task RefusedAsync(string route, string body, string field, string message)
    {
        using var answer = await _server.PostAsync(route, body);
        var text = await answer.Content.ReadAsStringAsync();
        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode, $"{route} {body}: {text}");
        var inside = message[0] is '[' or '.' ? message[..message.IndexOf(':', StringComparison.Ordinal)] : "";
        var expected = inside.Length > 0 ? field + message : $"{field}: {message}";
        var error = (await answer.JsonAsync()).GetProperty("error");
        if (route == Native)
        {
            Assert.AreEqual(expected, error.GetString());
            return;
        }
        Assert.AreEqual((expected, field + inside, "invalid_request_error"),
            (error.GetProperty("message").GetString(), error.GetProperty("param").GetString(), error.GetProperty("type").GetString()));
    }
}
