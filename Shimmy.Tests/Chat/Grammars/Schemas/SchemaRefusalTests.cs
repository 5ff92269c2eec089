using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Shimmy.Chat.Grammars;
using Shimmy.Chat.Grammars.Schemas;
using Shimmy.Engine.Grammars;
using static Shimmy.Tests.Chat.Grammars.Schemas.SchemaCheck;

namespace Shimmy.Tests.Chat.Grammars.Schemas;

[TestClass]
[TestCategory("Unit")]
public sealed class SchemaRefusalTests
{
    [TestMethod]
    [DataRow("""{"type":"object","properties":{"a":{"type":"number","multipleOf":0}}}""", "/properties/a", "multipleOf must be a number above 0")]
    [DataRow("""{"type":"integer","minimum":1e20,"maximum":5}""", "", "no value satisfies this schema")]
    [DataRow("""{"type":"integer","minimum":0,"exclusiveMaximum":-1e20}""", "", "no value satisfies this schema")]
    [DataRow("""{"type":"integer","minimum":1e20,"maximum":5,"multipleOf":3}""", "", "no value satisfies this schema")]
    [DataRow("""{"type":"integer","minimum":9,"maximum":5,"multipleOf":3}""", "", "no value satisfies this schema")]
    [DataRow("""{"not":{"type":"string"}}""", "", "not cannot be expressed")]
    [DataRow("""{"type":"integer","if":{"minimum":1},"then":{"maximum":5}}""", "", "if (if, then, else) cannot")]
    [DataRow("""{"type":"array","items":{"type":"array","uniqueItems":true}}""", "/items", "uniqueItems cannot")]
    [DataRow("""{"type":"array","contains":{"const":1}}""", "", "contains cannot")]
    [DataRow("""{"type":"object","patternProperties":{"^a":{}}}""", "", "patternProperties cannot")]
    [DataRow("""{"type":"object","propertyNames":{"maxLength":3}}""", "", "propertyNames cannot")]
    [DataRow("""{"type":"object","dependentRequired":{"a":["b"]}}""", "", "dependentRequired cannot")]
    [DataRow("""{"type":"object","unevaluatedProperties":false}""", "", "unevaluatedProperties cannot")]
    [DataRow("""{"$defs":{"a":{"type":"object","dependentSchemas":{"x":{}}}},"anyOf":[{"$ref":"#/$defs/a"}]}""", "/$defs/a", "dependentSchemas cannot")]
    [DataRow("""{"$dynamicRef":"#a"}""", "", "$dynamicRef is not supported")]
    [DataRow("""{"type":"object","additionalProperties":{},"minProperties":2}""", "", "minProperties above 1")]
    [DataRow("""{"type":"object","properties":{"a":{},"b":{}},"maxProperties":1}""", "", "maxProperties cannot")]
    [DataRow("""{"type":"string","format":"color"}""", "", "format 'color' is not supported; supported are date, time")]
    [DataRow("""{"type":"string","pattern":"^a","format":"date"}""", "", "format 'date' cannot be combined with pattern '^a'")]
    [DataRow("""{"enum":["a"],"pattern":"^a"}""", "", "pattern cannot be combined with enum")]
    [DataRow("""{"oneOf":[{"type":"integer"},{"type":"number"}]}""", "", "exclude each other, and 0 and 1 may not")]
    [DataRow("""{"type":"object","properties":{"k":{"oneOf":[{"type":"string"},{"const":"a"}]}}}""", "/properties/k", "oneOf cannot")]
    [DataRow("""{"oneOf":[{"type":"object","properties":{"a":{}},"required":["a"]},{"type":"object","properties":{"b":{}},"required":["b"]}]}""", "", "oneOf cannot")]
    [DataRow("""{"oneOf":[{"properties":{"a":{"const":1}},"required":["a"]},{"type":"string"}]}""", "", "oneOf cannot")]
    [DataRow("""{"type":"text"}""", "", "type must be 'null'")]
    [DataRow("""{"type":[1]}""", "", "type must be 'null'")]
    [DataRow("""{"enum":[]}""", "", "enum must be an array of at least one value")]
    [DataRow("""{"type":"string","minLength":-1}""", "", "minLength must be a whole number of at least 0")]
    [DataRow("""{"type":"string","minLength":1.5}""", "", "minLength must be a whole number")]
    [DataRow("""{"type":"integer","minimum":"1"}""", "", "minimum must be a number")]
    [DataRow("""{"type":"number","maximum":1e300}""", "", "maximum must be a number from")]
    [DataRow("""{"type":"object","properties":[]}""", "", "properties must be an object of schemas")]
    [DataRow("""{"type":"object","properties":{"a~b":{"items":{"properties":{"c":5}}}}}""", "/properties/a~0b/items/properties/c", "a schema must be an object, true or false")]
    [DataRow("""{"type":"object","required":"a"}""", "", "required must be an array of strings")]
    [DataRow("""{"type":"object","required":[1]}""", "", "required must be a string")]
    [DataRow("""{"anyOf":{}}""", "", "anyOf must be an array of schemas")]
    [DataRow("""{"anyOf":[]}""", "", "anyOf must have at least one schema")]
    [DataRow("""{"type":"string","nullable":1}""", "", "nullable must be true or false")]
    [DataRow("""{"$ref":"#/$defs/no"}""", "", "$ref '#/$defs/no' cannot be resolved")]
    [DataRow("""{"$ref":"https://example.org/schema"}""", "", "is not a JSON pointer into this schema, such as #/$defs/name, nor an $anchor or $id of it")]
    [DataRow("""{"$ref":"#there","$defs":{"a":{"$anchor":"here"}}}""", "", "is not a JSON pointer into this schema")]
    [DataRow("""{"$id":"https://example.org/a","$ref":"b#/$defs/a","$defs":{"a":{}}}""", "", "is not a JSON pointer into this schema")]
    [DataRow("""{"$ref":1}""", "", "$ref must be a string")]
    [DataRow("""{"$ref":"#"}""", "", "refers to itself without a property")]
    [DataRow("""{"anyOf":[{"type":"null"},{"$ref":"#"}]}""", "", "refers to itself without a property")]
    [DataRow("""{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"allOf":[{"$ref":"#/$defs/a"}]}},"$ref":"#/$defs/a"}""", "/$defs/a", "refers to itself without a property")]
    [DataRow("""{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}""", "", "every value of this schema contains another value")]
    [DataRow("""{"type":"array","minItems":1,"items":{"$ref":"#"}}""", "", "every value of this schema contains another value")]
    [DataRow("""false""", "", "no value satisfies")]
    [DataRow("""{"type":"object","properties":{"a":{"allOf":[{"type":"string"},{"type":"null"}]}}}""", "/properties/a", "no value satisfies")]
    [DataRow("""{"type":"object","properties":{"a":false},"required":["a"]}""", "", "no value satisfies")]
    [DataRow("""{"type":"integer","minimum":3,"maximum":2}""", "", "no value satisfies")]
    [DataRow("""{"type":"number","minimum":1,"exclusiveMaximum":1}""", "", "no value satisfies")]
    [DataRow("""{"type":"string","minLength":3,"maxLength":2}""", "", "no value satisfies")]
    [DataRow("""{"type":"array","minItems":3,"maxItems":2}""", "", "no value satisfies")]
    [DataRow("""{"type":"string","enum":[1,2]}""", "", "no value satisfies")]
    [DataRow("""{"const":"\ud800"}""", "", "not valid Unicode")]
    [DataRow("""{"type":"object","properties":{"\udc00":{}}}""", "", "not valid Unicode")]
    public void What_is_wrong_or_cannot_be_held_to_is_refused_with_its_place(string schema, string place, string problem)
    {
        var error = Refused(schema);

        Assert.Contains(problem, error.Problem);
        Assert.AreEqual(place, error.Pointer, error.Message);
    }

