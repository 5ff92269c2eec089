using System.Net;
using Shimmy.Api;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api;

/// <summary>
/// Kind: fields of other servers' APIs. What there is under another name is honoured, what would change the answer is refused by name, and
/// a hint is accepted; nothing is dropped without a word.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class OtherServersFieldsTests
{
    private static readonly (string Route, string Ask)[] Routes =
    [
        ("v1/chat/completions", """ "messages":[{"role":"user","content":"?"}] """),
        ("v1/completions", """ "prompt":"?" """),
        ("v1/responses", """ "input":"?" """),
        ("v1/messages", """ "max_tokens":9,"messages":[{"role":"user","content":"?"}] """),
        ("api/generate", """ "prompt":"?" """),
    ];

    private static readonly CapturedLog Log = new();
    private static ServerFixture _server = null!;
    private static volatile GenerationRequest? _seen;

    [ClassInitialize]
    public static async Task StartAsync(TestContext context) => _server = await ServerFixture.StartAsync(new ScriptedEngine
    {
        Answer = (_, request) =>
        {
            _seen = request;
            return ["{}"];
        },
    }, loggers: Log);

    [ClassCleanup]
    public static async Task StopAsync() => await _server.DisposeAsync();

    [TestMethod]
    [DataRow("\"guided_json\":{\"type\":\"integer\"}")]
    [DataRow("\"guided_json\":\"{\\\"type\\\":\\\"integer\\\"}\"")]
    [DataRow("\"guided_choice\":[\"yes\",\"no\"]")]
    [DataRow("\"guided_grammar\":\"root ::= \\\"a\\\"\"")]
    [DataRow("\"guided_json_object\":true")]
    [DataRow("\"structured_outputs\":{\"json\":{\"type\":\"integer\"}}")]
    [DataRow("\"structured_outputs\":{\"choice\":[\"yes\",\"no\"]}")]
    [DataRow("\"format\":\"json\"")]
    [DataRow("\"format\":{\"type\":\"integer\"}")]
    [DataRow("\"response_format\":{\"type\":\"json_object\"}")]
    [DataRow("\"response_format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"integer\"}}")]
    [DataRow("\"json_schema\":{\"type\":\"integer\"}")]
    public async Task A_form_of_the_answer_is_honoured_in_every_dialect(string field)
    {
        foreach (var (route, ask) in Routes)
        {
            _seen = null;
            await _server.AnswerAsync(route, $$"""{"model":"talker",{{field}},{{ask}}}""");
            Assert.IsNotNull(_seen!.Grammar, $"{route} {field}");
        }
    }

    [TestMethod]
    [DataRow("v1/responses", "\"text\":{\"format\":{\"type\":\"json_object\"}},\"tools\":[{\"type\":\"function\",\"name\":\"f\"}],\"input\":\"?\"")]
    [DataRow("v1/chat/completions", "\"response_format\":{\"type\":\"json_object\"},\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
        + "\"messages\":[{\"role\":\"user\",\"content\":\"?\"}]")]
    public async Task A_form_beside_tools_is_for_the_answers_in_text(string route, string body)
    {
        await _server.AnswerAsync(route, $$"""{"model":"talker",{{body}}}""");
        Assert.Contains("root ::=", _seen!.Grammar!);
        Assert.Contains("f-call", _seen.Grammar!);
    }

    [TestMethod]
    [DataRow("min_tokens", "5")]
    [DataRow("truncate", "true")]
    [DataRow("truncate_prompt_tokens", "100")]
    [DataRow("guided_regex", "\"a+\"")]
    [DataRow("structured_outputs", "{\"regex\":\"a+\"}")]
    [DataRow("structured_outputs", "{\"structural_tag\":\"{}\"}")]
    [DataRow("bad_words", "[\"a\"]")]
    [DataRow("stop_token_ids", "[2]")]
    [DataRow("n_keep", "10")]
    [DataRow("options", "{\"num_ctx\":4096}")]
    [DataRow("functions", "[{\"name\":\"f\"}]")]
    [DataRow("mcp_servers", "[{\"url\":\"x\"}]")]
    [DataRow("tfs_z", "0.5")]
    [DataRow("length_penalty", "2")]
    public async Task What_cannot_be_honoured_is_refused_by_name_in_every_dialect(string field, string value)
    {
        // With options, /api/generate is Ollama's.
        foreach (var (route, ask) in Routes.Where(route => field != "options" || route.Route != "api/generate"))
        {
            using var answer = await _server.PostAsync(route, $$"""{"model":"talker","{{field}}":{{value}},{{ask}}}""");
            var text = await answer.Content.ReadAsStringAsync();
            Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode, $"{route}: {text}");
            Assert.Contains(field, text);
        }
    }

    [TestMethod]
    [DataRow("min_tokens", "0")]
    [DataRow("truncate", "false")]
    [DataRow("best_of", "1.0")]
    [DataRow("functions", "[]")]
    [DataRow("modalities", "[\"text\"]")]
    [DataRow("stop_token_ids", "null")]
    public async Task What_asks_for_nothing_is_taken(string field, string value)
    {
        foreach (var (route, ask) in Routes)
            await _server.AnswerAsync(route, $$"""{"model":"talker","{{field}}":{{value}},{{ask}}}""");
    }

    [TestMethod]
    public async Task Every_hint_is_accepted_in_every_dialect_and_listed()
    {
        foreach (var (route, ask) in Routes)
        {
            // Some dialect holds these to their types.
            foreach (var hint in UnreadFields.Hints.Except(["metadata", "stream_options", "store", "include", "cache_control",
                "parallel_tool_calls", "max_tool_calls", "service_tier"]))
            {
                await _server.AnswerAsync(route, $$"""{"model":"talker","{{hint}}":"low",{{ask}}}""");
            }
            await _server.AnswerAsync(route, $$"""
                {"model":"talker","store":false,"verbosity":"low","service_tier":"auto","metadata":{"user_id":"a"},"web_search_options":{},
                 "prediction":{"type":"content","content":"a"},"user":"me","stream_options":{"include_usage":true},{{ask}}}
                """);
        }
        var listed = await File.ReadAllTextAsync(Path.Combine(Repository.Root, "docs", "fields.md"));
        foreach (var hint in UnreadFields.Hints)
            Assert.Contains($"`{hint}`", listed);
    }

    [TestMethod]
    public async Task What_nobody_knows_is_left_out_with_a_line_in_the_log()
    {
        foreach (var (route, ask) in Routes)
        {
            Log.Lines.Clear();
            await _server.AnswerAsync(route, $$"""{"model":"talker","keep_alive":60,"priority":1,"of_some_other_server":{"a":[]},{{ask}}}""");
            var line = await Log.WaitForAsync("left out fields");
            Assert.Contains("'of_some_other_server'", line);
            Assert.DoesNotContain("keep_alive", line);
        }
    }

    [TestMethod]
    [DataRow("""{"role":"assistant","content":"Once","prefix":true}""", "Once")]
    [DataRow("""{"role":"assistant","content":"Once","partial":true}""", "Once")]
    public async Task A_prefix_of_the_answer_is_continued(string last, string end)
    {
        await _server.AnswerAsync("v1/chat/completions",
            $$"""{"model":"talker","messages":[{"role":"user","content":"?"},{{last}}]}""");
        Assert.EndsWith(end, _seen!.Prompt.WholeText());
    }

    [TestMethod]
    public async Task Without_a_generation_prompt_the_turn_of_the_assistant_is_not_opened()
    {
        await _server.AnswerAsync("v1/chat/completions",
            """{"model":"talker","add_generation_prompt":false,"messages":[{"role":"user","content":"?"}]}""");
        var without = _seen!.Prompt.WholeText();
        await _server.AnswerAsync("v1/chat/completions", """{"model":"talker","messages":[{"role":"user","content":"?"}]}""");
        Assert.StartsWith(without, _seen!.Prompt.WholeText());
        Assert.IsLessThan(_seen.Prompt.WholeText().Length, without.Length);
    }
}
