using static Shimmy.Chat.Grammars.GrammarBuilder;

namespace Shimmy.Chat.Grammars.Schemas;

/// <summary>
/// Objects: named properties in the schema's order, then additional ones. Optional properties make two chains of rules: one for before the
/// first member, and one for after it, where a comma is due.
/// </summary>
internal static class ObjectGrammar
{
    // Longer rules are split.
    private const int LongRule = 1000;

    /// <summary>The objects that a case allows.</summary>
    public static Fragment Of(GrammarBuilder builder, SchemaCompiler compiler, SchemaCase one, string name)
    {
        var names = one.Objects.SelectMany(rules => rules.Properties.Keys).Union(one.Required).ToList();
        var required = one.Required.ToHashSet();
        var closed = one.Objects.Exists(rules => rules.Additional is { AllowsNone: true });
        var open = !closed && (names.Count == 0 || one.Objects.Exists(rules => rules.Additional is not null));
        if (names.Count == 0 && open && one.Objects.Count == 0 && one.MinProperties == 0 && one.MaxProperties is null)
            return compiler.Json.Object;

        var properties = new List<(Fragment Member, bool Required)>();
        foreach (var property in names)
        {
            var schemas = SchemaDisjointness.PropertySchemas(one, property);
            var value = compiler.Value(schemas, property.Length > 0 ? property : name);
            if (value.IsNothing && required.Contains(property))
                return Fragment.Nothing;
            if (!value.IsNothing)
                properties.Add((Member(compiler, Literal(JsonRules.Quote(property)), value), required.Contains(property)));
        }
        if (required.Count < one.MinProperties || one.MaxProperties is not null)
        {
            return Counted(builder, compiler, one, properties, open
                ? Additional(builder, compiler, one, names, name)
                : Fragment.Nothing, required.Count);
        }

        return Braced(compiler,
            Members(builder, compiler, properties, open ? Additional(builder, compiler, one, names, name) : Fragment.Nothing, null, name),
            mayBeEmpty: required.Count == 0);
    }

    // minProperties and maxProperties are kept where that does not depend on which optional properties are present.
    private static Fragment Counted(
        GrammarBuilder builder, SchemaCompiler compiler, SchemaCase one,
        List<(Fragment Member, bool Required)> properties, Fragment additional, int required)
    {
        var (least, most) = (one.MinProperties, one.MaxProperties);
        if (most < least || most < required || (additional.IsNothing && properties.Count < least))
            return Fragment.Nothing;
        if (most == required)
        {
            properties.RemoveAll(property => !property.Required);
            additional = Fragment.Nothing;
        }
        if (properties.Count == 0)
        {
            // A map. A duplicate name counts as one property, so a minimum above 1 cannot be guaranteed.
            if (least > 1)
            {
                compiler.Refuse(one.Pointer,
                    "minProperties above 1 cannot be expressed by a grammar unless the properties are named and required");
            }

            if (most == 0 || additional.IsNothing)
                return Literal("{}");
            return Braced(compiler, Members(builder, compiler, [], additional, most, "members"), least == 0);
        }
        if (least > required && (least > 1 || required > 0) && !(additional.IsNothing && least == properties.Count))
            compiler.Refuse(one.Pointer, "minProperties cannot be expressed by a grammar here; name the properties under required");
        if (additional.IsNothing && least == properties.Count)
            properties = [.. properties.Select(property => (property.Member, true))];
        var enough = additional.IsNothing && most >= properties.Count;
        if (most is not null && most != required && !enough)
            compiler.Refuse(one.Pointer, "maxProperties cannot be expressed by a grammar beside optional properties");
        return Braced(compiler, Members(builder, compiler, properties, additional, null, "members"),
            mayBeEmpty: required == 0 && least == 0);
    }

    // At least one member. Built from the last property to the first, since each rule refers to what follows it.
    private static Fragment Members(
        GrammarBuilder builder, SchemaCompiler compiler, List<(Fragment Member, bool Required)> properties,
        Fragment additional, int? mostAdditional, string name)
    {
        var comma = Sequence(Literal(","), compiler.Json.Space);
        var more = additional.IsNothing
            ? Fragment.Empty
            : builder.Repeat(builder.SharedRule($"{name}-more", Sequence(comma, additional)), 0, mostAdditional - 1);
        var first = additional.IsNothing ? Fragment.Nothing : Sequence(additional, more);
        for (var i = properties.Count - 1; i >= 0; i--)
        {
            var (member, required) = properties[i];
            var here = Sequence(member, more);
            first = required ? here : Choice(here, Short(builder, first, name));
            var later = Sequence(comma, here);
            more = required ? later : builder.Rule($"{name}-rest", Choice(later, more));
            more = more.Text.Length > LongRule ? builder.Rule($"{name}-rest", more) : more;
        }
        return first;
    }

    private static Fragment Short(GrammarBuilder builder, Fragment fragment, string name) =>
        fragment.Form == FragmentForm.Choice ? builder.Rule($"{name}-first", fragment) : fragment;

    private static Fragment Additional(GrammarBuilder builder, SchemaCompiler compiler, SchemaCase one, List<string> names, string name)
    {
        var schemas = one.Objects.Where(rules => rules.Additional is not null).Select(rules => rules.Additional!.Value).ToList();
        var value = compiler.Value(schemas, $"{name}-value");
        if (value.IsNothing)
            return Fragment.Nothing;
        var key = names.Count == 0 ? compiler.Json.String : builder.Rule($"{name}-key", JsonRules.Quoted(ExcludedNames.Of(builder, names)));
        return Member(compiler, key, value);
    }

    private static Fragment Member(SchemaCompiler compiler, Fragment key, Fragment value) =>
        Sequence(key, Literal(":"), compiler.Json.Gap, value);

    private static Fragment Braced(SchemaCompiler compiler, Fragment members, bool mayBeEmpty) => Choice(
        mayBeEmpty ? Literal("{}") : Fragment.Nothing,
        Sequence(Literal("{"), compiler.Json.Space, members, compiler.Json.Space, Literal("}")));
}

/// <summary>
/// Names of additional properties: all but some given ones. Without escapes, since <c>\u0061</c> would be another spelling of <c>a</c>.
/// </summary>
internal static class ExcludedNames
{
    /// <summary>The content between quotes: it differs from each given name at some character, or is a proper prefix of it.</summary>
    public static Fragment Of(GrammarBuilder builder, IReadOnlyCollection<string> names)
    {
        var plain = builder.SharedRule("plain-text", builder.Repeat(OneOf(CharacterSet.Plain), 0, null));
        // Names that need escapes cannot occur.
        var given = names.Select(name => name.EnumerateRunes().Select(rune => rune.Value).ToArray())
            .Where(name => name.All(CharacterSet.Plain.Contains)).ToArray();

        // One rule for each node of the prefix tree of names. Iterative: a name may be long.
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
