using Shimmy.Gguf;

namespace Shimmy.Tests.Fixtures.Models;

/// <summary>
/// What <see cref="RandomModel"/> writes. The defaults give a file of about 1 MB that loads in a few milliseconds.
/// </summary>
internal sealed record RandomModelShape
{
    public string Name { get; init; } = "random";

    public string Architecture { get; init; } = "llama";

    public int Layers { get; init; } = 2;

    /// <summary>
    /// Width of the embeddings; a multiple of 32 × <see cref="Heads"/> for Q8_0, of 2 × <see cref="Heads"/> else.
    /// </summary>
    public int Embedding { get; init; } = 64;

    public int Heads { get; init; } = 4;

    public int KeyValueHeads { get; init; } = 2;

    public int FeedForward { get; init; } = 128;

    /// <summary>Tokens that sliding windows look back, where the architecture has some.</summary>
    public int Window { get; init; } = 64;

    /// <summary>Experts of each layer; 0 makes a dense model.</summary>
    public int Experts { get; init; }

    /// <summary>Experts that each token uses.</summary>
    public int ExpertsUsed { get; init; } = 2;

    /// <summary>At least 384: control tokens, 256 bytes and the letters come first.</summary>
    public int Vocabulary { get; init; } = 1024;

    public int Context { get; init; } = 512;

    /// <summary>F32, F16 or Q8_0.</summary>
    public GgmlType Type { get; init; } = GgmlType.F32;

    public int Seed { get; init; } = 1;

    /// <summary>The model's chat template; null writes none.</summary>
    public string? ChatTemplate { get; init; }

    /// <summary>
    /// A word that the model answers to every prompt, and then ends; null gives the noise that random weights give. The word is
    /// one token of the vocabulary. For tests that must see which model answered.
    /// </summary>
    public string? Says { get; init; }

    /// <summary>Whether texts begin with the token of their beginning.</summary>
    public bool AddsBos { get; init; } = true;

    /// <summary>Further metadata, written last.</summary>
    public IReadOnlyDictionary<string, GgufValue> Metadata { get; init; } = new Dictionary<string, GgufValue>();

    /// <summary>Four layers of four experts in Mixtral's shape: the llama architecture, experts as wide as a dense layer.</summary>
    public static RandomModelShape Mixtral { get; } = new() { Name = "random-mixtral", Layers = 4, Experts = 4 };

    /// <summary>Four layers of eight narrow experts in the shape of Qwen3-MoE.</summary>
    public static RandomModelShape Qwen3Moe { get; } = new()
    {
        Name = "random-qwen3moe",
        Architecture = "qwen3moe",
        Layers = 4,
        Experts = 8,
        FeedForward = 96,
        Metadata = new Dictionary<string, GgufValue>
        {
            ["qwen3moe.expert_feed_forward_length"] = GgufValue.OfInteger(GgufType.UInt32, 96),
            ["qwen3moe.attention.key_length"] = GgufValue.OfInteger(GgufType.UInt32, 16),
            ["qwen3moe.attention.value_length"] = GgufValue.OfInteger(GgufType.UInt32, 16),
        },
    };

    /// <summary>About 125 MB in Q8_0: large enough that memory bandwidth decides the speed.</summary>
    public static RandomModelShape Large { get; } = new()
    {
        Name = "random-large",
        Layers = 12,
        Embedding = 768,
        Heads = 12,
        KeyValueHeads = 12,
        FeedForward = 2048,
        Vocabulary = 32_000,
        Context = 2048,
        Type = GgmlType.Q8_0,
    };

    /// <summary>1.1 billion weights in the shape of Llama 3.2 1B, but for its vocabulary: 1.2 GB in Q8_0.</summary>
    public static RandomModelShape Billion { get; } = new()
    {
        Name = "random-1b",
        Layers = 16,
        Embedding = 2048,
        Heads = 32,
        KeyValueHeads = 8,
        FeedForward = 8192,
        Vocabulary = 32_000,
        Context = 2048,
        Type = GgmlType.Q8_0,
    };
}
