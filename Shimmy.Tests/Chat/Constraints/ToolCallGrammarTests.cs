using System.Text.Json;
using Shimmy.Chat;
using Shimmy.Chat.Constraints;
using static Shimmy.Chat.Constraints.GrammarBuilder;

namespace Shimmy.Tests.Chat.Constraints;

[TestClass]
public sealed class ToolCallGrammarTests
{
    private static readonly ToolDefinition s_weather = Tool("get_weather", """{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}""");
    private static readonly ToolDefinition s_add = Tool("add", """{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["a","b"]}""");
    private static readonly ToolDefinition s_now = new("now", null, default);
    private static readonly ToolCallShape s_hermes = new() { Before = "<tool_call>\n", After = "\n</tool_call>", Separator = "\n" };

    [TestMethod]
    public void A_named_tool_is_the_only_one_that_can_be_called()
    {
        var matcher = Matcher(grammar => grammar.Calls([s_weather], s_hermes, parallel: false));

        Assert.IsTrue(matcher.Accepts("<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>"));
        Assert.IsTrue(matcher.Accepts("<tool_call>\n{\"name\":\"get_weather\",\"arguments\":{\"city\":\"\"}}\n</tool_call>"));
        Assert.IsFalse(matcher.Accepts("<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1, \"b\": 2}}\n</tool_call>"));
        Assert.IsFalse(matcher.Accepts("<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {}}\n</tool_call>"));
        Assert.IsFalse(matcher.Accepts("Well, <tool_call>"));
    }

    [TestMethod]
    public void Each_tool_takes_its_own_arguments()
    {
        var matcher = Matcher(grammar => grammar.Calls([s_weather, s_add, s_now], new ToolCallShape { NameKey = "function", ArgumentsKey = "parameters" }, parallel: false));

        Assert.IsTrue(matcher.Accepts("""{"function": "add", "parameters": {"a": 1, "b": 2}}"""));
        Assert.IsTrue(matcher.Accepts("""{"function": "now", "parameters": {}}"""));
        Assert.IsFalse(matcher.Accepts("""{"function": "now", "parameters": {"city": "x"}}"""));
        Assert.IsFalse(matcher.Accepts("""{"function": "add", "parameters": {"city": "x"}}"""));
        Assert.IsFalse(matcher.Accepts("""{"function": "sub", "parameters": {}}"""));
    }

    [TestMethod]
    public void Several_calls_stand_in_a_row_only_where_they_may()
    {
        var shape = new ToolCallShape { Open = "[TOOL_CALLS][", Separator = ", ", Close = "]", Leading = "\"type\": \"function\", " };
        const string one = """{"type": "function", "name": "now", "arguments": {}}""";

        Assert.IsTrue(Matcher(grammar => grammar.Calls([s_now], shape, parallel: true)).Accepts($"[TOOL_CALLS][{one}, {one}, {one}]"));
        Assert.IsFalse(Matcher(grammar => grammar.Calls([s_now], shape, parallel: true)).Accepts("[TOOL_CALLS][]"));
        Assert.IsTrue(Matcher(grammar => grammar.Calls([s_now], shape, parallel: false)).Accepts($"[TOOL_CALLS][{one}]"));
        Assert.IsFalse(Matcher(grammar => grammar.Calls([s_now], shape, parallel: false)).Accepts($"[TOOL_CALLS][{one}, {one}]"));
    }

    [TestMethod]
    public void A_family_with_a_form_of_its_own_is_built_from_the_same_pieces()
    {
        var builder = new GrammarBuilder();
        var grammar = new ToolCallGrammar(builder);
        var call = Choice(new[] { s_weather, s_add }.Select(tool => Sequence(Literal($"<function={tool.Name}>"), grammar.Arguments(tool), Literal("</function>"))));
        var think = builder.Repeat(OneOf(CharacterSet.Of(('<', '<')).Inverted()), 0, null);
        var matcher = new GrammarMatcher(builder.Build(Sequence(Literal("<think>"), think, Literal("</think>"), grammar.Around(call, new ToolCallShape { After = "\n" }, parallel: true))));

        Assert.IsTrue(matcher.Accepts("<think>hm</think><function=add>{\"a\":1,\"b\":2}</function>\n<function=get_weather>{\"city\":\"x\"}</function>\n"));
        Assert.IsFalse(matcher.Accepts("<think>hm</think>"));
    }

    [TestMethod]
    public void What_no_grammar_can_hold_to_is_told_for_a_free_tool_and_refused_for_a_strict_one()
    {
        var free = Tool("f", """{"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"},"uniqueItems":true},"b":{"type":"string","pattern":"(?=x)"}},"required":["a","b"],"additionalProperties":false}""");
        var builder = new GrammarBuilder();
        var grammar = new ToolCallGrammar(builder);
        var matcher = new GrammarMatcher(builder.Build(grammar.Arguments(free)));

        Assert.IsTrue(matcher.Accepts("""{"a":[1,1],"b":"anything"}"""));
        Assert.IsFalse(matcher.Accepts("""{"a":["x"],"b":""}"""));
        CollectionAssert.AreEquivalent(new[] { "f/properties/a", "f/properties/b" }, grammar.LeftOut.Select(left => left.Split(':')[0]).ToArray());
        var error = Assert.ThrowsExactly<SchemaException>(() => new ToolCallGrammar(new GrammarBuilder()).Arguments(free with { Strict = true }));
        Assert.StartsWith("/properties/", error.Pointer);
    }

    [TestMethod]
    [DataRow("true")]
    [DataRow("{}")]
    [DataRow("""{"type":["object","null"]}""")]
    public void Arguments_are_always_an_object(string parameters)
    {
        var matcher = Matcher(grammar => grammar.Arguments(Tool("f", parameters)));

        Assert.IsTrue(matcher.Accepts("{}") && matcher.Accepts("{\"a\":1}"));
        Assert.IsFalse(matcher.Accepts("null") || matcher.Accepts("[]"));
    }

    [TestMethod]
    public void A_tools_wrong_schema_is_refused_even_where_it_is_free()
    {
        Assert.Contains("type must be", Assert.ThrowsExactly<SchemaException>(() => new ToolCallGrammar(new GrammarBuilder()).Arguments(Tool("f", """{"type":"no"}"""))).Message);
        Assert.Contains("no value", Assert.ThrowsExactly<SchemaException>(() => new ToolCallGrammar(new GrammarBuilder()).Arguments(Tool("f", """{"type":"string"}"""))).Message);
    }

    private static ToolDefinition Tool(string name, string parameters) => new(name, null, JsonElement.Parse(parameters));

    private static GrammarMatcher Matcher(Func<ToolCallGrammar, Fragment> root)
    {
        var builder = new GrammarBuilder();
        return new GrammarMatcher(builder.Build(root(new ToolCallGrammar(builder))));
    }
}
