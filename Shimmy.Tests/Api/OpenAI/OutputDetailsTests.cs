using System.Net;
using System.Text.Json;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api.OpenAI;

/// <summary>What <c>/v1/completions</c> tells beside the text, down to llama.cpp.</summary>
[TestClass]
public sealed class OutputDetailsTests
{
    private const string Route = "v1/completions";
    private const string Ask =
        "\"model\":\"noise\",\"prompt\":\"Once upon a time\",\"max_tokens\":8,\"temperature\":0,\"repeat_penalty\":1,\"ignore_eos\":true,\"logprobs\":2";

    [TestMethod]
    [TestCategory("Worker")]
    public async Task Probabilities_of_an_answer_are_those_of_the_same_text_as_a_prompt()
    {
        await using var server = await WorkerServer.StartAsync();
        var answered = Choice(await server.Http.AnswerAsync(Route, $"{{{Ask},\"return_tokens\":true}}"));
        var tokens = answered.GetProperty("tokens").EnumerateArray().Select(token => token.GetInt32()).ToArray();
        Assert.HasCount(8, tokens);
        var prompt =
            JsonDocument.Parse(
                await server.Http.AnswerAsync("tokenize", """{"model":"noise","content":"Once upon a time","add_special":true}"""))
            .RootElement.GetProperty("tokens").EnumerateArray().Select(token => token.GetInt32()).ToArray();

        var read = Choice(await server.Http.AnswerAsync(Route,
            $$"""{"model":"noise","prompt":[{{string.Join(',', prompt.Concat(tokens))}}],"max_tokens":0,"echo":true,"logprobs":2}"""));

        Assert.AreEqual("length", read.GetProperty("finish_reason").GetString());
        var (before, after) = (Logs(answered), Logs(read)[^8..]);
        for (var i = 0; i < 8; i++)
        {
            Assert.AreEqual(before[i]!.Value, after[i]!.Value, 0.05, $"token {i}");
            Assert.IsLessThanOrEqualTo(0, after[i]!.Value);
        }
        // Greedy: the token that was taken is the likeliest of the two that are told.
        var top = answered.GetProperty("logprobs").GetProperty("top_logprobs");
        for (var i = 0; i < 8; i++)
            Assert.AreEqual(before[i]!.Value, top[i].EnumerateObject().Max(one => one.Value.GetDouble()), 1e-6);
    }

    [TestMethod]
    [TestCategory("Worker")]
    [DataRow(true)]
    [DataRow(false)]
    public async Task An_empty_prompt_is_the_beginning_of_a_document(bool addsBos)
    {
        using var folder = new TemporaryFolder();
        RandomModel.Write(folder["talker.gguf"], new RandomModelShape { Says = "hello", AddsBos = addsBos });
        await using var server = await ServerFixture.StartAsync(WorkerFixture.NewEngine(),
            entry => new ModelSpec { Name = entry.Name, Path = entry.Path, Threads = 1 }, null, null, ["talker"], _ => folder["talker.gguf"]);

        foreach (var prompt in new[] { "", ",\"prompt\":null", ",\"prompt\":\"\"" })
        {
            var answer = JsonElement.Parse(await server.AnswerAsync(Route, $$"""{"model":"talker","max_tokens":4{{prompt}}}"""));
            Assert.AreEqual(" hello", answer.GetProperty("choices")[0].GetProperty("text").GetString());
            Assert.AreEqual(1, answer.GetProperty("usage").GetProperty("prompt_tokens").GetInt32());
        }
    }

    [TestMethod]
    [TestCategory("Unit")]
    [DataRow("false")]
    [DataRow("true")]
    public async Task Several_prompts_stand_in_the_queue_together_streamed_or_not(string stream)
    {
        var (begun, all) = (0, new TaskCompletionSource());
        var engine = new ScriptedEngine
        {
            // None says a word before all three have begun.
            BeforeToken = async cancellation =>
            {
                if (Interlocked.Increment(ref begun) == 3)
                    all.SetResult();
                await all.Task.WaitAsync(TimeSpan.FromSeconds(10), cancellation);
            },
            Answer = (_, request) => [request.Prompt.WholeText() + "!"],
        };
        await using var server = await ServerFixture.StartAsync(engine);

        var answer = await server.AnswerAsync(Route, $$"""{"model":"talker","prompt":["a","b","c"],"stream":{{stream}}}""");

        var (a, b, c) =
            (answer.IndexOf("a!", StringComparison.Ordinal), answer.IndexOf("b!", StringComparison.Ordinal),
                answer.IndexOf("c!", StringComparison.Ordinal));
        Assert.IsTrue(a > 0 && a < b && b < c, answer);
    }

