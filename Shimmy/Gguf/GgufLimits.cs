namespace Shimmy.Gguf;

/// <summary>
/// What a header may cost, whatever it claims. Each limit is several times what the largest published models need (a vocabulary
/// of 262,144 tokens with merges walks 15 MB; the models with the most tensors have a few thousand).
/// </summary>
internal sealed record GgufLimits
{
    /// <summary>The limits that scans and tests use.</summary>
    public static GgufLimits Default { get; } = new();

    /// <summary>Bytes of objects that may be made of the header's content, estimated before each is made.</summary>
    public long Memory { get; init; } = 10 << 20;

    /// <summary>Bytes of the header that may be read one after another; what can be stepped over is not counted.</summary>
    public long Walk { get; init; } = 96 << 20;

    /// <summary>Metadata entries.</summary>
    public long Entries { get; init; } = 16_384;

    /// <summary>Tensors.</summary>
    public long Tensors { get; init; } = 32_768;

    /// <summary>Bytes of a key. The specification allows 65,535; no key in use has more than a hundred.</summary>
    public long KeyLength { get; init; } = 4_096;

    /// <summary>Bytes of a text. The longest in use are chat templates of some 100,000.</summary>
    public long TextLength { get; init; } = 1 << 20;

    /// <summary>Arrays with more elements than this are stepped over unless asked for.</summary>
    public long ArrayLength { get; init; } = 1_024;

    /// <summary>The arrays that are wanted whatever their length, within <see cref="Memory"/>.</summary>
    public Predicate<string> WantsArray { get; init; } = static _ => false;
}