    [TestMethod]
    [DataRow("""{"oneOf":[{"type":"object","properties":{"kind":{"const":"a"},"x":{"type":"integer"}},"required":["kind","x"]},{"type":"object","properties":{"kind":{"enum":["b","c"]}},"required":["kind"]}]}""")]
    [DataRow("""{"oneOf":[{"type":"object","properties":{"a":{}},"required":["a"],"additionalProperties":false},{"type":"object","properties":{"b":{}},"required":["b"],"additionalProperties":false}]}""")]
    [DataRow("""{"oneOf":[{"type":"string","maxLength":2},{"type":"string","minLength":3},{"enum":[1,2]},{"const":3}]}""")]
    [DataRow("""{"oneOf":[{"$ref":"#/$defs/leaf"},{"$ref":"#/$defs/pair"}],"$defs":{"leaf":{"type":"object","properties":{"kind":{"const":"leaf"}},"required":["kind"]},"pair":{"type":"object","properties":{"kind":{"const":"pair"},"left":{"$ref":"#"},"right":{"$ref":"#"}},"required":["kind","left","right"]}}}""")]
    public void OneOf_is_taken_where_its_schemas_exclude_each_other(string schema) => AllValid(schema, Compile(schema), 50);

    [TestMethod]
    [DataRow("""{"type":"object","uniqueItems":true,"properties":{"a":{"type":"string","multipleOf":3}}}""")]
    [DataRow("""{"type":"array","uniqueItems":false,"items":{"type":"object","patternProperties":{},"propertyNames":true}}""")]
    public void Keywords_that_do_not_bind_the_types_allowed_are_no_reason_to_refuse(string schema) => AllValid(schema, Compile(schema), 20);

