using System.Net;
using System.Text.Json;
using Shimmy.Chat.Grammars;
using Shimmy.Chat.Grammars.Schemas;
using Shimmy.Engine;
using Shimmy.Tests.Fixtures;
using Shimmy.Tests.Fixtures.Models;
using Shimmy.Tests.Fixtures.Servers;

namespace Shimmy.Tests.Chat.Grammars.Schemas;

/// <summary>
/// Kind: JSON schemas as generators and MCP servers write them. One odd schema among many tools refuses nothing; a schema that a grammar
/// cannot express is kept as far as it can, and the finished answer is checked against the rest.
/// </summary>
[TestClass]
[TestCategory("Unit")]
public sealed class OddSchemaTests
{
    private const string Template = """
        {%- for tool in tools or [] %}{{ tool | tojson }}{% for name, property in tool.function.parameters.properties.items() %}{{ name }}{% endfor %}
        {% endfor %}{%- for message in messages %}<|im_start|>{{ message.role }}
        {{ message.content or '' }}{% for call in message.tool_calls or [] %}
        <tool_call>
        {"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
        </tool_call>{% endfor %}<|im_end|>
        {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
        {% endif %}
        """;

    private static readonly CapturedLog Log = new();
    private static ServerFixture _server = null!;
    private static volatile GenerationRequest? _seen;
    private static volatile string _answer = "{}";

    [ClassInitialize]
    public static async Task StartAsync(TestContext context) => _server = await ServerFixture.StartAsync(new ScriptedEngine
    {
        Answer = (_, request) =>
        {
            _seen = request;
            return [_answer];
        },
        Facts = spec => new ModelFacts
        {
            Architecture = "scripted",
            Description = "",
            Slots = 1,
            ContextLength = 10_000,
            ChatTemplates = new Dictionary<string, string> { ["default"] = Template },
        },
    }, loggers: Log);

    [ClassCleanup]
    public static async Task StopAsync() => await _server.DisposeAsync();

    [TestMethod]
    [DataRow("""{"type":"object","properties":{"a":{"type":"any"}}}""", "/properties/a: type")]
    [DataRow("""{"type":"object","properties":{"a":{"type":"int"}}}""", "/properties/a: type")]
    [DataRow("""{"type":"object","properties":{"a":{"type":"string","required":true}}}""", "/properties/a: required")]
    [DataRow("""{"type":"object","properties":[]}""", "properties must be")]
    [DataRow("""{"type":"object","properties":{"a":{"enum":[]}}}""", "/properties/a: enum")]
    [DataRow("""{"type":"object","properties":{"a":{"$ref":"#/$defs/none"}}}""", "/properties/a: $ref")]
    [DataRow("""{"type":"object","properties":{"a":{"$ref":"https://example.com/a.json"}}}""", "/properties/a: $ref")]
    [DataRow("""{"type":"array","items":{}}""", "no value satisfies")]
    public async Task One_odd_schema_among_forty_tools_is_warned_of_or_named(string schema, string problem)
    {
        foreach (var (route, auto, required) in Bodies(schema))
        {
            Log.Lines.Clear();
            await _server.AnswerAsync(route, auto);
            Assert.IsNotNull(_seen!.Grammar, route);
            var warning = await Log.WaitForAsync("not checked against its schema");
            Assert.StartsWith("Warning", warning);
            Assert.Contains("tools[33] 'odd'", warning);

            using var refused = await _server.PostAsync(route, required);
            var text = JsonDocument.Parse(await refused.Content.ReadAsStringAsync()).RootElement.GetProperty("error").GetProperty("message").GetString()!;
            Assert.AreEqual(HttpStatusCode.BadRequest, refused.StatusCode, text);
            Assert.StartsWith("tools[33] 'odd': ", text);
            Assert.Contains(problem, text);
        }
    }

