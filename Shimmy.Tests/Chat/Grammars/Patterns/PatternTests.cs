using System.Text.Json;
using System.Text.RegularExpressions;
using Shimmy.Chat.Grammars.Schemas;
using Shimmy.Tests.Chat.Grammars.Schemas;
using static Shimmy.Tests.Chat.Grammars.Schemas.SchemaCheck;

namespace Shimmy.Tests.Chat.Grammars.Patterns;

[TestClass]
[TestCategory("Unit")]
public sealed class PatternTests
{
    [TestMethod]
    [DataRow("^abc$", "abc", "abcd xabc ab")]
    [DataRow("abc", "abc xabcx", "ab")]
    [DataRow("^a", "a ab", "ba")]
    [DataRow("a$", "a ba", "ab")]
    [DataRow("^(ab|c)+$", "ab c abcab", "a b")]
    [DataRow("^a|b$", "a ax b xb", "xa bx")]
    [DataRow("^[a-c_.-]{2,3}$", "ab .- _-c", "a abca d_")]
    [DataRow("^[^a-c]$", "d é 😀 \"", "a b")]
    [DataRow("^\\d{3}-\\w+\\.\\S$", "123-a_Z.x", "12-a.x")]
    [DataRow("^(?:a)(?<name>b)??c*?$", "a ab abcc", "b")]
    [DataRow("^[\\d\\]x]\\x41\\u0042\\u{1F600}$", "1AB😀 ]AB😀", "AB")]
    [DataRow("^\\/\\\\\"$", "/\\\"", "/")]
    [DataRow("^(a*)*b$", "b aab", "a")]
    [DataRow("^(a?|b)+$", "a b aba", "c")]
    [DataRow("^(a*b?)*c$", "c abbac bc", "ab")]
    [DataRow("^(|x){3}$", "x xx xxx", "xxxx")]
    [DataRow("^a{0}b$", "b", "ab")]
    [DataRow("^.{1,4}$", "a ab\" 😀", "abcde")]
    public void A_pattern_means_what_it_means_in_json_schema(string pattern, string yes, string no) => Takes(
        $"{{\"type\":\"string\",\"pattern\":{JsonRules.Quote(pattern)}}}",
        [.. yes.Split(' ').Select(JsonRules.Quote)],
        [.. no.Split(' ').Select(JsonRules.Quote)]);

    [TestMethod]
    [DataRow("(?=a)b", "lookahead or lookbehind")]
    [DataRow("(?<!a)b", "lookahead or lookbehind")]
    [DataRow("(a)\\1", "backreference")]
    [DataRow("\\bword\\b", "word boundary")]
    [DataRow("\\p{L}", "Unicode property")]
    [DataRow("a^b", "'^' elsewhere")]
    [DataRow("(a$)", "'$' elsewhere")]
    [DataRow("(a", "'(' without ')'")]
    [DataRow("a)", "')' without '('")]
    [DataRow("[a", "'[' without ']'")]
    [DataRow("[z-a]", "out of order")]
    [DataRow("*a", "nothing to repeat")]
    [DataRow("a{3,2}", "out of order")]
    [DataRow("a{x}", "does not begin a quantifier")]
    [DataRow("a**", "nested quantifier without parentheses")]
    [DataRow("\\q", "unknown escape")]
    [DataRow("a\\", "ends with a backslash")]
    [DataRow("a{999999999}", "quantifier above")]
    public void A_pattern_that_no_grammar_can_express_is_refused_with_the_reason(string pattern, string problem)
    {
        var error =
            Refused($"{{\"type\":\"object\",\"properties\":{{\"a/b\":{{\"type\":\"string\",\"pattern\":{JsonRules.Quote(pattern)}}}}}}}");

        Assert.AreEqual("/properties/a~1b", error.Pointer);
        Assert.StartsWith("pattern ", error.Problem);
        Assert.Contains(problem, error.Problem);
    }

