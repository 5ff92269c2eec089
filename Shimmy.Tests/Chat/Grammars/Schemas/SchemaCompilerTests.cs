using System.Text.Json;
using Shimmy.Chat.Grammars.Schemas;
using static Shimmy.Tests.Chat.Grammars.Schemas.SchemaCheck;

namespace Shimmy.Tests.Chat.Grammars.Schemas;

/// <summary>Each keyword: which texts the grammar takes. Every schema is also sampled, and the samples validated.</summary>
[TestClass]
[TestCategory("Unit")]
public sealed class SchemaCompilerTests
{
    [TestMethod]
    [DataRow("""{"type":"null"}""", """null""", """true|"null"|nul""")]
    [DataRow("""{"type":"boolean"}""", """true|false""", """null|1|True""")]
    [DataRow("""{"type":"integer"}""", """0|-1|1234567890123456""", """-0|01|1.0|1e3|12345678901234567|""")]
    [DataRow("""{"type":"number"}""", """0|-0.5|12.25|1e10|-1.5E-7""", """01|.5|1.|1e100|+1|Infinity""")]
    [DataRow("""{"type":"string"}""", """ ""|"é😀"|"\"\\\n\u00e9"|"a'b/" """, """ "|"a|"a" "b"|"\x"|"\ud800"|'a'|"	" """)]
    [DataRow("""{"type":["integer","null"]}""", """1|null""", """1.5|"1" """)]
    [DataRow("""{"type":"string","nullable":true}""", """ "a"|null""", """1""")]
    [DataRow("""{"enum":["a","ab","b",1,null,[1,{"x":true}]]}""", """ "a"|"ab"|"b"|1|null|[1,{"x":true}]""", """ "c"|2|""|"abb" """)]
    [DataRow("""{"type":"string","enum":["a",1,null]}""", """ "a" """, """1|null""")]
    [DataRow("""{"type":["string","null"],"enum":["long","x",null],"maxLength":2}""", """ "x"|null""", """ "long" """)]
    [DataRow("""{"const":"a\"\\\u0001é😀\n"}""", """ "a\"\\\u0001é😀\n" """, """ "a" """)]
    [DataRow("""{"const":{"b":[],"a":{}}}""", """{"b":[],"a":{}}""", """{}""")]
    [DataRow("""{"enum":[1,2,3,4],"minimum":2,"exclusiveMaximum":4}""", """2|3""", """1|4""")]
    [DataRow("""{"anyOf":[{"type":"integer"},{"type":"array","items":{"type":"boolean"}}]}""", """5|[true]|[]""", """ "x"|[1]""")]
    [DataRow("""{"type":"string","anyOf":[{"minLength":3},{"const":"a"}]}""", """ "abc"|"a" """, """ "b"|3""")]
    [DataRow("""{"oneOf":[{"type":"integer"},{"type":"string"},{"type":"null"}]}""", """1|"1"|null""", """true""")]
    [DataRow("""{"oneOf":[{"type":"integer","maximum":0},{"type":"integer","exclusiveMinimum":0}]}""", """0|7|-7""", """1.5""")]
    [DataRow("""{"allOf":[{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]},{"properties":{"b":{"type":"boolean"}},"required":["b"]}]}""",
        """{"a":1,"b":true}|{"a": 1, "b": true}""", """{"a":1}|{"b":true,"a":1}""")]
    [DataRow("""{"allOf":[{"type":"integer","minimum":3},{"maximum":5}]}""", """3|5""", """2|6""")]
    [DataRow("""{"allOf":[{"type":["string","integer"]},{"type":["integer","null"]}]}""", """1""", """ "a"|null""")]
    [DataRow("""{"$ref":"#/$defs/a~1b","$defs":{"a/b":{"type":"integer"}}}""", """1""", """ "1" """)]
    [DataRow("""{"$ref":"#/definitions/a%20b","definitions":{"a b":{"$ref":"#/definitions/c"},"c":{"const":1}}}""", """1""", """2""")]
    [DataRow("""{"$defs":{"n":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/n"},{"type":"null"}]}},"required":["v","next"],"additionalProperties":false}},"$ref":"#/$defs/n"}""",
        """{"v":1,"next":{"v":2,"next":null}}""", """{"v":1}|{"v":1,"next":{}}""")]
    [DataRow("""{"type":"array","items":{"$ref":"#"}}""", """[]|[[],[[]]]""", """[1]|{}""")]
    [DataRow("""{"type":"integer","minimum":-7,"maximum":13,"multipleOf":5}""", """-5|0|5|10""", """-10|1|13|15|-0""")]
    [DataRow("""{"type":"integer","minimum":0,"exclusiveMaximum":30,"allOf":[{"multipleOf":5},{"multipleOf":2},{"multipleOf":0.5}]}""", """0|10|20""", """5|2|30""")]
    [DataRow("""{"type":"integer","maximum":5,"anyOf":[{"minimum":0},{"minimum":1e19}]}""", """0|5""", """-1|6""")]
    [DataRow("""{"type":"integer","maximum":5,"multipleOf":5,"anyOf":[{"minimum":0},{"minimum":1e19}]}""", """0|5""", """-5|1""")]
    [DataRow("""{"type":"integer","minimum":1,"maximum":11,"multipleOf":5.0}""", """5|10""", """0|1|15|5.0""")]
    [DataRow("""{"type":"integer","minimum":1,"maximum":11,"multipleOf":0.5e1}""", """5|10""", """0|1|15""")]
    [DataRow("""{"type":"integer","minimum":1,"maximum":40,"allOf":[{"multipleOf":5.0},{"multipleOf":2.0},{"multipleOf":4}]}""", """20|40""", """5|10|30""")]
    [DataRow("""{"type":"integer","minimum":-5,"maximum":1000000,"multipleOf":1e20}""", """0""", """1|100000""")]
    [DataRow("""{"type":"integer","minimum":-7,"maximum":-3,"multipleOf":3}""", """-3|-6""", """0|-9|-4""")]
    [DataRow("""{"type":"integer","multipleOf":1}""", """0|-17""", """1.5""")]
    [DataRow("""{"type":"integer","minimum":-9000000000,"maximum":9000000000,"multipleOf":9000000000000000000}""", """0""", """9000000000""")]
    [DataRow("""{"type":"number","enum":[1,1.5,2,2.25],"multipleOf":0.5}""", """1|1.5|2""", """2.25""")]
    [DataRow("""{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"},"c":{"type":"integer"}},"required":["b"]}""",
        """{"b":1}|{"a":1,"b":2}|{"a":1,"b":2,"c":3}|{ "b": 1 }""", """{}|{"a":1}|{"b":1,"a":2}|{"b":1,}|{,"b":1}|{"b":1,"d":2}""")]
    [DataRow("""{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}}}""",
        """{}|{"a":1}|{"b":1}|{"a":1,"b":2}""", """{"b":1,"a":2}|{"a":"x"}""")]
    [DataRow("""{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":{"type":"string"}}""",
        """{}|{"a":1}|{"a":1,"b":"x"}|{"ab":"x","":"y"}|{"b":"x"}""", """{"a":"x"}|{"b":1}|{"b":"x","a":1}|{"\u0061":"x"}""")]
    [DataRow("""{"type":"object","properties":{"ab":{},"ac":{},"b":{}},"required":["ab"],"additionalProperties":true}""",
        """{"ab":null,"a":1,"abc":2,"c":[1]}""", """{"a":1}|{"ab":1,"b":2,"ac":3}""")]
    [DataRow("""{"type":"object"}""", """{}|{"x":[1,{"y":null}]}""", """[]""")]
    [DataRow("""{"type":"object","additionalProperties":false}""", """{}""", """{"a":1}""")]
    [DataRow("""{"type":"object","additionalProperties":{"type":"integer"},"minProperties":1,"maxProperties":2}""",
        """{"a":1}|{"a":1,"b":2}""", """{}|{"a":1,"b":2,"c":3}|{"a":"x"}""")]
    [DataRow("""{"type":"object","properties":{"a":{"const":1},"b":{"const":2}},"minProperties":1,"additionalProperties":false}""",
        """{"a":1}|{"b":2}|{"a":1,"b":2}""", """{}""")]
    [DataRow("""{"type":"object","properties":{"a":{"const":1},"b":{"const":2}},"minProperties":2,"additionalProperties":false}""", """{"a":1,"b":2}""", """{"a":1}""")]
    [DataRow("""{"type":"object","properties":{"a":{"const":1},"b":{"const":2}},"required":["a"],"maxProperties":1}""", """{"a":1}""", """{"a":1,"b":2}""")]
    [DataRow("""{"type":"object","required":["x"]}""", """{"x":1}""", """{}""")]
    [DataRow("""{"type":"object","properties":{"a":false,"b":true}}""", """{"b":[]}|{}""", """{"a":1}""")]
    [DataRow("""{"properties":{"a":{"type":"integer"}},"required":["a"]}""", """{"a":1}""", """1|{}""")]
    [DataRow("""{"type":"array"}""", """[]|[1,"a",{}]""", """{}""")]
    [DataRow("""{"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":3}""", """[1,2]|[1, 2, 3]""", """[]|[1]|[1,2,3,4]""")]
    [DataRow("""{"type":"array","items":{"type":"integer"},"maxItems":0}""", """[]""", """[1]""")]
    [DataRow("""{"type":"array","items":false}""", """[]""", """[1]""")]
    [DataRow("""{"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":{"type":"boolean"}}""",
        """[]|[1]|[1,"a"]|[1,"a",true,false]""", """["a"]|[1,2]|[1,"a",1]""")]
    [DataRow("""{"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":false,"minItems":1}""", """[1]|[1,"a"]""", """[]|[1,"a",1]""")]
    [DataRow("""{"type":"array","prefixItems":[{"const":1}],"minItems":2,"maxItems":3}""", """[1,"x"]|[1,{},2]""", """[1]|[1,2,3,4]""")]
    [DataRow("""{"type":"string","minLength":2,"maxLength":3}""", """ "ab"|"é😀x"|"\n\n" """, """ "a"|"abcd"|"\n" """)]
    [DataRow("""{"type":"string","minLength":1}""", """ "a"|"abcdefgh" """, """ "" """)]
    [DataRow("""{"type":"integer","minimum":95,"maximum":1234}""", """95|99|100|999|1000|1234""", """94|1235|9|12345|-95""")]
    [DataRow("""{"type":"integer","minimum":-12,"maximum":7}""", """-12|-9|-1|0|7""", """-13|8|-0|10""")]
    [DataRow("""{"type":"integer","exclusiveMinimum":0}""", """1|10|99999""", """0|-1""")]
    [DataRow("""{"type":"integer","maximum":-5}""", """-5|-10|-123456""", """-4|0|5""")]
    [DataRow("""{"type":"integer","minimum":1.5,"maximum":2.5}""", """2""", """1|3""")]
    [DataRow("""{"type":"integer","minimum":5,"exclusiveMinimum":true,"maximum":7,"exclusiveMaximum":true}""", """6""", """5|7""")]
    [DataRow("""{"type":"integer","format":"int32"}""", """2147483647|-2147483648""", """2147483648""")]
    [DataRow("""{"type":"integer","minimum":100000000000000000000}""", """100000000000000000000|900000000000000000001""", """99999999999999999999""")]
    [DataRow("""{"type":"number","minimum":0,"maximum":1}""", """0|1|0.5|0.0""", """1.1|-0.1|2|-0""")]
    [DataRow("""{"type":"number","exclusiveMinimum":0}""", """0.001|1|25.5""", """0|0.0|-1""")]
    [DataRow("""{"type":"number","minimum":-1.25,"exclusiveMaximum":2.5}""", """-1.25|-1|-0.5|0|2|2.49|2.4""", """-1.26|2.5|2.51|-2|3""")]
    [DataRow("""{"type":"number","minimum":0.125,"maximum":0.25}""", """0.125|0.2|0.25|0.1999""", """0.1|0.124|0.26|0|1""")]
    [DataRow("""{"type":"number","maximum":-3}""", """-3|-3.5|-100""", """-2.9|0|3""")]
    [DataRow("""{"title":"t","description":"d","default":1,"examples":[1],"$schema":"x","$comment":"c","x-own":1,"type":"null"}""", """null""", """1""")]
    public void A_keyword_allows_what_it_says(string schema, string yes, string no) => Takes(schema, Split(yes), Split(no));

