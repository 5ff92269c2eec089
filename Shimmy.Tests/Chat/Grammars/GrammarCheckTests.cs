using System.Diagnostics;
using System.Text;
using Shimmy.Chat;
using Shimmy.Chat.Grammars;
using Shimmy.Chat.Messages;
using Shimmy.Engine;
using Shimmy.Engine.Grammars;
using Shimmy.Models.Residency;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Chat.Grammars;

[TestClass]
[TestCategory("Unit")]
public sealed class GrammarCheckTests
{
    [TestMethod]
    [DataRow("root ::= \"a\" | \"b\" # a comment\n", "a b", "c ab")]
    [DataRow("# first\n\nroot ::= (\"a\"\n  | \"b\") x\r\nx ::= [0-9]", "a1 b2", "a 1")]
    [DataRow("root ::=\n \"a\"{2}", "aa", "a aaa")]
    [DataRow("root ::= [a-c]{2,3}", "ab abc", "a abca")]
    [DataRow("root ::= [^a-c]{2,}", "xy xyz", "x xa")]
    [DataRow("root ::= \"a\"? [b]* [c]+", "ac bbc cc", "a b aac")]
    [DataRow("root ::= \"\\x41\\u00e9\\U0001F600\\n\\\\\"", "Aé😀\n\\", "A")]
    [DataRow("root ::= . .", "ab é😀", "a abc")]
    [DataRow("root ::= [a\\-\\]^]", "a - ] ^", "b \\")]
    [DataRow("root ::= [-a]", "- a", "b")]
    [DataRow("root ::= (\"a\"*)* \"b\"", "b aab", "a")]
    [DataRow("root ::= \"a\"+? \"b\"", "b ab aab", "a")]
    [DataRow("root ::= |\"a\"", "a", "b")]
    public void What_a_grammar_means(string grammar, string yes, string no)
    {
        var matcher = new GrammarMatcher(grammar);

        foreach (var text in yes.Split(' '))
            Assert.IsTrue(matcher.Accepts(text), text);
        foreach (var text in no.Split(' '))
            Assert.IsFalse(matcher.Accepts(text), text);
    }

    [TestMethod]
    [DataRow("", 1, 1, "is empty")]
    [DataRow("  # nothing\n", 2, 1, "is empty")]
    [DataRow("start ::= \"x\"", 1, 1, "no rule 'root'")]
    [DataRow("root := \"x\"", 1, 6, "expected '::=' after the rule name 'root', not ':'")]
    [DataRow("root ::= \"x\"\n  | \"y\"", 2, 3, "only if '|' ends the line before")]
    [DataRow("root ::= missing \"x\"", 1, 10, "'missing' is not defined")]
    [DataRow("root ::= a\na ::= \"x\"\na ::= \"y\"", 3, 1, "'a' is defined twice")]
    [DataRow("root ::= \"abc", 1, 10, "no closing '\"'")]
    [DataRow("root ::= [abc", 1, 10, "no closing ']'")]
    [DataRow("root ::= [^]", 1, 10, "is empty")]
    [DataRow("root ::= [z-a]", 1, 11, "is out of order, from U+007A to U+0061")]
    [DataRow("root ::= (\"a\" | \"b\"", 1, 10, "is not closed")]
    [DataRow("root ::= \"é\" )", 1, 14, "expected an item, '|' or the end of the line, not ')'")]
    [DataRow("root ::= (\"a\" ]", 1, 15, "expected an item, '|' or ')', not ']'")]
    [DataRow("root ::= \"\\q\"", 1, 11, "unknown escape")]
    [DataRow("root ::= \"\\'\"", 1, 11, "unknown escape")]
    [DataRow("root ::= \"\\x4\"", 1, 11, "expected 2 hexadecimal digits after '\\x'")]
    [DataRow("root ::= \"\\uD800\"", 1, 11, "U+D800 is not a valid character")]
    [DataRow("root ::= \"\\U00110000\"", 1, 11, "is not a valid character")]
    [DataRow("root ::= \"\\x00\"", 1, 11, "is not a valid character")]
    [DataRow("root ::= \"a\0\"", 1, 12, "NUL")]
    [DataRow("root ::= *", 1, 10, "'*': nothing to repeat")]
    [DataRow("root ::= \"\"*", 1, 12, "'*': nothing to repeat")]
    [DataRow("root ::= \"a\"{5,3}", 1, 13, "is out of order, from 5 to 3")]
    [DataRow("root ::= \"a\"{2", 1, 15, "expected ',' or '}' in the count, not the end of the grammar")]
    [DataRow("root ::= \"a\"{,2}", 1, 14, "expected a whole number, not ','")]
    [DataRow("root ::= \"a\"{99999999999999999999}", 1, 14, "below 2000")]
    [DataRow("root ::= \"a\"{2000}", 1, 14, "below 2000")]
    [DataRow("root ::= \"a\"{50}{50}", 1, 17, "the product of their counts must be below 2000")]
    [DataRow("root ::= (\"a\"{0,100}){0,100}", 1, 22, "the product of their counts must be below 2000")]
    [DataRow("root ::= root \"a\" | \"a\"", 1, 1, "'root' is left-recursive")]
    [DataRow("root ::= a\na ::= b \"x\"\nb ::= a | \"y\"", 2, 1, "is left-recursive")]
    [DataRow("root ::= e root \"z\" | \"x\"\ne ::= f\nf ::= \"\" | \"y\"", 1, 1, "'root' is left-recursive")]
    [DataRow("root ::= (\"\" | \"a\")*", 1, 1, "'root' is left-recursive")]
    [DataRow("root ::= <[12]>", 1, 10, "token references (<...>) are not supported")]
    [DataRow("root ::= 'a'", 1, 10, "not '''")]
    [DataRow("root_x ::= \"a\"", 1, 5, "not '_'")]
    public void What_is_wrong_is_said_with_line_and_column(string grammar, int line, int column, string problem)
    {
        var error = Assert.ThrowsExactly<GrammarException>(() => GrammarCheck.Parse(grammar));

        Assert.Contains(problem, error.Message);
        Assert.AreEqual((line, column), (error.Line, error.Column), error.Message);
    }

