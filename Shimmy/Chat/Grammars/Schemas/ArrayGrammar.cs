using System.Globalization;
using static Shimmy.Chat.Grammars.GrammarBuilder;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>Arrays: <c>prefixItems</c>, then <c>items</c>.</summary>
internal static class ArrayGrammar
{
    private const int LongestTuple = 1000;

    /// <summary>The arrays that a case allows.</summary>
    public static Fragment Of(GrammarBuilder builder, SchemaCompiler compiler, SchemaCase one, string name)
    {
        if (one.Arrays.Count == 0 && one.MinItems == 0 && one.MaxItems is null)
            return compiler.Json.Array;
        var prefix = one.Arrays.Count == 0 ? 0 : one.Arrays.Max(rules => rules.Prefix.Count);
        if (prefix > LongestTuple)
            throw new SchemaException(one.Pointer, $"prefixItems has {prefix} schemas; at most {LongestTuple} are allowed");
        // Without items, a schema allows any further items; the grammar writes them only where minItems needs them.
        var open = prefix == 0 || one.MinItems > prefix || one.Arrays.Exists(rules => rules.Items is not null);
        var further = open
            ? compiler.Value([.. one.Arrays.Where(rules => rules.Items is not null).Select(rules => rules.Items!.Value)], $"{name}-item")
            : Fragment.Nothing;
        var most = one.MaxItems ?? int.MaxValue;
        if (most < one.MinItems)
            return Fragment.Nothing;

        var comma = Sequence(Literal(","), compiler.Json.Space);
        var tail = further.IsNothing || most <= prefix
            ? one.MinItems > prefix ? Fragment.Nothing : Fragment.Empty
            : builder.Repeat(builder.SharedRule($"{name}-more", Sequence(comma, further)), Least(prefix), Most(prefix));
        Fragment items;
        if (prefix == 0)
        {
            items = further.IsNothing || most == 0
                ? Fragment.Nothing
                : Sequence(further,
                    builder.Repeat(builder.SharedRule($"{name}-more", Sequence(comma, further)), Math.Max(0, one.MinItems - 1), Most(1)));
        }
        else
        {
            for (var i = prefix - 1; i >= 1; i--)
            {
                var item = i < most ? Sequence(comma, Prefix(i), tail) : Fragment.Nothing;
                // An array may be shorter than prefixItems.
                tail = i < one.MinItems ? item : Optional(item);
                tail = builder.Rule($"{name}-rest", tail);
            }
            items = most == 0 ? Fragment.Nothing : Sequence(Prefix(0), tail);
        }
        return Choice(
            one.MinItems == 0 ? Literal("[]") : Fragment.Nothing,
            Sequence(Literal("["), compiler.Json.Space, items, compiler.Json.Space, Literal("]")));

        int Least(int written) => Math.Max(0, one.MinItems - written);

        int? Most(int written) => one.MaxItems - written;

        Fragment Prefix(int i) => compiler.Value(
            [.. one.Arrays.Where(rules => i < rules.Prefix.Count || rules.Items is not null)
                .Select(rules => i < rules.Prefix.Count ? rules.Prefix[i] : rules.Items!.Value)],
            string.Create(CultureInfo.InvariantCulture, $"{name}-{i}"));
    }
}
