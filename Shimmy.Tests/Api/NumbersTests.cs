using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api;

/// <summary>
/// Kind: numbers and empty values as clients write them for "as you like". A limit of -1 is none, 0 generates nothing, 1234.0 is a whole
/// number, an empty stop sequence stops nothing.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class NumbersTests
{
    private static readonly (string Route, string Ask)[] Routes =
    [
        ("v1/chat/completions", """ "messages":[{"role":"user","content":"?"}] """),
        ("v1/completions", """ "prompt":"?" """),
        ("v1/responses", """ "input":"?" """),
        ("v1/messages", """ "messages":[{"role":"user","content":"?"}] """),
        ("api/generate", """ "prompt":"?" """),
    ];

    private static ServerFixture _server = null!;
    private static volatile GenerationRequest? _seen;

    [ClassInitialize]
    public static async Task StartAsync(TestContext context) => _server = await ServerFixture.StartAsync(new ScriptedEngine
    {
        Answer = (_, request) =>
        {
            _seen = request;
            return ["one", " two", " three"];
        },
    });

    [ClassCleanup]
    public static async Task StopAsync() => await _server.DisposeAsync();

    [TestMethod]
    [DataRow("\"max_tokens\":-1", null)]
    [DataRow("\"max_tokens\":0", 0)]
    [DataRow("\"max_tokens\":2.0", 2)]
    [DataRow("\"max_tokens\":2e0", 2)]
    [DataRow("\"n_predict\":2", 2)]
    [DataRow("\"n_predict\":-1", null)]
    [DataRow("\"num_predict\":-2", null)]
    [DataRow("\"max_completion_tokens\":1", 1)]
    [DataRow("\"max_output_tokens\":1", 1)]
    [DataRow("\"max_tokens\":1,\"max_completion_tokens\":1.0", 1)]
    public async Task A_limit_is_taken_in_every_dialect_under_every_name(string field, int? most)
    {
        foreach (var (route, ask) in Routes)
        {
            foreach (var stream in new[] { "false", "true" })
            {
                await _server.AnswerAsync(route, $$"""{"model":"talker",{{field}},"stream":{{stream}},{{ask}}}""");
                Assert.AreEqual(most ?? int.MaxValue, _seen!.Options.MaxTokens, $"{route} {field}");
            }
        }
    }

    [TestMethod]
    public async Task A_limit_of_none_is_given_back_as_null()
    {
        var answer = await _server.AnswerAsync("v1/responses", """{"model":"talker","input":"?","max_output_tokens":-1}""");
        Assert.Contains("\"max_output_tokens\":null", answer);
    }

    [TestMethod]
    public async Task Limits_that_differ_are_refused_in_every_dialect()
    {
        foreach (var (route, ask) in Routes)
        {
            using var answer = await _server.PostAsync(route, $$"""{"model":"talker","max_tokens":1,"n_predict":2,{{ask}}}""");
            Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
            Assert.Contains("max_tokens: differs from n_predict", await answer.Content.ReadAsStringAsync());
        }
    }

    [TestMethod]
    [DataRow("\"stop\":\"\"", "")]
    [DataRow("\"stop\":[\"\"]", "")]
    [DataRow("\"stop\":[]", "")]
    [DataRow("\"stop\":null", "")]
    [DataRow("\"stop\":[\"\",\"END\"]", "END")]
    public async Task An_empty_stop_sequence_stops_nothing(string field, string expected)
    {
        foreach (var (route, ask) in Routes)
        {
            await _server.AnswerAsync(route, $$"""{"model":"talker","max_tokens":5,{{field}},{{ask}}}""");
            Assert.AreEqual(expected, string.Join(',', _seen!.Options.Stop.Where(stop => stop == "END" || stop.Length == 0)), route);
        }
    }

    [TestMethod]
    public async Task Group_chats_stop_at_many_names()
    {
        var stops = string.Join(',', Enumerable.Range(0, 300).Select(i => $"\"name{i}:\""));
        foreach (var (route, ask) in Routes)
        {
            await _server.AnswerAsync(route, $$"""{"model":"talker","max_tokens":5,"stop":[{{stops}}],{{ask}}}""");
            Assert.Contains("name299:", _seen!.Options.Stop);
        }
        await _server.AnswerAsync("v1/messages",
            $$"""{"model":"talker","max_tokens":5,"stop_sequences":["\n\n",{{stops}},""],"messages":[{"role":"user","content":"?"}]}""");
        Assert.Contains("\n\n", _seen!.Options.Stop);
    }

    [TestMethod]
    [DataRow("\"seed\":1234.0,\"top_k\":40.0,\"logit_bias\":[[5.0,1]]")]
    [DataRow("\"grammar\":\"\"")]
    [DataRow("\"grammar\":\"  \",\"json_schema\":null")]
    [DataRow("\"reasoning_effort\":\"max\"")]
    [DataRow("\"reasoning_effort\":\"xhigh\"")]
    [DataRow("\"format\":\"\"")]
    public async Task What_is_odd_and_says_nothing_is_taken(string fields)
    {
        // A bare prompt has no template that could be told of an effort.
        foreach (var (route, ask) in Routes.Where(one => !(fields.Contains("effort", StringComparison.Ordinal) && IsBare(one.Ask))))
        {
            await _server.AnswerAsync(route, $$"""{"model":"talker","max_tokens":5,{{fields}},{{ask}}}""");
            Assert.IsNull(_seen!.Grammar);
        }
    }

    [TestMethod]
    public async Task Tokens_may_be_written_as_decimal_numbers()
    {
        await _server.AnswerAsync("v1/completions", """{"model":"talker","prompt":[[1.0,403.0,2]]}""");
        CollectionAssert.AreEqual(new[] { 1, 403, 2 }, _seen!.Prompt.Tokens!.ToArray());
    }

    [TestMethod]
    [DataRow("v1/chat/completions")]
    [DataRow("v1/completions")]
    public async Task More_answers_than_slots_wait_for_each_other(string route)
    {
        var ask = Routes.First(one => one.Route == route).Ask;
        foreach (var stream in new[] { "false", "true" })
        {
            var answer = await _server.AnswerAsync(route, $$"""{"model":"talker","n":20,"stream":{{stream}},{{ask}}}""");
            Assert.Contains("\"index\":19", answer);
        }
    }

    [TestMethod]
    [DataRow("")]
    [DataRow("\"model\":null,")]
    [DataRow("\"model\":\"\",")]
    public async Task Where_no_model_is_named_the_one_registered_by_hand_answers(string model)
    {
        foreach (var (route, ask) in Routes)
            await _server.AnswerAsync(route, $$"""{{{model}}"max_tokens":5,{{ask}}}""");
        await using var bare = await ServerFixture.StartAsync(
            new ScriptedEngine(), _ => throw new NotSupportedException(), null, NullLoggerFactory.Instance, [], _ => "");
        using var answer = await bare.PostAsync("v1/completions", $$"""{{{model}}"prompt":"?"}""");
        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains("model: is missing", await answer.Content.ReadAsStringAsync());
    }

    private static bool IsBare(string ask) => ask.Contains("prompt", StringComparison.Ordinal);

    [TestMethod]
    [DataRow("""{"type":"enabled","budget_tokens":100}""")]
    [DataRow("""{"type":"enabled","budget_tokens":0}""")]
    [DataRow("""{"type":"disabled"}""")]
    [DataRow("""{"type":"adaptive"}""")]
    public async Task A_small_budget_of_thinking_is_taken(string thinking)
    {
        foreach (var (route, ask) in Routes.Where(one => !IsBare(one.Ask)))
            await _server.AnswerAsync(route, $$"""{"model":"talker","max_tokens":500,"thinking":{{thinking}},{{ask}}}""");
    }
}
