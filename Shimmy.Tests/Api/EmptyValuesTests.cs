using System.Text.Json.Nodes;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Api;

/// <summary>
/// Kind: null, [] and {} in the place of every value, at every depth, in every dialect. It is taken or refused by name, and never a fault
/// of the server.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class EmptyValuesTests
{
    private static readonly string[] Empty = ["null", "[]", "{}", "\"\"", "0", "-1", "true", "\"\\ud83d\""];

    private static readonly (string Route, string Body)[] Full =
    [
        ("v1/chat/completions", """
            {"model":"talker","stream":false,"max_tokens":5,"temperature":0.5,"stop":["a"],"seed":1,"n":1,"logprobs":true,"top_logprobs":1,
             "logit_bias":{"5":1},"user":"u","metadata":{"a":"b"},"reasoning_effort":"low","reasoning":{"effort":"low","max_tokens":5},
             "thinking":{"type":"disabled"},"think":false,"chat_template_kwargs":{"a":1},"parallel_tool_calls":true,"tool_choice":"auto",
             "stream_options":{"include_usage":true},"response_format":{"type":"json_schema","json_schema":{"name":"n","strict":false,
               "schema":{"type":"object","properties":{"a":{"type":"string","enum":["b"],"pattern":"b"}},"required":["a"],"anyOf":[{"type":"object"}],
               "patternProperties":{"x":{}},"$defs":{"d":{"type":"string"}}}}},"lora":[],"structured_outputs":{},"guided_choice":["a"],
             "tools":[{"type":"function","function":{"name":"f","description":"d","strict":false,"parameters":
               {"type":"object","properties":{"x":{"type":"string"},"y":{"type":"array","items":{"type":"integer"}}},"required":["x"]}}}],
             "messages":[{"role":"system","content":"s"},{"role":"user","name":"u","content":[{"type":"text","text":"a"}]},
               {"role":"assistant","content":"b","reasoning_content":"r","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},
               {"role":"tool","tool_call_id":"c1","content":"c"},{"role":"user","content":"d"}]}
            """),
        ("v1/completions", """
            {"model":"talker","prompt":["a"],"suffix":"","echo":true,"logprobs":1,"best_of":1,"n":1,"max_tokens":1,"stop":["x"],
             "stream_options":{"include_usage":true},"logit_bias":[[5,1]],"dry_sequence_breakers":["a"],"json_schema":{"type":"integer"}}
            """),
        ("v1/responses", """
            {"model":"talker","instructions":"i","max_output_tokens":5,"store":false,"include":["reasoning.encrypted_content"],
             "reasoning":{"effort":"low","summary":"auto"},"text":{"format":{"type":"text"},"verbosity":"low"},"metadata":{"a":"b"},
             "tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{"x":{"type":"string"}}}},{"type":"web_search"}],
             "tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"f"}]},"truncation":"disabled",
             "input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]},
               {"type":"reasoning","id":"r","summary":[{"type":"summary_text","text":"t"}],"content":[{"type":"reasoning_text","text":"t"}]},
               {"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":"x"},
               {"type":"custom_tool_call","call_id":"c2","name":"g","input":"x"},{"type":"local_shell_call","call_id":"c3","action":{"command":["ls"]}},
               {"type":"web_search_call","id":"w","action":{"query":"q"}},{"role":"user","content":"?"}]}
            """),
        ("v1/messages", """
            {"model":"talker","max_tokens":5,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"metadata":{"user_id":"u"},
             "thinking":{"type":"enabled","budget_tokens":2},"stop_sequences":["x"],"temperature":0.5,"top_k":5,"output_config":{"effort":"low"},
             "tools":[{"name":"f","description":"d","input_schema":{"type":"object","properties":{"x":{"type":"string"}}}},{"type":"bash_20250124","name":"bash"}],
             "tool_choice":{"type":"auto","disable_parallel_tool_use":false},
             "messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"document","title":"t","source":{"type":"text","data":"d"}}]},
               {"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"tool_use","id":"t1","name":"f","input":{"x":"y"}}]},
               {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","is_error":false,"content":[{"type":"text","text":"r"}]}]}]}
            """),
        ("v1/messages/count_tokens", """{"model":"talker","system":"s","messages":[{"role":"user","content":"a"}],"tools":[{"name":"f","input_schema":{}}]}"""),
        ("v1/embeddings", """{"model":"talker","input":["a","b"],"encoding_format":"float","user":"u","dimensions":2}"""),
        ("v1/rerank", """{"model":"talker","query":"q","documents":["a",{"text":"b"}],"top_n":1,"return_documents":true}"""),
        ("api/generate", """{"model":"talker","system":"s","messages":[{"role":"user","content":"a"}],"max_tokens":2,"grammar":"","format":"json"}"""),
        ("apply-template", """{"model":"talker","messages":[{"role":"user","content":"a"}],"add_generation_prompt":true,"tools":[]}"""),
        ("tokenize", """{"model":"talker","content":"a","add_special":true,"with_pieces":true}"""),
        ("detokenize", """{"model":"talker","tokens":[1,2]}"""),
    ];

    private static ServerFixture _server = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext context) => _server = await ServerFixture.StartAsync();

    [ClassCleanup]
    public static async Task StopAsync() => await _server.DisposeAsync();

    [TestMethod]
    [DataRow(0)]
    [DataRow(1)]
    [DataRow(2)]
    [DataRow(3)]
    [DataRow(4)]
    [DataRow(5)]
    [DataRow(6)]
    [DataRow(7)]
    [DataRow(8)]
    [DataRow(9)]
    [DataRow(10)]
    public async Task No_empty_value_is_a_fault_of_the_server(int which)
    {
        var (route, body) = Full[which];
        foreach (var (path, replacement) in Places(JsonNode.Parse(body)!, []).SelectMany(path => Empty.Select(value => (path, value))))
        {
            var damaged = JsonNode.Parse(body)!;
            Put(damaged, path, replacement);
            // JsonNode would not write half a surrogate.
            var text = damaged.ToJsonString().Replace("HALF", "\\ud83d", StringComparison.Ordinal);
            using var answer = await _server.PostAsync(route, text);
            Assert.IsLessThan(500, (int)answer.StatusCode, $"{route} {text}\n{await answer.Content.ReadAsStringAsync()}");
        }
    }

    private static IEnumerable<object[]> Places(JsonNode node, object[] path)
    {
        if (path.Length > 0)
            yield return path;
        var children = node switch
        {
            JsonObject fields => fields.Select(field => ((object)field.Key, field.Value)),
            JsonArray items => items.Select((item, i) => ((object)i, item)),
            _ => [],
        };
        foreach (var (key, child) in children)
        {
            foreach (var place in child is null ? [] : Places(child, [.. path, key]))
                yield return place;
        }
    }

    private static void Put(JsonNode root, object[] path, string value)
    {
        var node = path[..^1].Aggregate(root, (at, key) => key is string name ? at[name]! : at[(int)key]!);
        var put = value.Contains("ud83d", StringComparison.Ordinal) ? (JsonNode?)JsonValue.Create("HALF") : JsonNode.Parse(value);
        if (path[^1] is string last)
            node[last] = put;
        else
            node[(int)path[^1]] = put;
    }
}
