using System.Net;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api;

/// <summary>
/// Kind: what lies in the history of a conversation. It comes again with every turn, so it is never a reason to refuse: it is taken as it
/// is, as text, or as a plain word.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class HistoryTests
{
    private const string Template = """
        {%- for message in messages %}<|im_start|>{{ message.role }}
        {{ message.content or '' }}{% for call in message.tool_calls or [] %}
        <tool_call>
        {"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}, "id": "{{ call.id }}"}
        </tool_call>{% endfor %}{% if message.tool_call_id %}[{{ message.tool_call_id }}]{% endif %}<|im_end|>
        {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
        {% endif %}
        """;

    private static ServerFixture _server = null!;
    private static volatile GenerationRequest? _seen;

    [ClassInitialize]
    public static async Task StartAsync(TestContext context) => _server = await StartServerAsync(Template);

    [ClassCleanup]
    public static async Task StopAsync() => await _server.DisposeAsync();

    private static Task<ServerFixture> StartServerAsync(string template) => ServerFixture.StartAsync(new ScriptedEngine
    {
        Answer = (_, request) =>
        {
            _seen = request;
            return ["ok"];
        },
        Facts = spec => new ModelFacts
        {
            Architecture = "scripted",
            Description = "",
            Slots = 1,
            ContextLength = 10_000,
            ChatTemplates = new Dictionary<string, string> { ["default"] = template },
        },
    });

    private const string Called = """
        {"role":"user","content":"weather?"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":
        {"name":"f","arguments":"{}"}}]}
        """;

    [TestMethod]
    [DataRow("""{"role":"tool","tool_call_id":"c1","content":[]}""", "tool\n[c1]")]
    [DataRow("""{"role":"tool","tool_call_id":"c1","content":null}""", "tool\n[c1]")]
    [DataRow("""{"role":"tool","tool_call_id":"c1"}""", "tool\n[c1]")]
    [DataRow("""{"role":"tool","content":"sun"}""", "tool\nsun[c1]")]
    [DataRow("""{"role":"tool","tool_call_id":null,"content":[{"type":"text","text":"sun"}]}""", "tool\nsun[c1]")]
    [DataRow("""{"role":"function","name":"f","content":"sun"}""", "tool\nsun[c1]")]
    [DataRow("""{"role":"tool","tool_call_id":"c1","content":{"degrees":3}}""", "tool\n{\"degrees\":3}[c1]")]
    [DataRow("""{"role":"tool","tool_call_id":"c1","content":[{"type":"resource","resource":{"uri":"x"},"text":"sun"}]}""", "tool\nsun[c1]")]
    [DataRow("""{"role":"tool","tool_call_id":"c1","content":["sun"]}""", "tool\nsun[c1]")]
    public async Task A_result_of_a_tool_is_taken_however_little_it_says(string message, string expected)
    {
        await TakenAsync("v1/chat/completions", $$"""{"messages":[{{Called}},{{message}}]}""", expected);
        await TakenAsync("v1/chat/completions",
            $$"""{"messages":[{{Called}},{{message}},{"role":"assistant","content":"ok"},{"role":"user","content":"?"}]}""", expected);
    }

    [TestMethod]
    [DataRow("""{"role":"user","content":null}""", "user\n<|im_end|>")]
    [DataRow("""{"role":"user","content":[]}""", "user\n<|im_end|>")]
    [DataRow("""{"role":"assistant","function_call":{"name":"g","arguments":"{\"a\":1}"}}""", "\"name\": \"g\"")]
    [DataRow("""{"role":"assistant","tool_calls":[{"id":"x","type":"custom","custom":{"name":"patch","input":"*** Begin"}}]}""", "*** Begin")]
    [DataRow("""{"role":"assistant","tool_calls":[{"function":{"name":"g","arguments":{"a":1}}}]}""", "\"name\": \"g\"")]
    [DataRow("""{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"so"}]}""", "assistant\nso")]
    [DataRow("""{"role":"assistant","content":[{"type":"of_tomorrow","text":"said"}]}""", "assistant\nsaid")]
    [DataRow("""{"role":"assistant","content":[{"type":"of_tomorrow","data":1}]}""", "[of_tomorrow]")]
    [DataRow("""{"role":"assistant","content":null,"audio":{"id":"audio_1","transcript":"hello"}}""", "hello")]
    [DataRow("""{"role":"assistant","content":"a","reasoning":{"details":[]},"reasoning_details":[],"annotations":[],"prefix":false}""", "assistant\na")]
    [DataRow("""{"role":"user","content":[{"type":"input_text","text":"read"},{"type":"file","file":{"filename":"a.pdf","file_data":"data:x"}}]}""", "a.pdf")]
    [DataRow("""{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"x","format":"wav"}}]}""", "[audio omitted")]
    public async Task A_message_of_another_model_or_client_is_taken(string message, string expected) => await TakenAsync("v1/chat/completions",
        $$"""{"messages":[{{message}},{"role":"assistant","content":"ok"},{"role":"user","content":"?"}]}""", expected);

    [TestMethod]
    [DataRow("""{"type":"custom_tool_call","call_id":"c1","name":"apply_patch","input":"*** Begin Patch"},{"type":"custom_tool_call_output","call_id":"c1","output":"done"}""", "*** Begin Patch")]
    [DataRow("""{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"shimmy"}}""", "web_search_call")]
    [DataRow("""{"type":"compaction","id":"cmp_1","encrypted_content":"gAAAA"}""", "[compaction]")]
    [DataRow("""{"type":"local_shell_call","call_id":"c1","action":{"type":"exec","command":["ls"]}},{"type":"local_shell_call_output","id":"c1","output":"a.txt"}""", "a.txt")]
    [DataRow("""{"type":"function_call_output","call_id":"gone","output":"orphan"}""", "orphan")]
    [DataRow("""{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":null}""", "tool\n[c1]")]
    [DataRow("""{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":[]}""", "tool\n[c1]")]
    [DataRow("""{"type":"function_call","call_id":"c1","name":"f","arguments":{"a":1}},{"type":"function_call_output","output":"x"}""", "tool\nx[c1]")]
    [DataRow("""{"type":"mcp_call","id":"m1","name":"look","arguments":"{}","output":"found","server_label":"s"}""", "found")]
    [DataRow("""{"type":"image_generation_call","id":"ig_1","result":"","status":"completed"}""", "[image_generation_call]")]
    [DataRow("""{"type":"of_tomorrow","x":1}""", "[of_tomorrow]")]
    [DataRow("""{"type":"reasoning","summary":[],"content":null,"encrypted_content":"gAAAA"}""", "user\nfirst")]
    [DataRow("""{"role":"assistant","content":[{"type":"output_audio","transcript":"hello"}]}""", "hello")]
    [DataRow("""{"role":"user","content":[{"type":"input_file","filename":"a.pdf","file_data":"x"}]}""", "a.pdf")]
    public async Task Items_of_Codex_and_of_other_servers_are_taken_and_repeated(string items, string expected)
    {
        await TakenAsync("v1/responses", $$"""
            {"input":[{"role":"user","content":"first"},{{items}},{"type":"message","role":"user","content":[{"type":"input_text","text":"?"}]}]}
            """, expected);
        await TakenAsync("v1/responses", $$"""{"input":[{"role":"user","content":"first"},{{items}}]}""", expected);
    }

    [TestMethod]
    [DataRow("""{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,AAAA"}]}""", "[image omitted")]
    [DataRow("""{"role":"user","content":[{"type":"input_image","file_id":"file-1"}]}""", "[image omitted")]
    [DataRow("""{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"x","format":"wav"}}]}""", "[audio omitted")]
    [DataRow("""{"type":"function_call_output","call_id":"c1","output":[{"type":"input_image","image_url":"data:,x"}]}""", "[image omitted")]
    public async Task What_an_earlier_item_showed_is_no_reason_to_refuse(string item, string expected) =>
        await TakenAsync("v1/responses", $$"""{"input":[{{item}},{"role":"user","content":"?"}]}""", expected);

    [TestMethod]
    public async Task An_item_of_an_unknown_kind_is_given_back_as_it_came()
    {
        var answer = await _server.AnswerAsync("v1/responses",
            """{"model":"talker","input":[{"role":"user","content":"a"},{"type":"of_tomorrow","id":"x1","data":[1]},{"role":"user","content":"b"}]}""");
        var id = System.Text.Json.JsonDocument.Parse(answer).RootElement.GetProperty("id").GetString();
        Assert.Contains("""{"id":"x1","type":"of_tomorrow","data":[1]}""", await _server.Client.GetStringAsync($"v1/responses/{id}/input_items"));
    }

    [TestMethod]
    [DataRow("""{"type":"server_tool_use","id":"s1","name":"web_search","input":{"query":"x"}}""", "web_search")]
    [DataRow("""{"type":"web_search_tool_result","tool_use_id":"s1","content":[{"type":"web_search_result","title":"T","url":"u"}]}""", "web_search_tool_result")]
    [DataRow("""{"type":"mcp_tool_use","id":"m1","name":"look","server_name":"s","input":{}}""", "mcp_tool_use look")]
    [DataRow("""{"type":"mcp_tool_result","tool_use_id":"m1","is_error":false,"content":[{"type":"text","text":"found"}]}""", "found")]
    [DataRow("""{"type":"of_tomorrow","x":1}""", "[of_tomorrow]")]
    [DataRow("""{"type":"tool_use","id":"t1","name":"f","input":null}""", "\"name\": \"f\"")]
    [DataRow("""{"type":"tool_use","id":"t1","name":"f","input":"text"}""", "text")]
    [DataRow("""{"type":"thinking","thinking":null,"signature":""}""", "user\nfirst")]
    [DataRow("""{"type":"container_upload","file_id":"f1"}""", "[container_upload]")]
    public async Task Anthropics_blocks_of_other_models_are_taken(string block, string expected) => await TakenAsync("v1/messages", $$"""
        {"max_tokens":9,"messages":[{"role":"user","content":"first"},{"role":"assistant","content":[{{block}},{"type":"text","text":"so"}]},
        {"role":"user","content":"?"}]}
        """, expected);

    [TestMethod]
    [DataRow("""{"type":"document","title":"Report","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="}}""", "application/pdf")]
    [DataRow("""{"type":"document","source":{"type":"base64","media_type":"text/plain","data":"aGVsbG8="}}""", "hello")]
    [DataRow("""{"type":"document","source":{"type":"url","url":"https://example.com/a.pdf"}}""", "a.pdf")]
    [DataRow("""{"type":"document","source":{"type":"file","file_id":"file_1"}}""", "document")]
    [DataRow("""{"type":"of_tomorrow","text":"said"}""", "said")]
    [DataRow("""{"type":"tool_result","tool_use_id":"t1","content":null}""", "tool\n[t1]")]
    [DataRow("""{"type":"tool_result","tool_use_id":"t1","content":[]}""", "tool\n[t1]")]
    [DataRow("""{"type":"tool_result","content":"sun"}""", "tool\nsun[t1]")]
    public async Task Anthropics_documents_and_results_are_taken(string block, string expected) => await TakenAsync("v1/messages", $$"""
        {"max_tokens":9,"messages":[{"role":"user","content":"first"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{} }]},
        {"role":"user","content":[{{block}}]}]}
        """, expected);

    [TestMethod]
    public async Task A_part_that_cannot_be_read_is_refused_where_the_client_says_it_now()
    {
        using var answer = await _server.PostAsync("v1/chat/completions",
            """{"model":"talker","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}]}""");
        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains("messages[0].content[0].input_audio.data", await answer.Content.ReadAsStringAsync());
    }

    [TestMethod]
    [DataRow("v1/chat/completions", "messages[0].content", """ "messages":[{"role":"user","content":[]}] """)]
    [DataRow("v1/responses", "input[0].content", """ "input":[{"role":"user","content":[]}] """)]
    [DataRow("v1/messages", "messages[0].content", """ "max_tokens":9,"messages":[{"role":"user","content":[]}] """)]
    [DataRow("v1/messages", "messages[2].content",
        """ "max_tokens":9,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":[]}] """)]
    public async Task A_turn_that_says_nothing_is_refused_where_it_is_the_newest(string route, string field, string body)
    {
        using var answer = await _server.PostAsync(route, $$"""{"model":"talker",{{body}}}""");
        Assert.AreEqual(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains(field, await answer.Content.ReadAsStringAsync());
    }

    [TestMethod]
    [DataRow("v1/responses", """{"input":[{"role":"user","content":[]},{"role":"user","content":"?"}]}""")]
    [DataRow("v1/messages", """{"max_tokens":9,"messages":[{"role":"user","content":[]},{"role":"assistant","content":"ok"},{"role":"user","content":"?"}]}""")]
    public async Task A_turn_that_said_nothing_is_history(string route, string body) => await TakenAsync(route, body, "user\n?<|im_end|>");

    [TestMethod]
    [DataRow("{%- if message.role == 'system' and not loop.first %}{{ raise_exception('System message must be at the beginning') }}{% endif %}")]
    [DataRow("{%- if message.role == 'system' and not loop.first %}{% continue %}{% endif %}")]
    public async Task A_system_message_in_the_middle_goes_into_the_next_turn_where_the_template_refuses_it(string refusal)
    {
        var template = Template.Replace("{%- for message in messages %}", "{%- for message in messages %}" + refusal, StringComparison.Ordinal);
        await using var server = await StartServerAsync(template);
        foreach (var (route, body) in new[]
        {
            ("v1/chat/completions", """
                "messages":[{"role":"system","content":"one"},{"role":"user","content":"a"},{"role":"assistant","content":"b"},
                {"role":"system","content":"two"},{"role":"user","content":"c"}]
                """),
            ("v1/responses", """
                "input":[{"role":"developer","content":"one"},{"role":"user","content":"a"},{"role":"assistant","content":"b"},
                {"role":"developer","content":"two"},{"role":"user","content":"c"}]
                """),
            ("v1/messages", """
                "max_tokens":5,"system":"one","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},
                {"role":"system","content":"two"},{"role":"user","content":"c"}]
                """),
        })
        {
            await server.AnswerAsync(route, $$"""{"model":"talker",{{body}}}""");
            Assert.Contains("system\none<|im_end|>\n<|im_start|>user\na", _seen!.Prompt.WholeText());
            Assert.Contains("user\ntwo\n\nc<|im_end|>", _seen.Prompt.WholeText());
        }
    }

    [TestMethod]
    public async Task Messages_of_one_role_in_a_row_become_one_where_the_template_insists_on_turns()
    {
        const string turns = "{%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}";
        var template = Template.Replace("{%- for message in messages %}", "{%- for message in messages %}" + turns, StringComparison.Ordinal);
        await using var server = await StartServerAsync(template);
        await server.AnswerAsync("v1/chat/completions",
            """{"model":"talker","messages":[{"role":"user","content":"a"},{"role":"user","content":"b"}]}""");
        Assert.Contains("user\na\n\nb<|im_end|>", _seen!.Prompt.WholeText());
    }

    private static async Task TakenAsync(string route, string body, string expected)
    {
        foreach (var stream in new[] { "false", "true" })
        {
            using var answer = await _server.PostAsync(route, $$"""{"model":"talker","stream":{{stream}},{{body.Trim()[1..]}}""");
            Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode, await answer.Content.ReadAsStringAsync());
            Assert.Contains(expected, _seen!.Prompt.WholeText());
        }
    }
}