    [TestMethod]
    public async Task Several_answers_are_prepared_once()
    {
        var body = Bodies("""{"type":"object","properties":{"a":{"type":"any"}}}""").First(body => body.Route == "v1/chat/completions").Auto;

        Log.Lines.Clear();
        await _server.AnswerAsync("v1/chat/completions", body.Replace("\"max_tokens\"", "\"n\":3,\"max_tokens\"", StringComparison.Ordinal));

        Assert.HasCount(1, Log.Lines.Where(line => line.Contains("not checked against its schema", StringComparison.Ordinal)));
    }

    [TestMethod]
    [DataRow("""{"type":"object","properties":{"a":{"type":"string"}},"required":null}""")]
    [DataRow("""{"type":"object","properties":{"a":{"type":null,"enum":null,"anyOf":null,"$ref":null,"minimum":null,"pattern":null}}}""")]
    [DataRow("""{"type":"object","properties":null,"additionalProperties":null}""")]
    [DataRow("""null""")]
    [DataRow("""[]""")]
    [DataRow("""{}""")]
    public async Task Null_in_a_schema_is_absent(string schema)
    {
        foreach (var (route, auto, required) in Bodies(schema))
        {
            Log.Lines.Clear();
            if (route != "v1/messages" || schema != "null")
            {
                await _server.AnswerAsync(route, auto);
                await _server.AnswerAsync(route, required);
            }
            Assert.IsFalse(Log.Lines.Any(line => line.Contains("not held", StringComparison.Ordinal)));
        }
    }

    [TestMethod]
    public async Task Of_two_tools_with_one_name_the_first_counts()
    {
        Log.Lines.Clear();
        await _server.AnswerAsync("v1/chat/completions", """
            {"model":"talker","messages":[{"role":"user","content":"?"}],"tools":[
            {"type":"function","function":{"name":"f","description":"first"}},{"type":"function","function":{"name":"f","description":"second"}}]}
            """);
        Assert.Contains("first", _seen!.Prompt.WholeText());
        Assert.DoesNotContain("second", _seen.Prompt.WholeText());
        Assert.Contains("tools[1] 'f'", await Log.WaitForAsync("the same name"));
        await _server.AnswerAsync("v1/messages", """
            {"model":"talker","max_tokens":5,"messages":[{"role":"user","content":"?"}],"tools":[
            {"name":"f","description":"first","input_schema":{}},{"name":"f","description":"second","input_schema":{}}]}
            """);
        Assert.DoesNotContain("second", _seen.Prompt.WholeText());
    }

