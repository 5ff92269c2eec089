using System.Text.Json;
using Shimmy.Chat.Grammars;
using Shimmy.Chat.Grammars.Tools;
using Shimmy.Chat.Messages;
using Shimmy.Chat.Output.Tools;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Chat.Grammars.Tools;

[TestClass]
[TestCategory("Unit")]
public sealed class ToolCallConstraintTests
{
    private static readonly ToolDefinition Weather =
        Tool("get_weather", """{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}""");
    private static readonly ToolDefinition Add =
        Tool("add", """{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["a","b"]}""");
    private static readonly ToolDefinition Now = new("now", null, default);
    private static readonly ToolCallSyntax Mistral = new()
    {
        Style = ToolCallStyle.Json,
        SectionBegin = "[TOOL_CALLS][",
        CallBegin = "{\"name\": \"",
        AfterName = "\", \"arguments\": ",
        CallEnd = $", \"id\": \"{ToolCallSyntax.IdHole}\"}}",
        Separator = ", ",
        SectionEnd = "]",
        NameKey = "name",
        ArgumentsKey = "arguments",
    };

    [TestMethod]
    public void A_named_tool_is_the_only_one_that_can_be_called()
    {
        var matcher = Matcher(ToolTemplates.Hermes, [Weather], parallel: false);

        Assert.IsTrue(matcher.Accepts("<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>"));
        Assert.IsFalse(matcher.Accepts("<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1, \"b\": 2}}\n</tool_call>"));
        Assert.IsFalse(matcher.Accepts("<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {}}\n</tool_call>"));
        Assert.IsFalse(matcher.Accepts("Well, <tool_call>"));
    }

    [TestMethod]
    public void Behind_the_trigger_the_call_goes_on_where_it_stands()
    {
        var matcher = new GrammarMatcher(ToolCallConstraint.Build(ToolTemplates.Hermes, [Now], parallel: false, afterTrigger: true).Text);

        Assert.AreEqual("<tool_call>", ToolTemplates.Hermes.Trigger);
        Assert.IsTrue(matcher.Accepts("{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"));
        Assert.IsFalse(matcher.Accepts("<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"));
    }

    [TestMethod]
    public void Several_calls_stand_in_a_row_only_where_they_may()
    {
        const string one = """{"name": "now", "arguments": {}, "id": "aB3456789"}""";

        Assert.IsTrue(Matcher(Mistral, [Now], parallel: true).Accepts($"[TOOL_CALLS][{one}, {one}, {one}]"));
        Assert.IsFalse(Matcher(Mistral, [Now], parallel: true).Accepts("[TOOL_CALLS][]"));
        Assert.IsTrue(Matcher(Mistral, [Now], parallel: false).Accepts($"[TOOL_CALLS][{one}]"));
        Assert.IsFalse(Matcher(Mistral, [Now], parallel: false).Accepts($"[TOOL_CALLS][{one}, {one}]"));
        Assert.IsFalse(Matcher(Mistral, [Now], parallel: false)
            .Accepts("""[TOOL_CALLS][{"name": "now", "arguments": {}, "id": "short"}]"""));
    }

    [TestMethod]
    public void Each_argument_may_have_marks_of_its_own()
    {
        var matcher = Matcher(ToolTemplates.Coder, [Weather, Add, Now], parallel: false);

        Assert.IsTrue(
            matcher.Accepts(
                "<tool_call>\n<function=get_weather>\n<parameter=city>\nBad Homburg, \"x\" < 3\n</parameter>\n</function>\n</tool_call>"));
        Assert.IsTrue(
            matcher.Accepts(
                "<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n-2\n</parameter>\n</function>\n</tool_call>"));
        Assert.IsTrue(matcher.Accepts("<tool_call>\n<function=now>\n</function>\n</tool_call>"));
        Assert.IsFalse(
            matcher.Accepts(
                "<tool_call>\n<function=add>\n<parameter=a>\none\n</parameter>\n<parameter=b>\n2\n</parameter>\n</function>\n</tool_call>"));
        Assert.IsFalse(matcher.Accepts("<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>"));
    }

