namespace Shimmy.Chat.Grammars;

/// <summary>One element of a rule, as llama.cpp keeps rules: flat, alternatives one after another, one <see cref="GrammarElementKind.End"/> last.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Value">A code point, or the number of a rule.</param>
internal readonly record struct GrammarElement(GrammarElementKind Kind, int Value)
{
    /// <summary>Whether a sequence stops here.</summary>
    public bool EndsSequence => Kind is GrammarElementKind.End or GrammarElementKind.Alternative;
}

/// <summary>Kinds of elements; llama.cpp's <c>llama_gretype</c> without tokens.</summary>
internal enum GrammarElementKind
{
    /// <summary>The rule ends.</summary>
    End,

    /// <summary>The next alternative of the rule begins.</summary>
    Alternative,

    /// <summary>Another rule stands here.</summary>
    Rule,

    /// <summary>A character, or the first of a class.</summary>
    Character,

    /// <summary>The first character of an inverted class.</summary>
    NotCharacter,

    /// <summary>The upper end of a range that the element before began.</summary>
    RangeEnd,

    /// <summary>A further character or range of the class.</summary>
    OrCharacter,

    /// <summary>Any character.</summary>
    Any,
}

/// <summary>A grammar as llama.cpp sees it: groups and repetitions are rules of their own.</summary>
/// <param name="Rules">The rules, by number.</param>
/// <param name="Root">The number of the rule <c>root</c>.</param>
internal sealed record ParsedGrammar(IReadOnlyList<GrammarRule> Rules, int Root);

/// <summary>A rule.</summary>
/// <param name="Name">Its name; of a rule that a group or a repetition became, the name of the rule around it.</param>
/// <param name="Elements">Its elements, the last one <see cref="GrammarElementKind.End"/>.</param>
/// <param name="Offset">Where in the text it is defined.</param>
internal sealed record GrammarRule(string Name, GrammarElement[] Elements, int Offset);