    [TestMethod]
    [DataRow("true")]
    [DataRow("{}")]
    public void An_empty_schema_allows_any_value(string schema) =>
        Takes(schema, ["1", "null", "\"a\"", "[1,[{}]]", "{\"a\":{\"b\":[true,false]}}", "{\n  \"a\": 1\n}"], ["", "[", "{a:1}", "[1,]"]);

    [TestMethod]
    public void Whitespace_is_bounded()
    {
        var matcher = new GrammarMatcher(Compile("""{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}"""));

        Assert.IsTrue(matcher.Accepts("{\n    \"a\": 1\n}"));
        Assert.AreEqual(2, matcher.AcceptedLength("{  "));
        Assert.AreEqual(22, matcher.AcceptedLength("{\n" + new string(' ', 40)));
        Assert.AreEqual(6, matcher.AcceptedLength("{\"a\":   1}"));
        Assert.AreEqual(0, matcher.AcceptedLength(" {"));
    }

    [TestMethod]
    public void Long_strings_and_arrays_are_counted_beyond_llama_cpps_bound_on_repetitions()
    {
        var text = new GrammarMatcher(Compile("""{"type":"string","minLength":2500,"maxLength":5100}"""));
        var array = new GrammarMatcher(Compile("""{"type":"array","items":{"const":1},"minItems":2100,"maxItems":2101}"""));

        foreach (var (length, taken) in new[] { (2499, false), (2500, true), (3000, true), (4999, true), (5100, true), (5101, false) })
            Assert.AreEqual(taken, text.Accepts($"\"{new string('a', length)}\""), length.ToString());
        foreach (var (length, taken) in new[] { (2099, false), (2100, true), (2101, true), (2102, false) })
            Assert.AreEqual(taken, array.Accepts($"[{string.Join(',', Enumerable.Repeat(1, length))}]"), length.ToString());
    }