    [TestMethod]
    public void What_no_grammar_can_hold_to_is_logged_for_a_free_tool_and_refused_for_a_strict_one()
    {
        var free = Tool("f",
            """{"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"},"uniqueItems":true},"b":{"type":"string","pattern":"(?=x)"}},"required":["a","b"],"additionalProperties":false}""");
        var builder = new GrammarBuilder();
        var grammar = new ToolArguments(builder);
        var matcher = new GrammarMatcher(builder.Build(grammar.Arguments(free)).Text);

        Assert.IsTrue(matcher.Accepts("""{"a":[1,1],"b":"anything"}"""));
        Assert.IsFalse(matcher.Accepts("""{"a":["x"],"b":""}"""));
        CollectionAssert.AreEquivalent(new[] { "f/properties/a", "f/properties/b" },
            grammar.LeftOut.Select(left => left.Split(':')[0]).ToArray());
        var error =
            Assert.ThrowsExactly<SchemaException>(() => new ToolArguments(new GrammarBuilder()).Arguments(free with { Strict = true }));
        Assert.StartsWith("/properties/", error.Pointer);
    }

    [TestMethod]
    [DataRow("""{"type":"number","multipleOf":0.5}""", false)]
    [DataRow("""{"type":"integer","multipleOf":5}""", false)]
    [DataRow("""{"type":"integer","minimum":0,"maximum":99999,"multipleOf":5}""", false)]
    [DataRow("""{"type":"integer","minimum":0,"maximum":99,"multipleOf":5}""", true)]
    [DataRow("""{"type":"integer","multipleOf":1}""", true)]
    [DataRow("""{"enum":[5,7],"multipleOf":5}""", true)]
    public void A_strict_tool_has_multiples_where_its_grammar_has_them(string schema, bool isTaken)
    {
        var tool = Tool("f", $$"""{"type":"object","properties":{"a":{{schema}} },"required":["a"],"additionalProperties":false}""");
        foreach (var syntax in new[] { ToolTemplates.Hermes, ToolTemplates.Coder })
        {
            Matcher(syntax, [tool], parallel: false);
            if (isTaken)
            {
                Matcher(syntax, [tool with { Strict = true }], parallel: false);
                continue;
            }
            var error = Assert.ThrowsExactly<SchemaException>(() => Matcher(syntax, [tool with { Strict = true }], parallel: false));
            Assert.AreEqual("/properties/a", error.Pointer);
            Assert.Contains("multipleOf cannot be expressed", error.Problem);
        }
    }

    [TestMethod]
    [DataRow("true")]
    [DataRow("{}")]
    [DataRow("""{"type":["object","null"]}""")]
    public void Arguments_are_always_an_object(string parameters)
    {
        var builder = new GrammarBuilder();
        var matcher = new GrammarMatcher(builder.Build(new ToolArguments(builder).Arguments(Tool("f", parameters))).Text);

        Assert.IsTrue(matcher.Accepts("{}") && matcher.Accepts("{\"a\":1}"));
        Assert.IsFalse(matcher.Accepts("null") || matcher.Accepts("[]"));
    }

    [TestMethod]
    public void A_tools_wrong_schema_is_refused_even_where_it_is_free()
    {
        Assert.Contains("type must be",
            Assert.ThrowsExactly<SchemaException>(
                () => new ToolArguments(new GrammarBuilder()).Arguments(Tool("f", """{"type":"no"}"""))).Message);
        Assert.Contains("no value",
            Assert.ThrowsExactly<SchemaException>(
                () => new ToolArguments(new GrammarBuilder()).Arguments(Tool("f", """{"type":"string"}"""))).Message);
    }

    [TestMethod]
    public void Names_of_a_tools_schema_are_read_once_for_all_its_properties()
    {
        var properties = string.Join(',', Enumerable.Range(0, 200).Select(i => $$"""
            "p{{i}}":{"$ref":"#n"}
            """));
        var others = string.Join(',', Enumerable.Range(0, 2000).Select(i => $$"""
            "o{{i}}":{"$anchor":"a{{i}}"}
            """));
        var tool = Tool("f", $$"""{"type":"object","properties":{{{properties}} },"$defs":{"a":{"$anchor":"n","type":"null"},{{others}} } }""");

        var before = GC.GetAllocatedBytesForCurrentThread();
        Matcher(ToolTemplates.Coder, [tool], parallel: false);

        Assert.IsLessThan(50_000_000, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static ToolDefinition Tool(string name, string parameters) => new(name, null, JsonElement.Parse(parameters));

    private static GrammarMatcher Matcher(ToolCallSyntax syntax, ToolDefinition[] tools, bool parallel) =>
        new(ToolCallConstraint.Build(syntax, tools, parallel, afterTrigger: false).Text);
}
