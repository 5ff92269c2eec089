namespace Shimmy.Chat.Grammars;

/// <summary>A piece of a grammar, made by <see cref="GrammarBuilder"/> and put together by it.</summary>
/// <param name="Text">Its GBNF text.</param>
/// <param name="Form">How it binds.</param>
internal readonly record struct Fragment(string Text, FragmentForm Form)
{
    /// <summary>Matches the empty text.</summary>
    public static Fragment Empty { get; } = new("\"\"", FragmentForm.Empty);

    /// <summary>Matches no text at all: an alternative that drops out, and a sequence that cannot be.</summary>
    public static Fragment Nothing { get; } = new("", FragmentForm.Nothing);

    /// <summary>Whether it matches no text at all.</summary>
    public bool IsNothing => Form == FragmentForm.Nothing;

    /// <summary>Whether it matches the empty text alone.</summary>
    public bool IsEmpty => Form == FragmentForm.Empty;
}

/// <summary>How a fragment binds.</summary>
internal enum FragmentForm
{
    /// <summary>No text matches.</summary>
    Nothing,

    /// <summary>The empty text matches.</summary>
    Empty,

    /// <summary>The name of a rule.</summary>
    Rule,

    /// <summary>A literal, a character class or a repetition of such.</summary>
    Item,

    /// <summary>Items one after another.</summary>
    Sequence,

    /// <summary>Alternatives.</summary>
    Choice,
}