    [TestMethod]
    public void Every_whole_number_of_a_range_and_none_beside_it()
    {
        var random = new Random(3);
        for (var i = 0; i < 60; i++)
        {
            var low = random.Next(-1200, 1200);
            var high = low + random.Next(0, 1300);
            var matcher = new GrammarMatcher(Compile($"{{\"type\":\"integer\",\"minimum\":{low},\"maximum\":{high}}}"));
            for (var n = -1500; n <= 2700; n += 1 + random.Next(7))
                Assert.AreEqual(n >= low && n <= high, matcher.Accepts(n.ToString()), $"{n} in {low}..{high}");
            Assert.IsTrue(matcher.Accepts(low.ToString()) && matcher.Accepts(high.ToString()), $"{low}..{high}");
        }
    }

    [TestMethod]
    public void Decimal_numbers_are_within_their_bounds()
    {
        var random = new Random(4);
        for (var i = 0; i < 150; i++)
        {
            var low = Math.Round((random.NextDouble() - 0.5) * Math.Pow(10, random.Next(0, 4)), random.Next(0, 4));
            var high = low + Math.Round(random.NextDouble() * Math.Pow(10, random.Next(-2, 3)), random.Next(1, 4)) + 0.001;
            var schema = string.Create(System.Globalization.CultureInfo.InvariantCulture,
                $"{{\"type\":\"number\",\"{(i % 2 == 0 ? "minimum" : "exclusiveMinimum")}\":{(decimal)low},\"{(i % 3 == 0 ? "maximum" : "exclusiveMaximum")}\":{(decimal)high}}}");
            var grammar = Compile(schema);
            AllValid(schema, grammar, 20, i);
            var matcher = new GrammarMatcher(grammar);
            for (var j = 0; j < 50; j++)
            {
                var number = Math.Round((decimal)(low + (high - low) * ((random.NextDouble() * 2) - 0.5)), 4);
                if (number > (decimal)low && number < (decimal)high && number != 0)
                {
                    Assert.IsTrue(matcher.Accepts(number.ToString(System.Globalization.CultureInfo.InvariantCulture)),
                        $"{schema} {number}");
                }
            }
        }
    }

