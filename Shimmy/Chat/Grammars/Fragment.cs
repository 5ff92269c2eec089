namespace Shimmy.Chat.Grammars;

/// <summary>
/// A GBNF expression, with its binding strength, so that <see cref="GrammarBuilder"/> knows where parentheses are needed.
/// </summary>
/// <param name="Text">The GBNF text.</param>
/// <param name="Form">The kind of expression.</param>
internal readonly record struct Fragment(string Text, FragmentForm Form)
{
    /// <summary>The expression that matches the empty text.</summary>
    public static Fragment Empty { get; } = new("\"\"", FragmentForm.Empty);

    /// <summary>The expression that matches no text: as an alternative it is dropped; a sequence with it matches nothing either.</summary>
    public static Fragment Nothing { get; } = new("", FragmentForm.Nothing);

    /// <summary>Whether it matches no text.</summary>
    public bool IsNothing => Form == FragmentForm.Nothing;

    /// <summary>Whether it matches only the empty text.</summary>
    public bool IsEmpty => Form == FragmentForm.Empty;
}

/// <summary>Kinds of GBNF expressions, by how tightly they bind.</summary>
internal enum FragmentForm
{
    /// <summary>Matches no text.</summary>
    Nothing,

    /// <summary>Matches only the empty text.</summary>
    Empty,

    /// <summary>The name of a rule.</summary>
    Rule,

    /// <summary>A literal, a character class, or a repetition.</summary>
    Item,

    /// <summary>Several items in sequence.</summary>
    Sequence,

    /// <summary>Alternatives, separated by <c>|</c>.</summary>
    Choice,
}
