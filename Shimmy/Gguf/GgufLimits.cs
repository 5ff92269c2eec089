namespace Shimmy.Gguf;

/// <summary>
/// Limits on the cost of reading a header, whatever the file claims. Each is several times what the largest published models need: the
/// header of a model with 262,144 tokens and their merges is 15 MB long, and the models with the most tensors have a few thousand.
/// </summary>
internal sealed record GgufLimits
{
    /// <summary>The default limits.</summary>
    public static GgufLimits Default { get; } = new();

    /// <summary>Bytes of memory for the objects of a header; an estimate, checked before each allocation.</summary>
    public long Memory { get; init; } = 10 << 20;

    /// <summary>Bytes of the header that are read; arrays of numbers that are skipped by seeking are not counted.</summary>
    public long Walk { get; init; } = 96 << 20;

    /// <summary>Number of metadata entries.</summary>
    public long Entries { get; init; } = 16_384;

    /// <summary>Number of tensors.</summary>
    public long Tensors { get; init; } = 32_768;

    /// <summary>Bytes of a metadata key. The GGUF specification allows 65,535; no key in use has more than a hundred.</summary>
    public long KeyLength { get; init; } = 4_096;

    /// <summary>Bytes of a string value. The longest in use are chat templates of some 100,000.</summary>
    public long TextLength { get; init; } = 1 << 20;

    /// <summary>
    /// Elements of an array; a longer array is skipped (<see cref="GgufArray.Items"/> is null) unless <see cref="WantsArray"/>.
    /// </summary>
    public long ArrayLength { get; init; } = 1_024;

    /// <summary>Whether the array of this key is read whatever its length, within <see cref="Memory"/>.</summary>
    public Predicate<string> WantsArray { get; init; } = static _ => false;
}