    [TestMethod]
    public void An_enum_of_many_values_begins_in_few_ways()
    {
        var values = Enumerable.Range(0, 2000).Select(i => $"value-{i}").ToArray();
        var grammar = Compile($"{{\"enum\":[{string.Join(',', values.Select(value => $"\"{value}\""))}]}}");
        var matcher = new GrammarMatcher(grammar);

        Assert.IsTrue(matcher.Accepts("\"value-1999\"") && matcher.Accepts("\"value-19\"") && matcher.Accepts("\"value-0\""));
        Assert.IsFalse(matcher.Accepts("\"value-2000\"") || matcher.Accepts("\"value-\""));
        Assert.IsLessThan(40_000, grammar.Length);
    }

    [TestMethod]
    public void Compiling_is_deterministic()
    {
        const string schema =
            """{"type":"object","properties":{"b":{"enum":["x","y"]},"a":{"type":"array","items":{"type":"string","maxLength":4}}}}""";

        Assert.AreEqual(Compile(schema), Compile(schema));
    }

    private static string[] Split(string texts) => [.. texts.Split('|').Select(text => text.Trim(' '))];

    [TestMethod]
    [DataRow("""{"type":"array","items":{"$ref":"#n"},"$defs":{"a":{"$anchor":"n","type":"integer"}}}""", """[1]""", """["x"]""")]
    [DataRow("""{"$ref":"#n","definitions":{"a":{"$id":"#n","type":"integer"}}}""", """1""", """ "x" """)]
    [DataRow("""{"$id":"https://example.org/tree","type":"array","items":{"$ref":"https://example.org/tree"}}""", """[[],[[]]]""", """[1]""")]
    [DataRow("""{"$id":"https://example.org/tree#","type":"array","items":{"$ref":"tree#/$defs/a"},"$defs":{"a":{"type":"integer"}}}""", """[1]""", """["x"]""")]
    [DataRow("""{"$id":"/schemas/root","type":"array","items":{"$ref":"leaf#n"},"$defs":{"x":{"$id":"/schemas/leaf","$defs":{"y":{"$anchor":"n","type":"integer"}}}}}""", """[1]""", """["x"]""")]
    [DataRow("""{"$id":"urn:example:root","type":"array","items":{"$ref":"urn:example:root#n"},"$defs":{"x":{"$anchor":"n","type":"integer"}}}""", """[1]""", """["x"]""")]
    [DataRow("""{"$ref":"leaf","$defs":{"x":{"$id":"leaf","$ref":"#/$defs/y","$defs":{"y":{"type":"integer"}}},"y":{"type":"null"}}}""", """1""", """null""")]
    [DataRow("""{"$ref":"leaf","$defs":{"x":{"$id":"leaf","$ref":"#/$defs/y"},"y":{"type":"integer"}}}""", """1""", """null""")]
    [DataRow("""{"$ref":"#n","default":{"$anchor":"n","type":"null"},"examples":[{"$anchor":"n","type":"null"}],"$defs":{"a":{"$anchor":"n","type":"integer"}}}""", """1""", """null""")]
    [DataRow("""{"$ref":"#n","x":{"const":{"$anchor":"n","type":"null"},"enum":[{"$anchor":"n","type":"null"}],"example":{"a":{"$anchor":"n"}}},"$defs":{"a":{"$anchor":"n","type":"integer"}}}""", """1""", """null""")]
    [DataRow("""{"$ref":"#n","$defs":{"default":{"$anchor":"n","type":"integer"}}}""", """1""", """null""")]
    [DataRow("""{"$ref":"#n","$defs":{"x":{"properties":{"const":{"$anchor":"n","type":"integer"}}}}}""", """1""", """null""")]
    [DataRow("""{"$ref":"#n","$defs":{"$anchor":"n","a":{"$anchor":"n","type":"integer"}}}""", """1""", """null""")]
    public void A_reference_is_found_by_the_names_that_schemas_of_the_document_have(string schema, string yes, string no)
    {
        var matcher = new GrammarMatcher(Compile(schema));
        var conformance = new SchemaConformance(JsonElement.Parse(schema));
        Assert.IsTrue(matcher.Accepts(yes.Trim()));
        Assert.IsFalse(matcher.Accepts(no.Trim()));
        Assert.IsNull(conformance.ProblemOf(yes));
        Assert.Contains("must be of type", conformance.ProblemOf(no)!);
    }

    [TestMethod]
    public void A_schema_of_patternProperties_has_names_of_its_own()
    {
        var schema = JsonElement.Parse(
            """{"type":"object","patternProperties":{"^a":{"$id":"leaf","$ref":"#n","$defs":{"y":{"$anchor":"n","type":"integer"}}}}}""");

        var grammar = AnswerGrammar.AsFarAsPossible(schema);

        Assert.IsTrue(new GrammarMatcher(grammar.Text).Accepts("""{"a":1}"""));
        Assert.IsNull(grammar.ProblemOf!("""{"a":1}"""));
        Assert.Contains("must be of type", grammar.ProblemOf("""{"a":"x"}""")!);
    }
}
