using System.Text.Json;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>Grammars of whole answers.</summary>
internal static class AnswerGrammar
{
    /// <summary>Any JSON object: what <c>json_object</c> asks for.</summary>
    public static Grammar AnyObject { get; } = Make(json => json.Object);

    /// <summary>Any JSON value.</summary>
    public static Grammar AnyValue { get; } = Make(json => json.Value);

    /// <summary>Values of a schema. Throws <see cref="SchemaException"/> where it is wrong or cannot be held to.</summary>
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