    [TestMethod]
    [TestCategory("Worker")]
    public async Task An_echo_stands_before_the_answer_streamed_or_not()
    {
        await using var server = await WorkerServer.StartAsync();
        var plain = Choice(await server.Http.AnswerAsync(Route, $"{{{Ask}}}")).GetProperty("text").GetString();

        var echoed = Choice(await server.Http.AnswerAsync(Route, $"{{{Ask},\"echo\":true}}"));

        Assert.AreEqual("Once upon a time" + plain, echoed.GetProperty("text").GetString());
        var logs = echoed.GetProperty("logprobs");
        var tokens = logs.GetProperty("tokens").EnumerateArray().ToArray();
        Assert.IsGreaterThan(8, tokens.Length);
        foreach (var name in new[] { "token_logprobs", "top_logprobs", "text_offset" })
            Assert.AreEqual(tokens.Length, logs.GetProperty(name).GetArrayLength(), name);
        var chunks = ServerSentEvents.Json(await server.Http.AnswerAsync(Route, $"{{{Ask},\"echo\":true,\"stream\":true}}"))
            .Select(one => one.GetProperty("choices")[0]).ToArray();
        Assert.AreEqual("Once upon a time" + plain, string.Concat(chunks.Select(one => one.GetProperty("text").GetString())));
        CollectionAssert.AreEqual(
            tokens.Select(token => token.GetString()).ToArray(),
            chunks.Where(one => one.GetProperty("logprobs").ValueKind == JsonValueKind.Object)
                .SelectMany(one => one.GetProperty("logprobs").GetProperty("tokens").EnumerateArray().Select(token => token.GetString()))
                .ToArray());
        var offsets = chunks.Where(one => one.GetProperty("logprobs").ValueKind == JsonValueKind.Object)
            .SelectMany(one => one.GetProperty("logprobs").GetProperty("text_offset").EnumerateArray().Select(offset => offset.GetInt32()))
            .ToArray();
        CollectionAssert.AreEqual(logs.GetProperty("text_offset").EnumerateArray().Select(offset => offset.GetInt32()).ToArray(), offsets);
        // The vocabulary begins with a token and a space of its own, which the prompt has not; then each token stands where its text does.
        var text = echoed.GetProperty("text").GetString()!;
        Assert.AreEqual("<s>", tokens[0].GetString());
        Assert.AreEqual(JsonValueKind.Null, logs.GetProperty("token_logprobs")[0].ValueKind);
        for (var i = 2; i < tokens.Length - 1; i++)
        {
            if (!tokens[i].GetString()!.Contains('\uFFFD') && !tokens[i].GetString()!.StartsWith("bytes:", StringComparison.Ordinal)
                && !text[..offsets[i]].Contains('\uFFFD'))
            {
                Assert.AreEqual(tokens[i].GetString(), text[offsets[i]..offsets[i + 1]]);
            }
        }
        Assert.AreEqual(0, offsets[0]);
    }

    [TestMethod]
    [TestCategory("Worker")]
    public async Task N_answers_to_each_prompt_differ_by_their_seeds_and_count_the_prompt_once()
    {
        await using var server = await WorkerServer.StartAsync();
        const string body = """{"model":"noise","prompt":["a","b"],"n":2,"max_tokens":12,"temperature":1.5,"seed":5,"ignore_eos":true}""";
        using var answer = JsonDocument.Parse(await server.Http.AnswerAsync(Route, body));

        var choices = answer.RootElement.GetProperty("choices").EnumerateArray().ToArray();
        CollectionAssert.AreEqual(new[] { 0, 1, 2, 3 }, choices.Select(one => one.GetProperty("index").GetInt32()).ToArray());
        Assert.AreNotEqual(choices[0].GetProperty("text").GetString(), choices[1].GetProperty("text").GetString());
        var one = JsonDocument.Parse(
            await server.Http.AnswerAsync(Route,
                body.Replace("\"n\":2", "\"n\":1", StringComparison.Ordinal))).RootElement.GetProperty("usage");
        var usage = answer.RootElement.GetProperty("usage");
        Assert.AreEqual(one.GetProperty("prompt_tokens").GetInt32(), usage.GetProperty("prompt_tokens").GetInt32());
        Assert.AreEqual(48, usage.GetProperty("completion_tokens").GetInt32());
        // More than it answers at once: the others wait.
        using var more = JsonDocument.Parse(
            await server.Http.AnswerAsync(Route, body.Replace("\"n\":2", "\"n\":3", StringComparison.Ordinal)));
        Assert.AreEqual(6, more.RootElement.GetProperty("choices").GetArrayLength());
    }

