using System.Text;
using Shimmy.Api;
using Shimmy.Http;
using Shimmy.Tests.Chat.Grammars;

namespace Shimmy.Tests.Api;

/// <summary>How requests ask for a form of the answer.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class ConstraintFieldsTests
{
    [TestMethod]
    [DataRow("""{}""", null, null)]
    [DataRow("""{"response_format":null,"grammar":null,"json_schema":null}""", null, null)]
    [DataRow("""{"response_format":{"type":"text"}}""", null, null)]
    [DataRow("""{"response_format":{"type":"json_object"}}""", "{\"a\":[1]}", "[1]")]
    [DataRow("""{"response_format":{"type":"json_object","schema":{"type":"integer"}}}""", "1", "{}")]
    [DataRow("""{"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"integer"}}}}""", "1", "{}")]
    [DataRow("""{"response_format":{"type":"json_schema","json_schema":{"name":"n","description":"d","strict":true,"schema":{"type":"object","properties":{"a":{"type":"null"}},"required":["a"],"additionalProperties":false}}}}""", "{\"a\":null}", "{}")]
    [DataRow("""{"json_schema":{"type":"integer"}}""", "1", "{}")]
    [DataRow("""{"grammar":"root ::= \"a\"","response_format":{"type":"text"}}""", "a", "b")]
    public void A_request_gets_the_grammar_that_it_asks_for(string body, string? yes, string? no)
    {
        var grammar = Read(body, responseFormat: true);

        Assert.AreEqual(yes is null, grammar is null);
        if (grammar is null)
            return;
        Assert.IsTrue(new GrammarMatcher(grammar).Accepts(yes!));
        Assert.IsFalse(new GrammarMatcher(grammar).Accepts(no!));
    }

    [TestMethod]
    [DataRow("""{"response_format":"json"}""", "response_format", "must be an object")]
    [DataRow("""{"response_format":{}}""", "response_format.type", "is missing")]
    [DataRow("""{"response_format":{"type":"xml"}}""", "response_format.type", "must be one of 'text', 'json_object', 'json_schema'")]
    [DataRow("""{"response_format":{"type":"json_schema"}}""", "response_format.json_schema", "is missing")]
    [DataRow("""{"response_format":{"type":"json_schema","json_schema":{"name":"a b","schema":{}}}}""", "response_format.json_schema.name", "letters, digits")]
    [DataRow("""{"response_format":{"type":"json_schema","json_schema":{"name":"a","strict":1,"schema":{}}}}""", "response_format.json_schema.strict", "must be true or false")]
    [DataRow("""{"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":[]}}}""", "response_format.json_schema.schema", "must be a JSON schema, not an array")]
    [DataRow("""{"response_format":{"type":"json_schema","json_schema":{"name":"a","strict":true,"schema":{"type":"object","additionalProperties":false,"required":["a"],"properties":{"a":{"type":"array","uniqueItems":true}}}}}}""",
        "response_format.json_schema.schema", "response_format.json_schema.schema/properties/a: uniqueItems cannot be expressed")]
    [DataRow("""{"response_format":{"type":"json_schema","json_schema":{"name":"a","strict":true,"schema":{"type":"object","properties":{}}}}}""",
        "response_format.json_schema.schema", "additionalProperties must be given and be false")]
    [DataRow("""{"json_schema":{"$ref":"#"}}""", "json_schema", "refers to itself")]
    [DataRow("""{"json_schema":"{}"}""", "json_schema", "must be a JSON schema, not a string")]
    [DataRow("""{"json_schema":{},"grammar":"root ::= \"a\""}""", "json_schema", "beside grammar")]
    [DataRow("""{"json_schema":{},"response_format":{"type":"json_object"}}""", "response_format", "beside json_schema")]
    [DataRow("""{"grammar":1}""", "grammar", "must be a string")]
    public void What_is_wrong_is_said_by_the_fields_name(string body, string field, string problem)
    {
        var error = Assert.ThrowsExactly<ApiException>(() => Read(body, responseFormat: true));

        Assert.AreEqual((400, field), (error.Status, error.Field));
        Assert.Contains(problem, error.Message);
    }

    [TestMethod]
    [DataRow("""{"type":"integer","minimum":0,"maximum":99,"multipleOf":5}""", "7", false)]
    [DataRow("""{"type":"integer","minimum":0,"maximum":9999,"multipleOf":5}""", "7", true)]
    [DataRow("""{"type":"integer","minimum":0,"maximum":99,"multipleOf":5.0}""", "7", false)]
    [DataRow("""{"type":"integer","minimum":1,"maximum":1284,"multipleOf":5}""", "7", false)]
    [DataRow("""{"type":"integer","minimum":0,"maximum":1279,"multipleOf":5}""", "7", false)]
    [DataRow("""{"type":"integer","minimum":0,"maximum":1280,"multipleOf":5}""", "7", true)]
    [DataRow("""{"type":"number","multipleOf":0.5}""", "0.75", true)]
    [DataRow("""{"type":"integer","minimum":0,"maximum":9,"multipleOf":2.5}""", "7", true)]
    public void A_strict_schema_may_ask_for_multiples_which_the_answer_is_held_to(string schema, string wrong, bool isTaken)
    {
        var (document, fields) = RequestFields.Parse(Encoding.UTF8.GetBytes(
            $$"""
            {"response_format":{"type":"json_schema","json_schema":{"name":"a","strict":true,"schema":{"type":"object",
             "additionalProperties":false,"required":["a"],"properties":{"a":{{schema}}} } } } }
            """));
        using var body = document;
        var grammar = ConstraintFields.Read(fields, responseFormat: true)!;

        Assert.IsTrue(new GrammarMatcher(grammar.Text).Accepts("{\"a\":5}"));
        Assert.AreEqual(isTaken, new GrammarMatcher(grammar.Text).Accepts($"{{\"a\":{wrong}}}"));
        Assert.AreEqual(isTaken, grammar.ProblemOf?.Invoke($"{{\"a\":{wrong}}}")?.Contains("is not a multiple of", StringComparison.Ordinal) ?? false);
        Assert.IsNull(grammar.ProblemOf?.Invoke("{\"a\":5}"));
    }

    private static string? Read(string body, bool responseFormat)
    {
        var (document, fields) = RequestFields.Parse(Encoding.UTF8.GetBytes(body));
        using (document)
            return ConstraintFields.Read(fields, responseFormat)?.Text;
    }
}