    [TestMethod]
    [DataRow("""{"type":"object","propertyNames":{"pattern":"^[a-z]+$"}}""", """{"a":1}""", """{"A":1}""")]
    [DataRow("""{"type":"array","items":{"type":"integer"},"uniqueItems":true}""", "[1, 2]", "[1, 1]")]
    [DataRow("""{"type":"integer","multipleOf":5}""", "10", "11")]
    [DataRow("""{"type":"object","patternProperties":{"^n":{"type":"integer"}},"additionalProperties":false}""", """{"n":1}""", """{"m":1}""")]
    [DataRow("""{"type":"array","items":{"type":"integer"},"contains":{"const":3}}""", "[1, 3]", "[1, 2]")]
    [DataRow("""{"type":"string","not":{"enum":["no"]}}""", "\"yes\"", "\"no\"")]
    [DataRow("""{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"dependentRequired":{"a":["b"]}}""", """{"b":1}""", """{"a":1}""")]
    [DataRow("""{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"if":{"required":["a"]},"then":{"required":["b"]}}""", """{"a":1,"b":1}""", """{"a":1}""")]
    [DataRow("""{"type":"object","properties":{"a":{"type":"integer"}},"unevaluatedProperties":false}""", """{"a":1}""", null)]
    [DataRow("""{"type":"string","pattern":"^(?!no).*$"}""", "\"yes\"", "\"no\"")]
    [DataRow("""{"type":"string","format":"iso-country"}""", "\"FR\"", null)]
    [DataRow("""{"type":"string","format":"uri-template","minLength":2}""", "\"FR\"", null)]
    [DataRow("""{"oneOf":[{"type":"integer","minimum":0},{"type":"integer","minimum":5}]}""", "3", "7")]
    public async Task What_a_grammar_cannot_express_is_checked_on_the_finished_answer(string schema, string right, string? wrong)
    {
        var grammar = AnswerGrammar.AsFarAsPossible(JsonElement.Parse(schema));
        foreach (var answer in new[] { right, wrong }.OfType<string>())
            Assert.IsTrue(new GrammarMatcher(grammar.Text).Accepts(answer), $"{answer}\n{grammar.Text}");
        foreach (var body in new[]
        {
            $$"""{"model":"talker","messages":[{"role":"user","content":"?"}],"response_format":{"type":"json_schema","json_schema":{"schema":{{schema}} } } }""",
            $$"""{"model":"talker","stream":true,"messages":[{"role":"user","content":"?"}],"response_format":{"type":"json_schema","schema":{{schema}} } }""",
        })
        {
            Log.Lines.Clear();
            _answer = right;
            await _server.AnswerAsync("v1/chat/completions", body);
            Assert.IsFalse(Log.Lines.Any(line => line.Contains("does not satisfy", StringComparison.Ordinal)), right);
            if (wrong is null)
                continue;
            _answer = wrong;
            await _server.AnswerAsync("v1/chat/completions", body.Replace("\"?\"", "\"??\"", StringComparison.Ordinal));
            Assert.StartsWith("Warning", await Log.WaitForAsync("does not satisfy its schema"));
        }
        _answer = "{}";
    }

    [TestMethod]
    [DataRow("uniqueItems", """{"type":"array","items":{"type":"integer"},"uniqueItems":true}""")]
    [DataRow("format", """{"type":"string","format":"iso-country"}""")]
    public void With_strict_it_is_refused(string keyword, string schema)
    {
        var strict = $$"""{"type":"object","properties":{"a":{{schema}}},"required":["a"],"additionalProperties":false}""";
        var error = Assert.ThrowsExactly<SchemaException>(() => AnswerGrammar.OfSchema(JsonElement.Parse(strict), strict: true));
        Assert.Contains(keyword, error.Problem);
    }

    // Each with the odd schema as the 34th of forty tools.
    private static IEnumerable<(string Route, string Auto, string Required)> Bodies(string schema)
    {
        var names = Enumerable.Range(0, 40).Select(i => i == 33 ? "odd" : $"tool{i}").ToArray();
        string Schema(string name) => name == "odd" ? schema : """{"type":"object","properties":{"x":{"type":"string"}},"required":["x"]}""";
        var chat = string.Join(',', names.Select(name =>
            $$"""{"type":"function","function":{"name":"{{name}}","parameters":{{Schema(name)}} } }"""));
        const string ask = """ "model":"talker","max_tokens":5,"messages":[{"role":"user","content":"?"}] """;
        yield return ("v1/chat/completions", $$"""{{{ask}},"tools":[{{chat}}]}""", $$"""{{{ask}},"tools":[{{chat}}],"tool_choice":"required"}""");
        var flat = string.Join(',', names.Select(name => $$"""{"type":"function","name":"{{name}}","parameters":{{Schema(name)}} }"""));
        yield return ("v1/responses", $$"""{"model":"talker","input":"?","tools":[{{flat}}]}""",
            $$"""{"model":"talker","input":"?","tools":[{{flat}}],"tool_choice":"required"}""");
        var anthropic = string.Join(',', names.Select(name => $$"""{"name":"{{name}}","input_schema":{{Schema(name)}} }"""));
        yield return ("v1/messages", $$"""{{{ask}},"tools":[{{anthropic}}]}""", $$"""{{{ask}},"tools":[{{anthropic}}],"tool_choice":{"type":"any"} }""");
    }
}
