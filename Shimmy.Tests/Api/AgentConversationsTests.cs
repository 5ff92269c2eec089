using System.Net;
using System.Text;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api;

/// <summary>
/// Kind: the conversations of agents, with the fields and headers that they really send, turn after turn with all of the history. None is
/// refused, on a template that calls tools.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class AgentConversationsTests
{
    private const string Template = """
        {%- if tools %}<|im_start|>system
        {% for tool in tools %}{{ tool | tojson }}
        {% endfor %}For each call write <tool_call>
        {"name": <name>, "arguments": <object>}
        </tool_call><|im_end|>
        {% endif %}{%- for message in messages %}{%- if message.role == 'system' and not loop.first %}{{ raise_exception('System first') }}{% endif %}<|im_start|>{{ message.role }}
        {% if message.role == 'assistant' and message.reasoning_content %}<think>
        {{ message.reasoning_content }}
        </think>
        {% endif %}{{ message.content or '' }}{% for call in message.tool_calls or [] %}
        <tool_call>
        {"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
        </tool_call>{% endfor %}<|im_end|>
        {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
        {% endif %}
        """;

    private static ServerFixture _server = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext context) => _server = await ServerFixture.StartAsync(new ScriptedEngine
    {
        Answer = (_, request) => request.Prompt.WholeText().Contains("Read", StringComparison.Ordinal)
            ? ["<tool_call>\n{\"name\": \"Read\", \"arguments\": {\"file_path\": \"a\"}}\n</tool_call>"]
            : ["Done."],
        Facts = spec => new ModelFacts
        {
            Architecture = "scripted",
            Description = "",
            Slots = 4,
            ContextLength = 100_000,
            ChatTemplates = new Dictionary<string, string> { ["default"] = Template },
        },
    });

    [ClassCleanup]
    public static async Task StopAsync() => await _server.DisposeAsync();

    [TestMethod]
    [DataRow("claude-cli", 1)]
    [DataRow("claude-cli", 2)]
    [DataRow("claude-cli", 3)]
    [DataRow("claude-cli", 5)]
    [DataRow("claude-cli", 8)]
    [DataRow("codex", 1)]
    [DataRow("codex", 2)]
    [DataRow("codex", 3)]
    [DataRow("codex", 5)]
    [DataRow("codex", 8)]
    [DataRow("cline", 1)]
    [DataRow("cline", 2)]
    [DataRow("cline", 3)]
    [DataRow("cline", 5)]
    [DataRow("cline", 8)]
    [DataRow("opencode", 1)]
    [DataRow("opencode", 2)]
    [DataRow("opencode", 3)]
    [DataRow("opencode", 5)]
    [DataRow("opencode", 8)]
    [DataRow("zed", 1)]
    [DataRow("zed", 2)]
    [DataRow("zed", 3)]
    [DataRow("zed", 5)]
    [DataRow("zed", 8)]
    [DataRow("open-webui", 1)]
    [DataRow("open-webui", 2)]
    [DataRow("open-webui", 3)]
    [DataRow("open-webui", 5)]
    [DataRow("open-webui", 8)]
    [DataRow("langchain", 1)]
    [DataRow("langchain", 2)]
    [DataRow("langchain", 3)]
    [DataRow("langchain", 5)]
    [DataRow("langchain", 8)]
    [DataRow("home-assistant", 1)]
    [DataRow("home-assistant", 2)]
    [DataRow("home-assistant", 3)]
    [DataRow("home-assistant", 5)]
    [DataRow("home-assistant", 8)]
    public async Task A_conversation_goes_through_turn_after_turn(string client, int turns)
    {
        for (var turn = 1; turn <= turns; turn++)
        {
            foreach (var (path, headers, body) in Requests(client, turn))
            {
                using var request = new HttpRequestMessage(HttpMethod.Post, path)
                {
                    Content = new StringContent(body, Encoding.UTF8, "application/json"),
                };
                foreach (var (name, value) in headers)
                    request.Headers.TryAddWithoutValidation(name, value);
                using var answer = await _server.Client.SendAsync(request);
                var text = await answer.Content.ReadAsStringAsync();
                Assert.AreEqual(HttpStatusCode.OK, answer.StatusCode, $"{client} {path} turn {turn}: {text}");
                Assert.DoesNotContain("\"error\":{\"message\"", text);
            }
        }
    }

    private static IEnumerable<(string Path, (string, string)[] Headers, string Body)> Requests(string client, int turn) => client switch
    {
        "claude-cli" => ClaudeCode(turn),
        "codex" => Codex(turn),
        "cline" => Cline(turn),
        "opencode" => OpenCode(turn),
        "zed" => Zed(turn),
        "open-webui" => OpenWebUi(turn),
        "langchain" => LangChain(turn),
        _ => HomeAssistant(turn),
    };

    private static string Turns(int turn, Func<int, string> write) => string.Join(',', Enumerable.Range(1, turn - 1).Select(write));

    private static string Then(string history, string last) => history.Length == 0 ? last : $"{history},{last}";

    private static IEnumerable<(string, (string, string)[], string)> ClaudeCode(int turn)
    {
        (string, string)[] headers =
        [
            ("anthropic-version", "2023-06-01"), ("anthropic-beta", "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27"),
            ("Authorization", "Bearer none"), ("User-Agent", "claude-cli/2.0.14 (external, cli)"), ("x-app", "cli"), ("X-Stainless-Lang", "js"),
        ];
        var history = Turns(turn, i => $$"""
            {"role":"user","content":[{"type":"text","text":"<system-reminder>\nToday's date is 2026-01-01.\n</system-reminder>"},{"type":"text","text":"step {{i}}","cache_control":{"type":"ephemeral"} }]},
            {"role":"assistant","content":[{"type":"thinking","thinking":"I look.","signature":"c2ln"},{"type":"redacted_thinking","data":"x"},{"type":"text","text":"Reading."},
              {"type":"server_tool_use","id":"srvtoolu_{{i}}","name":"web_search","input":{"query":"q"} },{"type":"web_search_tool_result","tool_use_id":"srvtoolu_{{i}}","content":[{"type":"web_search_result","title":"t","url":"u","encrypted_content":"x","page_age":null}]},
              {"type":"tool_use","id":"toolu_{{i}}","name":"Read","input":{"file_path":"/a.cs"} },{"type":"tool_use","id":"toolu_b{{i}}","name":"Bash","input":{} }]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_{{i}}","content":[{"type":"text","text":"1\tclass A;"}]},
              {"type":"tool_result","tool_use_id":"toolu_b{{i}}","is_error":true,"content":""},{"type":"text","text":"[Request interrupted by user]"}]},
            {"role":"assistant","content":"(no content)"}
            """);
        var common = $$"""
            "model":"talker","max_tokens":32000,"temperature":1,"stream":true,
            "system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.0.14; cch=8{{turn}}b;"},{"type":"text","text":"You are Claude Code.","cache_control":{"type":"ephemeral","ttl":"1h"} }],
            "metadata":{"user_id":"user_0_account__session_1"},"thinking":{"type":"enabled","budget_tokens":31999},
            "context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},"output_config":{"effort":"high"},"betas":["x"],
            "tools":[{"name":"Read","description":"Reads a file.","input_schema":{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"file_path":{"type":"string"},"limit":{"type":"number","exclusiveMinimum":0},"offset":{"type":"number"} },"required":["file_path"],"additionalProperties":false} },
              {"name":"Bash","description":"Runs.","input_schema":{"type":"object","properties":{},"propertyNames":{"type":"string"},"additionalProperties":{} },"eager_input_streaming":true},
              {"name":"mcp__x__y","input_schema":{"type":"object","properties":{"a":{"type":["string","null"],"format":"uri"},"b":{"anyOf":[{"type":"string"},{"type":"array","items":{} }]} } },"defer_loading":true},
              {"type":"web_search_20250305","name":"web_search","max_uses":8},{"type":"bash_20250124","name":"bash"}],
            "messages":[{{Then(history, """{"role":"user","content":"go on"}""")}}]
            """;
        yield return ("v1/messages?beta=true", headers, "{" + common + "}");
        yield return ("v1/messages/count_tokens?beta=true", headers,
            "{" + common.Replace("\"max_tokens\":32000,\"temperature\":1,\"stream\":true,", "", StringComparison.Ordinal) + "}");
        // The small requests beside it: a title, a test of the quota.
        yield return ("v1/messages?beta=true", headers, """
            {"model":"talker","max_tokens":1,"messages":[{"role":"user","content":"quota"}],"metadata":{"user_id":"u"},"temperature":0,"stream":false}
            """);
        yield return ("v1/messages?beta=true", headers, """
            {"model":"talker","max_tokens":512,"temperature":1,"stream":true,"system":[{"type":"text","text":"Name the topic as JSON."}],"tools":[],
             "output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"title":{"type":"string"} },"required":["title"],"additionalProperties":false} } },
             "messages":[{"role":"user","content":"hello"},{"role":"assistant","content":"{"}]}
            """);
    }

    private static IEnumerable<(string, (string, string)[], string)> Codex(int turn)
    {
        (string, string)[] headers =
        [
            ("originator", "codex_cli_rs"), ("User-Agent", "codex_cli_rs/0.63.0"), ("session_id", "0199"), ("conversation_id", "0199"),
            ("version", "0.63.0"), ("OpenAI-Beta", "responses=experimental"), ("Accept", "text/event-stream"),
        ];
        var history = Turns(turn, i => $$"""
            {"type":"message","role":"user","content":[{"type":"input_text","text":"step {{i}}"}]},
            {"type":"reasoning","summary":[{"type":"summary_text","text":"**Looking**"}],"content":null,"encrypted_content":"gAAAA{{i}}"},
            {"type":"function_call","name":"shell","arguments":"{\"command\":[\"bash\",\"-lc\",\"ls\"],\"workdir\":\"/\"}","call_id":"call_{{i}}"},
            {"type":"function_call_output","call_id":"call_{{i}}","output":"{\"output\":\"a\\n\",\"metadata\":{\"exit_code\":0} }"},
            {"type":"custom_tool_call","status":"completed","call_id":"call_p{{i}}","name":"apply_patch","input":"*** Begin Patch\n*** End Patch"},
            {"type":"custom_tool_call_output","call_id":"call_p{{i}}","output":"Success."},
            {"type":"web_search_call","status":"completed","action":{"type":"search","query":"q"} },
            {"type":"local_shell_call","call_id":"call_l{{i}}","status":"completed","action":{"type":"exec","command":["ls"],"env":{} } },
            {"type":"function_call_output","call_id":"call_l{{i}}","output":[{"type":"input_text","text":"a"}]},
            {"type":"compaction","encrypted_content":"gAAAA"},{"type":"ghost_snapshot","ghost_commit":{"id":"a"} },
            {"type":"message","role":"assistant","content":[{"type":"output_text","text":"Done {{i}}."}]}
            """);
        yield return ("v1/responses", headers, $$"""
            {"model":"talker","instructions":"You are Codex.","input":[
              {"type":"message","role":"developer","content":[{"type":"input_text","text":"<permissions>"}]},
              {"type":"message","role":"user","content":[{"type":"input_text","text":"<environment_context>"}]},
              {{Then(history, """{"type":"message","role":"user","content":[{"type":"input_text","text":"Read it"}]}""")}}],
             "tools":[{"type":"function","name":"shell","description":"Runs.","strict":false,"parameters":{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"} },"timeout_ms":{"type":"number"} },"required":["command"],"additionalProperties":false} },
               {"type":"function","name":"Read","description":"Reads.","strict":false,"parameters":{"type":"object","properties":{"file_path":{"type":"string"} } } },
               {"type":"custom","name":"apply_patch","description":"Edits.","format":{"type":"grammar","syntax":"lark","definition":"start: x"} },
               {"type":"web_search","external_web_access":true},{"type":"local_shell"},{"type":"image_generation","output_format":"png"},{"type":"namespace","name":"n","tools":[]}],
             "tool_choice":"auto","parallel_tool_calls":false,"reasoning":{"effort":"medium","summary":"auto"},"store":false,"stream":true,
             "include":["reasoning.encrypted_content"],"prompt_cache_key":"0199","text":{"verbosity":"medium"},"service_tier":"priority","client_metadata":{"a":"b"} }
            """);
    }

    private static IEnumerable<(string, (string, string)[], string)> Cline(int turn)
    {
        (string, string)[] headers = [("Authorization", "Bearer noop"), ("User-Agent", "OpenAI/JS 4.83.0"), ("HTTP-Referer", "https://cline.bot"), ("X-Title", "Cline")];
        var history = Turns(turn, i => $$"""
            {"role":"user","content":[{"type":"text","text":"<task>step {{i}}</task>"},{"type":"text","text":"<environment_details>"}]},
            {"role":"assistant","content":"<thinking>I look.</thinking>\n<read_file>\n<path>a</path>\n</read_file>","reasoning_details":[{"type":"reasoning.text","text":"x"}]},
            {"role":"user","content":[{"type":"text","text":"[read_file for 'a'] Result:"},{"type":"text","text":""}]},
            {"role":"assistant","content":"I look again.","tool_calls":[{"id":"call_{{i}}","type":"function","function":{"name":"Read","arguments":"{\"file_path\":\"a\""} }]},
            {"role":"tool","tool_call_id":"call_{{i}}","content":""}
            """);
        yield return ("v1/chat/completions", headers, $$"""
            {"model":"talker","messages":[{"role":"system","content":"You are Cline."},{{Then(history, """{"role":"user","content":[{"type":"text","text":"go on"}]}""")}}],
             "temperature":0,"stream":true,"stream_options":{"include_usage":true},"max_tokens":-1,"reasoning_effort":"medium",
             "tools":[{"type":"function","function":{"name":"Read","strict":false,"parameters":{"type":"object","properties":{"file_path":{"type":"string"},"task_progress":{"type":"string"} } } } }],"tool_choice":"auto"}
            """);
    }

    private static IEnumerable<(string, (string, string)[], string)> OpenCode(int turn)
    {
        (string, string)[] headers = [("User-Agent", "opencode/1.0.0 ai-sdk/openai-compatible/1.0.0"), ("Authorization", "Bearer x")];
        var history = Turns(turn, i => $$"""
            {"role":"user","content":"step {{i}}"},
            {"role":"assistant","content":"","reasoning_content":"I look.","tool_calls":[{"id":"call_{{i}}","type":"function","function":{"name":"Read","arguments":"{\"file_path\":\"a\"}"} },{"id":"call_b{{i}}","type":"function","function":{"name":"invalid","arguments":"{}"} }]},
            {"role":"tool","tool_call_id":"call_{{i}}","content":"<file>\n00001| a\n</file>"},{"role":"tool","tool_call_id":"call_b{{i}}","content":"The arguments are invalid."},
            {"role":"assistant","content":"Done."}
            """);
        yield return ("v1/chat/completions", headers, $$"""
            {"model":"talker","max_tokens":32000,"temperature":0.55,"top_p":1,"stream":true,"stream_options":{"include_usage":true},"reasoningEffort":"high","reasoning_effort":"high",
             "messages":[{"role":"system","content":"You are opencode."},{"role":"system","content":"Here is the environment."},{{Then(history, """{"role":"user","content":"go on"}""")}}],
             "tools":[{"type":"function","function":{"name":"Read","description":"d","parameters":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"file_path":{"type":"string"},"edits":{"type":"array","items":{"type":"object","properties":{"a":{"type":"string","default":"x"} },"required":["a"],"additionalProperties":false} } },"required":["file_path"],"additionalProperties":false} } },
               {"type":"function","function":{"name":"todoread","description":"d","parameters":{"type":"object","properties":{} } } },
               {"type":"function","function":{"name":"mcp_odd","parameters":{"type":"object","properties":{"x":{"type":"any"},"y":{"$ref":"#/definitions/none"} } } } }],"tool_choice":"auto"}
            """);
    }

    private static IEnumerable<(string, (string, string)[], string)> Zed(int turn)
    {
        (string, string)[] headers = [("Authorization", "Bearer "), ("User-Agent", "Zed/0.210.0")];
        var history = Turns(turn, i => $$"""
            {"role":"user","content":[{"type":"text","text":"step {{i}}"}]},
            {"role":"assistant","content":null,"tool_calls":[{"id":"call_{{i}}","type":"function","function":{"name":"Read","arguments":"{\"file_path\":\"cut \\ud83d\"}"} }]},
            {"role":"tool","content":[{"type":"text","text":"cut \ud83d"}],"tool_call_id":"call_{{i}}"},
            {"role":"assistant","content":"ok"},{"role":"assistant","content":"and"}
            """);
        yield return ("v1/chat/completions", headers, $$"""
            {"model":"talker","messages":[{"role":"system","content":"You are Zed."},{{Then(history, """{"role":"user","content":[{"type":"text","text":"go on"}]}""")}}],"stream":true,"stream_options":{"include_usage":true},
             "max_completion_tokens":null,"stop":[],"temperature":1.0,"tool_choice":null,"parallel_tool_calls":false,"prompt_cache_key":"thread-1","reasoning_effort":null,
             "tools":[{"type":"function","function":{"name":"Read","description":null,"parameters":{"type":"object","required":["file_path"],"properties":{"file_path":{"description":"d","type":"string"},"n":{"type":["integer","null"],"format":"uint32","minimum":0.0} } } } }]}
            """);
    }

    private static IEnumerable<(string, (string, string)[], string)> OpenWebUi(int turn)
    {
        (string, string)[] headers = [("Authorization", "Bearer "), ("X-OpenWebUI-User-Name", "a"), ("User-Agent", "Python/3.11 aiohttp/3.12")];
        var history = Turns(turn, i => $$"""
            {"role":"user","content":"step {{i}}"},{"role":"assistant","content":"<details type=\"reasoning\" done=\"true\">\n> I look.\n</details>\nDone {{i}}."}
            """);
        var messages = Then(history, """{"role":"user","content":"go on"}""");
        yield return ("v1/chat/completions", headers, $$"""
            {"stream":true,"model":"talker","messages":[{{messages}}],"stream_options":{"include_usage":true},"max_tokens":1234.0,"stop":[""],"seed":0,"temperature":0.8,
             "top_k":40,"min_p":0.0,"frequency_penalty":0,"presence_penalty":0,"repeat_penalty":1.1,"mirostat":0,"reasoning_effort":"","chat_id":"c","session_id":"s","logit_bias":{} }
            """);
        yield return ("chat/completions", headers, $$"""
            {"model":"talker","messages":[{"role":"user","content":"### Task:\nName the topic."}],"stream":false,"max_completion_tokens":1000,"metadata":{"task":"title_generation","chat_id":"c"} }
            """);
    }

    private static IEnumerable<(string, (string, string)[], string)> LangChain(int turn)
    {
        (string, string)[] headers = [("Authorization", "Bearer x"), ("User-Agent", "OpenAI/Python 1.99.0"), ("x-stainless-lang", "python")];
        var history = Turns(turn, i => $$"""
            {"role":"user","content":"step {{i}}","name":"human"},
            {"role":"assistant","content":null,"tool_calls":[{"type":"function","id":"call_{{i}}","function":{"name":"Read","arguments":"{\"file_path\": \"a\"}"} }],"function_call":null},
            {"role":"tool","content":"[]","tool_call_id":"call_{{i}}","name":"Read"},{"role":"assistant","content":"Done."}
            """);
        var messages = Then(history, """{"role":"user","content":"go on"}""");
        yield return ("v1/chat/completions", headers, $$"""
            {"model":"talker","messages":[{"role":"system","content":"s"},{{messages}}],"n":1,"temperature":0.7,"stream":false,"parallel_tool_calls":false,"stop":null,"seed":null,"user":null,
             "tools":[{"type":"function","function":{"name":"Read","description":"d","parameters":{"properties":{"file_path":{"type":"string"},"x":{"anyOf":[{"type":"integer"},{"type":"null"}],"default":null} },"required":["file_path"],"type":"object"} } }] }
            """);
        yield return ("v1/chat/completions", headers, $$"""
            {"model":"talker","messages":[{{messages}}],"response_format":{"type":"json_schema","json_schema":{"name":"Answer","strict":false,"schema":{"title":"Answer","type":"object","properties":{"names":{"type":"array","items":{"type":"string"},"uniqueItems":true},"n":{"type":"number","multipleOf":0.5},"at":{"type":"string","format":"date-time"} },"required":["names"]} } } }
            """);
        yield return ("v1/embeddings", headers, """{"input":[[1,2,3],[4]],"model":"talker","encoding_format":"base64"}""");
    }

    private static IEnumerable<(string, (string, string)[], string)> HomeAssistant(int turn)
    {
        (string, string)[] headers = [("Authorization", "Bearer x"), ("User-Agent", "AsyncOpenAI/Python 1.99.5")];
        var history = Turns(turn, i => $$"""
            {"type":"message","role":"user","content":"turn on light {{i}}"},
            {"type":"reasoning","id":"rs_{{i}}","summary":[],"encrypted_content":null},
            {"type":"function_call","name":"HassTurnOn","arguments":"{\"name\":\"light\"}","call_id":"call_{{i}}"},
            {"type":"function_call_output","call_id":"call_{{i}}","output":"{\"speech\":{},\"response_type\":\"action_done\"}"},
            {"type":"message","role":"assistant","content":"Done."}
            """);
        yield return ("v1/responses", headers, $$"""
            {"model":"talker","input":[{"type":"message","role":"developer","content":"You are a voice assistant."},{{Then(history, """{"type":"message","role":"user","content":"and off"}""")}}],
             "max_output_tokens":3000,"user":"01J","store":false,"stream":true,"temperature":1.0,"top_p":1.0,"service_tier":"auto","include":["reasoning.encrypted_content"],"reasoning":{"effort":"low"},"text":{"verbosity":"low"},
             "tools":[{"type":"function","name":"HassTurnOn","parameters":{"type":"object","properties":{"name":{"type":"string"},"domain":{"type":"array","items":{"type":"string"} } },"required":[]},"description":"d","strict":false},
               {"type":"web_search","search_context_size":"medium"}]}
            """);
        yield return ("v1/chat/completions", headers, """
            {"model":"talker","messages":[{"role":"system","content":"s"},{"role":"user","content":"state?"}],"max_tokens":150,"top_p":1,"temperature":0.5,"user":"01J","stream":true,
             "tools":[{"type":"function","function":{"name":"HassGetState","parameters":{"type":"object","properties":{"x":{"type":"integer","minimum":0,"maximum":100} },"required":[]} } }]}
            """);
    }
}
