using System.Text.Json;
using Shimmy.Chat.Grammars;
using Shimmy.Chat.Grammars.Schemas;

namespace Shimmy.Tests.Chat.Grammars.Schemas;

/// <summary>What the tests of the schema compiler ask.</summary>
internal static class SchemaCheck
{
    public static string Compile(string schema, bool strict = false) => AnswerGrammar.OfSchema(JsonElement.Parse(schema), strict).Text;

    public static SchemaException Refused(string schema, bool strict = false) =>
        Assert.ThrowsExactly<SchemaException>(() => Compile(schema, strict), schema);

    /// <summary>The grammar takes these texts, whitespace between them aside, and not those.</summary>
    public static void Takes(string schema, string[] yes, string[] no)
    {
        var grammar = Compile(schema);
        var matcher = new GrammarMatcher(grammar);
        foreach (var text in yes)
            Assert.IsTrue(matcher.Accepts(text), $"{schema} refuses {text} after {text[..matcher.AcceptedLength(text)]}\n{grammar}");
        foreach (var text in no)
            Assert.IsFalse(matcher.Accepts(text), $"{schema} accepts {text}\n{grammar}");
        AllValid(schema, grammar, 30);
    }

    /// <summary>Random texts of the grammar are JSON and valid.</summary>
    public static void AllValid(string schema, string grammar, int count, int seed = 1)
    {
        var sampler = new GrammarSampler(grammar);
        var validator = new SchemaValidator(JsonElement.Parse(schema));
        var random = new Random(seed);
        for (var i = 0; i < count; i++)
        {
            var text = sampler.Next(random, 200);
            JsonElement value;
            try
            {
                value = JsonElement.Parse(text, new JsonDocumentOptions { MaxDepth = 1000 });
            }
            catch (JsonException e)
            {
                throw new AssertFailedException($"{schema} gives what is no JSON: {text} ({e.Message})");
            }
            Assert.IsNull(validator.Judge(value), $"{schema} gives {text}");
        }
    }
}
