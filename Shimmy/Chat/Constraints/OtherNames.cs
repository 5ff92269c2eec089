using static Shimmy.Chat.Constraints.GrammarBuilder;

namespace Shimmy.Chat.Constraints;

/// <summary>
/// Names that are none of some given ones, for additional properties. They are written without escapes: <c>\u0061</c> would be an a in disguise.
/// </summary>
internal static class OtherNames
{
    /// <summary>The names' content between quotes: it leaves every given name somewhere, or ends before one is complete.</summary>
    public static Fragment Of(GrammarBuilder builder, IReadOnlyCollection<string> names)
    {
        var plain = builder.SharedRule("plain-text", builder.Repeat(OneOf(CharacterSet.Plain), 0, null));
        // Names that need escapes cannot be met.
        var given = names.Select(name => name.EnumerateRunes().Select(rune => rune.Value).ToArray())
            .Where(name => name.All(CharacterSet.Plain.Contains)).ToArray();

        // One rule for each character of each name, made without recursion: a name may be long.
        var start = builder.Reserve("other-name");
        var left = new Stack<(int[][] Names, int From, Fragment Rule)>([(given, 0, start)]);
        while (left.TryPop(out var node))
        {
            var next = node.Names.Where(name => name.Length > node.From).ToLookup(name => name[node.From]);
            var others = CharacterSet.Of(next.Select(group => (group.Key, group.Key))).Inverted().Intersect(CharacterSet.Plain);
            var alternatives = new List<Fragment> { Sequence(OneOf(others), plain) };
            if (!Array.Exists(node.Names, name => name.Length == node.From))
                alternatives.Add(Fragment.Empty);
            foreach (var group in next)
            {
                var rule = builder.Reserve("other-name");
                left.Push(([.. group], node.From + 1, rule));
                alternatives.Add(Sequence(Literal(char.ConvertFromUtf32(group.Key)), rule));
            }
            builder.Define(node.Rule, Choice(alternatives));
        }
        return start;
    }
}
