using System.Globalization;
using Shimmy.Chat.Grammars.Patterns;
using static Shimmy.Chat.Grammars.GrammarBuilder;

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

/// <summary>Converts a parsed regular expression to a grammar of the content of a JSON string, with JSON's escapes.</summary>
internal static class PatternGrammar
{
    /// <summary>The matching texts, as they are written between a JSON string's quotes.</summary>
    public static Fragment Of(GrammarBuilder builder, PatternNode node)
    {
        switch (node)
        {
            case PatternSet set:
                return Of(set.Set);
            case PatternChoice choice:
                return Choice(choice.Alternatives.Select(part => Of(builder, part)));
            case PatternRepeat repeat:
                return builder.Repeat(Of(builder, repeat.Part), repeat.Least, repeat.Most);
            default:
                return Sequence(((PatternSequence)node).Parts.Select(part => Of(builder, part)));
        }
    }

    private static Fragment Of(CharacterSet set)
    {
        var plain = set.Intersect(CharacterSet.Plain);
        var escaped = new List<Fragment>();
        foreach (var character in "\"\\\b\f\n\r\t")
        {
            if (set.Contains(character))
                escaped.Add(Literal(character switch { '\b' => "\\b", '\f' => "\\f", _ => JsonRules.Quote(character.ToString())[1..^1] }));
        }
        // Other control characters only where the class has nothing else: [^a] is not meant to include them.
        if (plain.IsEmpty && escaped.Count == 0)
        {
            for (var control = 1; control < ' '; control++)
            {
                if (set.Contains(control))
                    escaped.Add(Literal(string.Create(CultureInfo.InvariantCulture, $"\\u{control:x4}")));
            }
            if (set.Contains(0x7F))
                escaped.Add(Literal("\\u007f"));
        }
        return Choice([OneOf(plain), .. escaped]);
    }
}

/// <summary>
/// Regular expressions for the formats of strings (JSON Schema 2020-12, validation 7.3). Each matches only texts of its format, without its
/// rare forms (comments in mail addresses, leap seconds, years before 1000).
/// </summary>
internal static class StringFormats
{
    private const string Date =
        "([1-9]\\d{3}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8]))" +
        "|([1-9]\\d(0[48]|[2468][048]|[13579][26])|([2468][048]|[13579][26])00)-02-29)";
    private const string Time = "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+-](0\\d|1[0-3]):[0-5]\\d)";
    private const string Label = "[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?";
    private const string Byte = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
    private const string Group = "[0-9A-Fa-f]{1,4}";
    private const string UriCharacter = "([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})";
    private const string UriRest =
        $"(/{UriCharacter}{{0,200}}){{0,20}}(\\?({UriCharacter}|[/?]){{0,500}})?(#({UriCharacter}|[/?]){{0,200}})?";
    private const string Uri = $"[A-Za-z][A-Za-z0-9+.-]{{1,30}}://{Label}(\\.{Label}){{0,4}}(:[1-9]\\d{{0,3}})?{UriRest}";

    private static readonly Dictionary<string, string> Patterns = new()
    {
        ["date"] = Date,
        ["time"] = Time,
        ["date-time"] = $"{Date}T{Time}",
        ["duration"] =
            "P(\\d{1,4}W|\\d{1,4}Y(\\d{1,2}M(\\d{1,3}D)?)?|\\d{1,3}M(\\d{1,3}D)?|\\d{1,4}D(T(\\d{1,4}H(\\d{1,4}M(\\d{1,4}S)?)?|\\d{1,4}M(\\d{1,4}S)?|\\d{1,4}S))?" +
            "|T(\\d{1,4}H(\\d{1,4}M(\\d{1,4}S)?)?|\\d{1,4}M(\\d{1,4}S)?|\\d{1,4}S))",
        ["email"] = $"[A-Za-z0-9_+-]{{1,32}}(\\.[A-Za-z0-9_+-]{{1,15}}){{0,2}}@{Label}(\\.{Label}){{1,3}}",
        ["hostname"] = $"{Label}(\\.{Label}){{0,6}}",
        ["ipv4"] = $"{Byte}(\\.{Byte}){{3}}",
        ["ipv6"] = $"(({Group}:){{7}}{Group}|({Group}:){{1,6}}:{Group}|::({Group}:){{0,6}}{Group}|({Group}:){{1,7}}:|::)",
        ["uri"] = Uri,
        ["url"] = Uri,
        ["uri-reference"] = $"({Uri}|{UriRest})",
        ["uuid"] = "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}",
    };

    /// <summary>Names of the supported formats.</summary>
    public static IEnumerable<string> Names => Patterns.Keys;

    /// <summary>The anchored pattern of a format; null where the format is not supported.</summary>
    public static string? PatternOf(string format) => Patterns.TryGetValue(format, out var pattern) ? $"^({pattern})$" : null;
}
