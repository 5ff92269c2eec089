using System.Globalization;
using Shimmy.Chat.Grammars.Patterns;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>Strings: of any content with length bounds, or of a pattern or format that implies the length bounds.</summary>
internal static class StringGrammar
{
    /// <summary>The strings that a case allows.</summary>
    public static Fragment Of(GrammarBuilder builder, SchemaCompiler compiler, SchemaCase one)
    {
        if (one.MaxLength < one.MinLength)
            return Fragment.Nothing;
        PatternNode? shape = null;
        StringShape from = default;
        foreach (var wanted in one.Shapes)
        {
            if (Parse(compiler, wanted) is not { } node)
                continue;
            if (shape is null)
            {
                (shape, from) = (node, wanted);
            }
            else
            {
                compiler.Refuse(wanted.Pointer,
                    $"{wanted.Keyword} '{wanted.Value}' cannot be combined with {from.Keyword} '{from.Value}' in a grammar");
            }
        }
        if (shape is null)
        {
            return one.MinLength == 0 && one.MaxLength is null
                ? compiler.Json.String
                : builder.SharedRule("string", JsonRules.Quoted(builder.Repeat(compiler.Json.Character, one.MinLength, one.MaxLength)));
        }
        if (shape.Shortest > one.MaxLength || shape.Longest < one.MinLength)
            return Fragment.Nothing;
        if (shape.Shortest < one.MinLength)
        {
            compiler.Refuse(from.Pointer, string.Create(CultureInfo.InvariantCulture,
                $"minLength {one.MinLength} cannot be combined with {from.Keyword} '{from.Value}' in a grammar; say it in the pattern"));
        }

        if (one.MaxLength is { } most && !(shape.Longest <= most))
        {
            compiler.Refuse(from.Pointer,
                string.Create(CultureInfo.InvariantCulture,
                    $"maxLength {most} cannot be combined with {from.Keyword} '{from.Value}' in a grammar; say it in the pattern"));
        }

        return builder.SharedRule(from.Keyword == "format" ? from.Value : "pattern", JsonRules.Quoted(PatternGrammar.Of(builder, shape)));
    }

    private static PatternNode? Parse(SchemaCompiler compiler, StringShape shape)
    {
        var pattern = shape.Keyword == "format" ? StringFormats.PatternOf(shape.Value) : shape.Value;
        if (pattern is null)
        {
            compiler.Refuse(shape.Pointer,
                $"format '{shape.Value}' is not supported; supported are {string.Join(", ", StringFormats.Names)}");
            return null;
        }
        try
        {
            return PatternParser.Parse(pattern);
        }
        catch (FormatException e)
        {
            compiler.Refuse(shape.Pointer, $"pattern {e.Message}");
            return null;
        }
    }
}
