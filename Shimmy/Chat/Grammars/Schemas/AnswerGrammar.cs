using System.Text.Json;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>Grammars of whole answers in JSON.</summary>
internal static class AnswerGrammar
{
    /// <summary>Any JSON object (<c>json_object</c>).</summary>
    public static Grammar AnyObject { get; } = Make(json => json.Object);

    /// <summary>Any JSON value.</summary>
    public static Grammar AnyValue { get; } = Make(json => json.Value);

    /// <summary>
    /// The values that a JSON schema allows. Throws <see cref="SchemaException"/> where it is invalid or a grammar cannot express it.
    /// </summary>
    public static Grammar OfSchema(JsonElement schema, bool strict = false)
    {
        var builder = new GrammarBuilder();
        var root = SchemaCompiler.Compile(builder, new JsonRules(builder), schema, "answer", new SchemaOptions { Strict = strict }, out _);
        return builder.Build(root);
    }

    private static Grammar Make(Func<JsonRules, Fragment> root)
    {
        var builder = new GrammarBuilder();
        return builder.Build(root(new JsonRules(builder)));
    }
}
