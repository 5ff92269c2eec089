namespace Shimmy.Chat.Grammars.Patterns;

/// <summary>A part of a regular expression.</summary>
internal abstract record PatternNode
{
    /// <summary>Characters of the shortest text that matches.</summary>
    public abstract long Shortest { get; }

    /// <summary>Characters of the longest text that matches; null is without bound.</summary>
    public abstract long? Longest { get; }
}

/// <summary>One character of a set.</summary>
internal sealed record PatternSet(CharacterSet Set) : PatternNode
{
    public override long Shortest => 1;

    public override long? Longest => 1;
}

/// <summary>Parts one after another.</summary>
internal sealed record PatternSequence(IReadOnlyList<PatternNode> Parts) : PatternNode
{
    public override long Shortest { get; } = Parts.Sum(part => part.Shortest);

    public override long? Longest { get; } = Parts.Aggregate((long?)0, (sum, part) => sum + part.Longest);
}

/// <summary>One of several.</summary>
internal sealed record PatternChoice(IReadOnlyList<PatternNode> Alternatives) : PatternNode
{
    public override long Shortest { get; } = Alternatives.Min(part => part.Shortest);

    public override long? Longest { get; } = Alternatives.Any(part => part.Longest is null) ? null : Alternatives.Max(part => part.Longest);
}

/// <summary>A part several times.</summary>
internal sealed record PatternRepeat(PatternNode Part, int Least, int? Most) : PatternNode
{
    public override long Shortest { get; } = Bounded(Part.Shortest * Least);

    public override long? Longest { get; } = Most == 0 ? 0 : Part.Longest * Most is { } product ? Bounded(product) : null;

    // Counts inside counts multiply; beyond this it makes no difference.
    private static long Bounded(long length) => Math.Min(length, int.MaxValue);
}
