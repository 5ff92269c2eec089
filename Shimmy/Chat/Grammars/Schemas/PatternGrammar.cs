using System.Globalization;
using Shimmy.Chat.Grammars.Patterns;
using static Shimmy.Chat.Grammars.GrammarBuilder;

namespace Shimmy.Chat.Grammars.Schemas;

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