    [TestMethod]
    [DataRow("""{"type":"string"}""", "", "type must be 'object' at the root")]
    [DataRow("""{"anyOf":[]}""", "", "anyOf is not allowed at the root")]
    [DataRow("""{"type":"object","properties":{"a":{}},"required":["a"]}""", "", "additionalProperties must be given and be false")]
    [DataRow("""{"type":"object","properties":{"a":{"type":"array","items":{"type":["object","null"],"properties":{"b":{},"c":{}},"required":["b"],"additionalProperties":false}}},"required":["a"],"additionalProperties":false}""",
        "/properties/a/items", "required must name every property in strict mode; 'c' is missing")]
    [DataRow("""{"type":"object","additionalProperties":false,"$defs":{"d":{"type":"object"}}}""", "/$defs/d", "additionalProperties must be given")]
    public void Strict_schemas_are_held_to_openais_rules(string schema, string place, string problem)
    {
        var error = Refused(schema, strict: true);

        Assert.Contains(problem, error.Problem);
        Assert.AreEqual(place, error.Pointer);
    }

    [TestMethod]
    public void A_strict_schema_that_keeps_the_rules_compiles() => Compile(
        """{"type":"object","properties":{"a":{"type":["string","null"]},"b":{"$ref":"#/$defs/d"}},"required":["a","b"],"additionalProperties":false,"$defs":{"d":{"type":"object","properties":{},"additionalProperties":false}}}""", strict: true);

    [TestMethod]
    public void Hostile_schemas_are_answered_fast()
    {
        var deep = string.Concat(Enumerable.Repeat("{\"type\":\"array\",\"items\":", 1500)) + "true" + new string('}', 1500);
        var choices = string.Concat(Enumerable.Repeat("{\"anyOf\":[true,", 5000)) + "true" + string.Concat(Enumerable.Repeat("]}", 5000));
        var bomb = new StringBuilder("{\"$ref\":\"#/$defs/a0\",\"$defs\":{");
        for (var i = 0; i < 40; i++)
        {
            bomb.Append(
                $"\"a{i}\":{{\"anyOf\":[{{\"$ref\":\"#/$defs/a{i + 1}\"}},{{\"allOf\":[{{\"$ref\":\"#/$defs/a{i + 1}\"}}]}},{{\"const\":{i}}}]}},");
        }

        bomb.Append("\"a40\":{\"type\":\"null\"}}}");
        var product = "{\"allOf\":["
            + string.Join(',', Enumerable.Repeat("{\"anyOf\":[{\"minLength\":1},{\"minLength\":2},{\"minLength\":3}]}", 30)) + "]}";
        var wide = "{\"type\":\"object\",\"properties\":{"
            + string.Join(',', Enumerable.Range(0, 1200).Select(i => $"\"p{i}\":{{\"type\":\"integer\",\"maximum\":{i}}}")) + "}}";
        var values = "{\"enum\":[" + string.Join(',', Enumerable.Range(0, 20_000)) + "]}";
        var prefix = "{\"enum\":[" + string.Join(',', Enumerable.Range(1, 500).Select(i => $"\"{new string('a', i)}\"")) + "]}";
        var name = "{\"type\":\"object\",\"properties\":{\"" + new string('n', 30_000) + "\":{}},\"additionalProperties\":true}";
        var counts = """{"type":"array","maxItems":1000000000,"items":{"type":"string","maxLength":1000000000}}""";
        var pairs = "{\"oneOf\":["
            + string.Join(',', Enumerable.Range(0, 200)
                .Select(i => $"{{\"type\":\"object\",\"properties\":{{\"k\":{{\"const\":{i}}}}},\"required\":[\"k\"]}}")) + "]}";
        var self = """{"oneOf":[{"type":"object","properties":{"x":{"$ref":"#"},"y":{"$ref":"#"}},"required":["x","y"]},{"type":"object","properties":{"x":{"$ref":"#"},"y":{"$ref":"#"}},"required":["x","y"]}]}""";
        foreach (var schema in new[] { deep, choices, bomb.ToString(), product, wide, values, prefix, name, counts, pairs, self })
        {
            using var document = JsonDocument.Parse(schema, new JsonDocumentOptions { MaxDepth = 100_000 });
            var watch = Stopwatch.StartNew();
            try
            {
                Assert.IsLessThanOrEqualTo(GrammarLimits.Characters, AnswerGrammar.OfSchema(document.RootElement).Text.Length);
            }
            catch (SchemaException e)
            {
                Assert.IsGreaterThan(10, e.Problem.Length);
            }
            Assert.IsLessThan(TimeSpan.FromSeconds(5), watch.Elapsed, schema[..Math.Min(60, schema.Length)]);
        }
    }

