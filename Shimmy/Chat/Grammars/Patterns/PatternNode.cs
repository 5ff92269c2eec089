namespace Shimmy.Chat.Grammars.Patterns;

/// <summary>Node of a parsed regular expression.</summary>
internal abstract record PatternNode
{
    /// <summary>Length of the shortest match in characters.</summary>
    public abstract long Shortest { get; }

    /// <summary>Length of the longest match in characters; null is unbounded.</summary>
    public abstract long? Longest { get; }
}

/// <summary>Character class.</summary>
internal sealed record PatternSet(CharacterSet Set) : PatternNode
{
    public override long Shortest => 1;

    public override long? Longest => 1;
}

/// <summary>Concatenation.</summary>
internal sealed record PatternSequence(IReadOnlyList<PatternNode> Parts) : PatternNode
{
    public override long Shortest { get; } = Parts.Sum(part => part.Shortest);

    public override long? Longest { get; } = Parts.Aggregate((long?)0, (sum, part) => sum + part.Longest);
}

/// <summary>Alternation.</summary>
internal sealed record PatternChoice(IReadOnlyList<PatternNode> Alternatives) : PatternNode
{
    public override long Shortest { get; } = Alternatives.Min(part => part.Shortest);

    public override long? Longest { get; } = Alternatives.Any(part => part.Longest is null) ? null : Alternatives.Max(part => part.Longest);
}

/// <summary>Quantifier.</summary>
internal sealed record PatternRepeat(PatternNode Part, int Least, int? Most) : PatternNode
{
    public override long Shortest { get; } = Bounded(Part.Shortest * Least);

    public override long? Longest { get; } = Most == 0 ? 0 : Part.Longest * Most is { } product ? Bounded(product) : null;

    // Nested quantifiers multiply; larger values make no difference.
    private static long Bounded(long length) => Math.Min(length, int.MaxValue);
}