    [TestMethod]
    [TestCategory("Unit")]
    public async Task A_suffix_goes_around_the_gap_with_the_vocabularys_marks_and_is_refused_without()
    {
        GenerationRequest? seen = null;
        var marks = true;
        var engine = new ScriptedEngine
        {
            Answer = (_, request) =>
            {
                seen = request;
                return ["middle"];
            },
            Facts = _ =>
                new ModelFacts
                {
                    Architecture = "scripted",
                    Description = "",
                    Slots = 1,
                    FillInTheMiddle = marks
                    ? new FillInTheMiddle("<P>", "<S>", "<M>")
                    : null
                },
        };
        const string body = """{"model":"talker","prompt":"front<P>","suffix":"back","echo":true}""";
        await using (var server = await ServerFixture.StartAsync(engine))
        {
            Assert.AreEqual("front<P>middle", Choice(await server.AnswerAsync(Route, body)).GetProperty("text").GetString());
            CollectionAssert.AreEqual(
                new PromptPart[] { new("<P>", true), new("front<P>", false), new("<S>", true), new("back", false), new("<M>", true) },
                    seen!.Prompt.Parts.ToArray());
            using var tokens = await server.PostAsync(Route, """{"model":"talker","prompt":[1],"suffix":"back"}""");
            Assert.Contains("suffix: needs prompts that are strings", await tokens.Content.ReadAsStringAsync());
        }
        marks = false;
        await using (var server = await ServerFixture.StartAsync(engine))
        {
            using var refused = await server.PostAsync(Route, body);
            Assert.AreEqual(HttpStatusCode.BadRequest, refused.StatusCode);
            Assert.Contains("suffix: this model's vocabulary has no tokens for filling in the middle",
                await refused.Content.ReadAsStringAsync());
        }
    }

    [TestMethod]
    [TestCategory("Unit")]
    [DataRow("v1/chat/completions", "\"messages\":[{\"role\":\"user\",\"content\":\"?\"}]")]
    [DataRow(Route, "\"prompt\":\"?\"")]
    public async Task Tokens_and_timings_are_reported_where_they_are_asked_for(string route, string ask)
    {
        await using var server = await ServerFixture.StartAsync();
        var chunks =
            ServerSentEvents.Json(
                await server.AnswerAsync(route,
                    $"{{\"model\":\"talker\",{ask},\"stream\":true,\"return_tokens\":true,\"timings_per_token\":true}}")).ToArray();

        CollectionAssert.AreEqual(new[] { 1, 2, 3 },
            chunks.SelectMany(one => one.GetProperty("choices")[0].GetProperty("tokens").EnumerateArray().Select(token => token.GetInt32()))
                .ToArray());
        CollectionAssert.AreEqual(new[] { 1, 2, 3 }, chunks.Where(one => one.TryGetProperty("timings", out _))
            .Select(one => one.GetProperty("timings").GetProperty("predicted_n").GetInt32()).Distinct().ToArray());
        using var whole =
            JsonDocument.Parse(
                await server.AnswerAsync(route, $"{{\"model\":\"talker\",{ask},\"return_tokens\":true,\"timings_per_token\":true}}"));
        Assert.AreEqual(3, whole.RootElement.GetProperty("timings").GetProperty("predicted_n").GetInt32());
        Assert.AreEqual("[1,2,3]", whole.RootElement.GetProperty("choices")[0].GetProperty("tokens").GetRawText());
        Assert.DoesNotContain("timings", await server.AnswerAsync(route, $"{{\"model\":\"talker\",{ask}}}"));
    }

    private static JsonElement Choice(string answer) => JsonDocument.Parse(answer).RootElement.GetProperty("choices")[0];

    private static double?[] Logs(JsonElement choice) =>
        [.. choice.GetProperty("logprobs").GetProperty("token_logprobs").EnumerateArray()
            .Select(one => one.ValueKind == JsonValueKind.Null ? (double?)null : one.GetDouble())];
}