    [TestMethod]
    public void Lengths_that_the_pattern_keeps_by_itself_hold_together_with_it()
    {
        Takes("""{"type":"string","pattern":"^[a-z]{2,4}$","minLength":1,"maxLength":4}""", ["\"ab\""], ["\"a\""]);
        Assert.Contains("minLength 3", Refused("""{"type":"string","pattern":"^[a-z]{2,4}$","minLength":3}""").Problem);
        Assert.Contains("maxLength 9", Refused("""{"type":"string","pattern":"^[a-z]+$","maxLength":9}""").Problem);
        Assert.Contains("no value", Refused("""{"type":"string","pattern":"^[a-z]{2}$","minLength":3}""").Problem);
    }

    [TestMethod]
    public void Samples_of_every_format_are_of_that_format()
    {
        var random = new Random(2);
        foreach (var format in StringFormats.Names)
        {
            var schema = $"{{\"type\":\"string\",\"format\":\"{format}\"}}";
            var sampler = new GrammarSampler(Compile(schema));
            for (var i = 0; i < 100; i++)
            {
                var text = JsonElement.Parse(sampler.Next(random, 60)).GetString()!;
                Assert.IsTrue(SchemaValidator.IsOfFormat(text, format), $"{format}: {text}");
            }
        }
    }

    [TestMethod]
    [DataRow("date", "2024-02-29 1999-12-31", "2023-02-29 2024-13-01 2024-04-31 1900-02-29 24-01-01")]
    [DataRow("time", "23:59:59Z 00:00:00.123+02:00", "24:00:00Z 12:00:00 12:60:00Z")]
    [DataRow("date-time", "2024-05-06T07:08:09Z", "2024-05-06 2024-05-06T07:08Z")]
    [DataRow("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567e89b12d3a456426614174000")]
    [DataRow("email", "a.b@example.org", "a@b .a@b.c a@")]
    [DataRow("ipv4", "0.0.0.0 255.1.20.199", "256.1.1.1 1.2.3 01.2.3.4")]
    [DataRow("ipv6", "::1 1:2:3:4:5:6:7:8 fe80::1 ::", "1::2::3 1:2 12345::")]
    [DataRow("hostname", "localhost a-b.example.org", "-a a..b")]
    [DataRow("uri", "https://example.org/a/b?c=d#e http://localhost:8080", "example.org /a")]
    [DataRow("duration", "P1D PT5M P3W P1Y2M", "P 1D PT")]
    public void A_format_takes_its_texts(string format, string yes, string no) => Takes(
        $"{{\"type\":\"string\",\"format\":\"{format}\"}}", [.. yes.Split(' ').Select(JsonRules.Quote)],
            [.. no.Split(' ').Select(JsonRules.Quote)]);

    [TestMethod]
    public void Random_patterns_agree_with_the_frameworks_regular_expressions()
    {
        var random = new Random(8);
        for (var i = 0; i < 300; i++)
        {
            var pattern = $"^{Part(random, 3)}$";
            var grammar = Compile($"{{\"type\":\"string\",\"pattern\":\"{pattern}\"}}");
            var matcher = new GrammarMatcher(grammar);
            var regex = new Regex(pattern.Replace("$", "\\z", StringComparison.Ordinal));
            for (var j = 0; j < 30; j++)
            {
                var text = string.Concat(Enumerable.Range(0, random.Next(6)).Select(_ => "abc"[random.Next(3)]));
                Assert.AreEqual(regex.IsMatch(text), matcher.Accepts($"\"{text}\""), $"{pattern} {text}\n{grammar}");
            }
        }
    }

    private static string Part(Random random, int depth) => random.Next(depth == 0 ? 2 : 6) switch
    {
        0 => "abc"[random.Next(3)].ToString(),
        1 => new[] { "[ab]", "[^c]", ".", "[a-c]" }[random.Next(4)],
        2 or 3 => Part(random, depth - 1) + Part(random, depth - 1),
        4 => $"({Part(random, depth - 1)}|{Part(random, depth - 1)})",
        _ => $"({Part(random, depth - 1)})" + new[] { "*", "+", "?", "{2}", "{1,2}", "{2,}" }[random.Next(6)],
    };
}