    [TestMethod]
    public async Task No_grammar_reaches_an_engine_unchecked()
    {
        await using var model =
            await new ScriptedEngine().LoadAsync(new ModelSpec { Name = "m", Path = "m.gguf" }, null, CancellationToken.None);
        var error = await Assert.ThrowsExactlyAsync<EngineException>(async () =>
        {
            var request = new CompletionRequest { Prompt = Prompt.FromText("x"), Grammar = Grammar.Require("root ::= \"a\"{5,3}") };
            await foreach (var outputEvent in ChatPipeline.CompleteAsync(new ModelLease(model), request, CancellationToken.None))
                Assert.Fail(outputEvent.Text);
        });

        Assert.AreEqual((EngineFailure.InvalidRequest, "grammar"), (error.Failure, error.Option));
        Assert.StartsWith("grammar: line 1, column 13: ", error.Message);
    }

    [TestMethod]
    public void What_would_bring_the_native_parser_down_is_refused_fast()
    {
        var ways = new StringBuilder("root ::= r0\n");
        for (var i = 0; i < 60; i++)
            ways.Append($"r{i} ::= r{i + 1} \"x\" | r{i + 1} \"y\"\n");
        var chain = new StringBuilder("root ::= r0\n");
        for (var i = 0; i < 50_000; i++)
            chain.Append($"r{i} ::= r{i + 1}\n");
        string[] grammars =
        [
            $"root ::= {new string('(', 100_000)}\"a\"{new string(')', 100_000)}",
            $"{ways}r60 ::= \"z\"",
            $"{chain}r50000 ::= \"z\"",
            $"root ::= \"{new string('a', 100_000)}\"{{1999}}",
            $"root ::= {string.Join(" | ", Enumerable.Range(0, 50_000).Select(i => $"\"{i}\""))}",
            $"root ::= {string.Concat(Enumerable.Repeat("(\"a\"{0,1000}){0,1} ", 500))}",
            new string(' ', (1 << 20) + 1),
        ];
        foreach (var grammar in grammars)
        {
            var watch = Stopwatch.StartNew();
            Assert.ThrowsExactly<GrammarException>(() => GrammarCheck.Parse(grammar), grammar[..40]);
            Assert.IsLessThan(TimeSpan.FromSeconds(5), watch.Elapsed, grammar[..40]);
        }
    }

    [TestMethod]
    public void Mutated_grammars_are_taken_or_refused_with_a_place()
    {
        const string seed =
            "root ::= (a | \"b\\n\\\"\" [^x-z\\]]){0,3} c+ # end\na ::= \"\\u00e9\" root? \"]\"\nc ::= ( \"1\" | \"2\"\n | . )* \"!\"\n";
        const string alphabet = "root ac::=\"\"[]()|*+?{}0123,\\xuU^-.#\n\r<!>é\0";
        var random = new Random(5);
        var taken = 0;
        for (var i = 0; i < 8000; i++)
        {
            var text = new StringBuilder(seed);
            for (var j = random.Next(1, 5); j > 0; j--)
            {
                var at = random.Next(text.Length);
                switch (random.Next(3))
                {
                    case 0:
                        text.Remove(at, Math.Min(random.Next(1, 6), text.Length - at));
                        break;
                    case 1:
                        text.Insert(at, alphabet[random.Next(alphabet.Length)]);
                        break;
                    default:
                        text[at] = alphabet[random.Next(alphabet.Length)];
                        break;
                }
            }
            try
            {
                GrammarCheck.Parse(text.ToString());
                taken++;
            }
            catch (GrammarException e)
            {
                Assert.IsTrue(e.Line >= 1 && e.Column >= 1, e.Message);
            }
        }
        Assert.IsInRange(200, 7800, taken);
    }
}
