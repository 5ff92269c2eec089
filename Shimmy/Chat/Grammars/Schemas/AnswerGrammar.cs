using System.Text.Json;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>Grammars of whole answers in JSON.</summary>
internal static class AnswerGrammar
{
    /// <summary>Any JSON object (<c>json_object</c>).</summary>
    public static Grammar AnyObject { get; } = Make(json => json.Object);

    /// <summary>
    /// The values that a JSON schema allows. Throws <see cref="SchemaException"/> where it is invalid or a grammar cannot express it;
    /// <c>multipleOf</c> is then left to the check of the finished answer (<see cref="Grammar.ProblemOf"/>).
    /// </summary>
    public static Grammar OfSchema(JsonElement schema, bool strict = false) =>
        Make(schema, new SchemaOptions { Strict = strict, LeaveOutMultiples = true });

    /// <summary>
    /// The values that a JSON schema allows, as far as a grammar can express it; the finished answer is checked against the rest
    /// (<see cref="Grammar.ProblemOf"/>). Throws <see cref="SchemaException"/> where the schema is invalid.
    /// </summary>
    public static Grammar AsFarAsPossible(JsonElement schema) => Make(schema, new SchemaOptions { LeaveOutInexpressible = true });

    private static Grammar Make(JsonElement schema, SchemaOptions options)
    {
        var builder = new GrammarBuilder();
        var root = SchemaCompiler.Compile(builder, new JsonRules(builder), schema, "answer", options, out var leftOut);
        var grammar = builder.Build(root);
        return leftOut.Count == 0 ? grammar : grammar with { ProblemOf = new SchemaConformance(schema.Clone()).ProblemOf };
    }

    /// <summary>One of these texts.</summary>
    public static Grammar OneOf(IEnumerable<string> texts) => new GrammarBuilder().Build(Literals.AnyOf(texts));

    private static Grammar Make(Func<JsonRules, Fragment> root)
    {
        var builder = new GrammarBuilder();
        return builder.Build(root(new JsonRules(builder)));
    }
}