    [TestMethod]
    public void A_reference_takes_memory_by_the_size_of_the_schema()
    {
        var name = new string('n', 20_000);
        var numbers = string.Join(',', Enumerable.Repeat("1", 40_000));
        var anchors = string.Join(',', Enumerable.Range(0, 5000).Select(i => $$"""{"$anchor":"a{{i}}"}"""));
        foreach (var reference in new[] { "#/$defs/a", "#n" })
        {
            var schema = JsonElement.Parse($$$"""
                {"$id":"{{{name}}}","$ref":"{{{reference}}}","$defs":{"a":{"$anchor":"n","type":"null"}},"x":{"{{{name}}}":[{{{numbers}}}],"y":{"{{{name}}}":[{{{anchors}}}]} } }
                """);
            var before = GC.GetAllocatedBytesForCurrentThread();
            AnswerGrammar.OfSchema(schema);
            Assert.IsLessThan(30_000_000, GC.GetAllocatedBytesForCurrentThread() - before, reference);
        }
    }

    [TestMethod]
    public void Mutated_schemas_compile_or_are_refused()
    {
        string[] words =
        [
            "\"type\":\"object\"", "\"properties\":{\"a\":{\"$ref\":\"#\"}}",
                "\"anyOf\":[{\"type\":\"string\"},true]", "\"items\":{}", "\"enum\":[1,\"a\",null]",
            "\"required\":[\"a\"]", "\"pattern\":\"^a+$\"", "\"minimum\":-3.5", "\"maxItems\":3",
                "\"$defs\":{\"x\":{\"const\":{}}}", "\"$ref\":\"#/$defs/x\"", "\"oneOf\":[{\"type\":\"null\"}]",
        ];
        const string alphabet = "{}[]\",:01-.e#/$\\utrfalsn ";
        var random = new Random(6);
        var (compiled, refused) = (0, 0);
        for (var i = 0; i < 3000; i++)
        {
            var text = new StringBuilder("{" + string.Join(',', random.GetItems(words, random.Next(1, 5)).Distinct()) + "}");
            for (var j = random.Next(3); j > 0; j--)
                text[random.Next(text.Length)] = alphabet[random.Next(alphabet.Length)];
            JsonDocument document;
            try
            {
                document = JsonDocument.Parse(text.ToString());
            }
            catch (JsonException)
            {
                continue;
            }
            using (document)
            {
                try
                {
                    AnswerGrammar.OfSchema(document.RootElement);
                    compiled++;
                }
                catch (SchemaException)
                {
                    refused++;
                }
            }
        }
        Assert.IsGreaterThan(200, compiled);
        Assert.IsGreaterThan(200, refused);
    }
}
