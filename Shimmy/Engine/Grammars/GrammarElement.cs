namespace Shimmy.Engine.Grammars;

/// <summary>
/// One element of a parsed rule, in llama.cpp's flat form: all alternatives in one list, with <see cref="GrammarElementKind.End"/> last.
/// </summary>
/// <param name="Kind">The kind of element.</param>
/// <param name="Value">A code point, or the index of a rule.</param>
internal readonly record struct GrammarElement(GrammarElementKind Kind, int Value)
{
    /// <summary>Whether an alternative ends here.</summary>
    public bool EndsSequence => Kind is GrammarElementKind.End or GrammarElementKind.Alternative;
}

/// <summary>Kinds of elements: llama.cpp's <c>llama_gretype</c> without token references.</summary>
internal enum GrammarElementKind
{
    /// <summary>End of the rule.</summary>
    End,

    /// <summary>Start of the next alternative.</summary>
    Alternative,

    /// <summary>Reference to a rule.</summary>
    Rule,

    /// <summary>A character, or the first of a character class.</summary>
    Character,

    /// <summary>The first character of a negated class.</summary>
    NotCharacter,

    /// <summary>Upper end of the range that the element before starts.</summary>
    RangeEnd,

    /// <summary>A further character of a class, or the lower end of a further range.</summary>
    OrCharacter,

    /// <summary>Any character.</summary>
    Any,
}

/// <summary>A parsed grammar, in llama.cpp's form: groups and repetitions are rules of their own.</summary>
/// <param name="Rules">The rules, by index.</param>
/// <param name="Root">Index of the rule <c>root</c>.</param>
internal sealed record ParsedGrammar(IReadOnlyList<GrammarRule> Rules, int Root);

/// <summary>One rule of a parsed grammar.</summary>
/// <param name="Name">The name; for a group or repetition, the name of the rule around it.</param>
/// <param name="Elements">The elements, the last one <see cref="GrammarElementKind.End"/>.</param>
/// <param name="Offset">Offset of the definition in the text.</param>
internal sealed record GrammarRule(string Name, GrammarElement[] Elements, int Offset);
