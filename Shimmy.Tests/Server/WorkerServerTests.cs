using System.Diagnostics;
using System.Net;
using System.Text;
using System.Text.Json;
using Shimmy.Tests.Api;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Server;

/// <summary>HTTP down to llama.cpp and back.</summary>
[TestClass]
[TestCategory("Worker")]
public sealed class WorkerServerTests
{
    private const string Long =
        """{"model":"noise","prompt":"on and on","stream":true,"ignore_eos":true,"max_tokens":50000,"temperature":0}""";

    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(30);

    [TestMethod]
    public async Task All_routes_give_the_same_answer_streamed_or_not()
    {
        await using var server = await WorkerServer.StartAsync();
        const string ask =
            "\"model\":\"noise\",\"prompt\":\"Once\",\"max_tokens\":12,\"temperature\":0,\"repeat_penalty\":1,\"ignore_eos\":true";
        var http = server.Http;

        var text = Json(await http.AnswerAsync("v1/completions", $"{{{ask}}}")).GetProperty("choices")[0].GetProperty("text").GetString();
        Assert.AreNotEqual("", text);
        Assert.AreEqual(text, ServerSentEvents.Json(await http.AnswerAsync("v1/completions", $$"""{{{ask}},"stream":true}"""))
            .Select(one => one.GetProperty("choices")[0].GetProperty("text").GetString()).Aggregate(string.Concat));
        var whole = Json(await http.AnswerAsync("api/generate", $"{{{ask}}}"));
        Assert.AreEqual(text, whole.GetProperty("response").GetString());
        Assert.AreEqual(12, whole.GetProperty("usage").GetProperty("completion_tokens").GetInt32());
        Assert.AreEqual("length", whole.GetProperty("finish_reason").GetString());
        Assert.AreEqual(text, ServerSentEvents.Json(await http.AnswerAsync("api/generate", $$"""{{{ask}},"stream":true}"""))
            .SkipLast(1).Select(one => one.GetProperty("token").GetString()).Aggregate(string.Concat));
        using var socket = await http.ConnectAsync();
        await socket.SendAsync($"{{{ask}}}");
        Assert.AreEqual(text, (await socket.AnswerAsync()).SkipLast(1)
            .Select(frame => Json(frame).GetProperty("token").GetString()).Aggregate(string.Concat));
    }

    [TestMethod]
    public async Task A_client_that_leaves_frees_the_only_slot()
    {
        await using var server = await WorkerServer.StartAsync(parallel: 1);
        foreach (var path in new[] { "v1/completions", "api/generate" })
        {
            var stream = await server.Http.OpenAsync(path, Long);
            using (var reader = new StreamReader(await stream.Content.ReadAsStreamAsync()))
                Assert.StartsWith("data: {", await reader.ReadLineAsync());

            // The rest of the answer would hold the slot for many seconds.
            stream.Dispose();
            await server.Http.AnswerAsync("v1/completions", """{"model":"noise","prompt":"next","max_tokens":1}""");
        }
        var statistics = await server.Model("noise").GetStatisticsAsync(CancellationToken.None);
        Assert.AreEqual((0, 0), (statistics.SlotsBusy, statistics.Waiting));
        Assert.IsLessThan(50_000, statistics.GeneratedTokens, "one of the answers was generated to its end");
    }

    [TestMethod]
    public async Task A_worker_that_is_killed_ends_the_stream_with_an_error_and_the_next_request_gets_a_new_one()
    {
        await using var server = await WorkerServer.StartAsync();
        using var stream = await server.Http.OpenAsync("v1/chat/completions",
            """{"model":"noise","messages":[{"role":"user","content":"?"}],"stream":true,"ignore_eos":true,"max_tokens":50000}""");
        using var reader = new StreamReader(await stream.Content.ReadAsStreamAsync());
        Assert.Contains("\"role\":\"assistant\"", (await reader.ReadLineAsync())!);
        Process.GetProcessById(server.Model("noise").Facts.ProcessId).Kill();

        var last = "";
        await Assert.ThrowsAsync<IOException>(async () =>
        {
            while (await reader.ReadLineAsync() is { } line)
                last = line.Length > 0 ? line : last;
        });
        var error = Json(last["data: ".Length..]).GetProperty("error");
        Assert.AreEqual("generation_failed", error.GetProperty("code").GetString());
        Assert.Contains("killed", error.GetProperty("message").GetString()!);

        await server.Http.AnswerAsync("v1/completions", """{"model":"noise","prompt":"again","max_tokens":1}""");
    }

    [TestMethod]
    public async Task What_the_engine_refuses_is_a_400_before_the_stream_begins()
    {
        await using var server = await WorkerServer.StartAsync();
        foreach (var stream in new[] { "true", "false" })
        {
            using var tooLong = await server.Http.PostAsync("v1/completions",
                $$"""{"model":"talker","stream":{{stream}},"prompt":"{{new string('!', 600)}}"}""");
            Assert.AreEqual(HttpStatusCode.BadRequest, tooLong.StatusCode);
            var error = (await tooLong.JsonAsync()).GetProperty("error");
            Assert.AreEqual("context_length_exceeded", error.GetProperty("code").GetString());
            Assert.MatchesRegex("maximum context length is 512 tokens, but the prompt has 60[0-9] tokens", error.GetProperty("message").GetString()!);

            foreach (var (field, value) in new[] { ("grammar", "\"root ::= (\""),
                ("logit_bias", "{\"1000000\":1}"), ("prompt", "[1000000]") })
            {
                using var answer = await server.Http.PostAsync("v1/completions",
                    $$"""{"model":"talker","stream":{{stream}},{{(field == "prompt" ? "" : "\"prompt\":\"a\",")}}"{{field}}":{{value}}}""");
                Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode, field);
                Assert.AreEqual(field, (await answer.JsonAsync()).GetProperty("error").GetProperty("param").GetString());
            }
        }
    }

    [TestMethod]
    public async Task Damaged_requests_reach_the_worker_and_do_it_no_harm()
    {
        await using var server = await WorkerServer.StartAsync();
        const string seed =
            """{"model":"talker","prompt":"a \u0000 é","max_tokens":2,"grammar":"root ::= [a-z ]+","logit_bias":{"5":-1,"300":5},"seed":1,"temperature":1.5,"top_k":5,"top_p":0.9,"min_p":0.1,"typical_p":0.5,"top_n_sigma":1,"xtc_probability":0.5,"xtc_threshold":0.1,"repeat_penalty":1.2,"repeat_last_n":-1,"frequency_penalty":1,"presence_penalty":-1,"dry_multiplier":0.8,"dry_base":1.5,"dry_allowed_length":1,"dry_penalty_last_n":-1,"dry_sequence_breakers":["\n",""],"mirostat":2,"mirostat_tau":3,"mirostat_eta":0.1,"dynatemp_range":0.5,"dynatemp_exponent":1,"ignore_eos":false}""";
        for (var round = 0; round < 250; round++)
        {
            await MalformedRequestTests.CheckAsync(server.Http, "v1/completions",
                Damage.Request(Encoding.UTF8.GetBytes(seed), new Random(round)), worst: 499);
        }

        Assert.Contains(" hello",
            await server.Http.AnswerAsync("v1/completions", """{"model":"talker","prompt":"still there?","temperature":0}"""));
        Assert.HasCount(1, server.Http.Residency.Resident);
    }

    private static JsonElement Json(string text)
    {
        using var document = JsonDocument.Parse(text);
        return document.RootElement.Clone();
    }
}
