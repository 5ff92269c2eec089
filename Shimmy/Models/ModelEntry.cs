namespace Shimmy.Models;

/// <summary>A model that can be asked for by name: what is known of it without loading it.</summary>
internal sealed record ModelEntry
{
    /// <summary>What stands for a text that neither metadata nor file name give.</summary>
    public const string Unknown = "unknown";

    /// <summary>The name under which it is served.</summary>
    public required string Name { get; init; }

    /// <summary>Full path of the file; of the first shard where there are several.</summary>
    public required string Path { get; init; }

    /// <summary>Bytes of the file, all shards together.</summary>
    public long SizeBytes { get; init; }

    /// <summary><c>general.architecture</c>, or <see cref="Unknown"/>.</summary>
    public string Architecture { get; init; } = Unknown;

    /// <summary>Parameters of all tensors; null where they were not counted.</summary>
    public long? ParameterCount { get; init; }

    /// <summary>The size as people say it, for example <c>8B</c> or <c>30B-A3B</c>, or <see cref="Unknown"/>.</summary>
    public string ParameterLabel { get; init; } = Unknown;

    /// <summary>llama.cpp's name of the quantization, for example <c>Q4_K_M</c>, or <see cref="Unknown"/>.</summary>
    public string Quantization { get; init; } = Unknown;

    /// <summary>The context that the model was trained with, in tokens; 0 where the file does not say.</summary>
    public int ContextLength { get; init; }

    /// <summary>Width of its embeddings; 0 where the file does not say.</summary>
    public int EmbeddingLength { get; init; }

    /// <summary>Number of its layers; 0 where the file does not say.</summary>
    public int Layers { get; init; }

    /// <summary>What it is for.</summary>
    public ModelType Type { get; init; }

    /// <summary>Whether it was registered by hand or found.</summary>
    public ModelSource Source { get; init; } = ModelSource.Discovered;

    /// <summary>
    /// Where it was found, for example <c>models</c>, <c>ollama</c> or <c>huggingface</c>; the prefix that tells apart two of
    /// one name.
    /// </summary>
    public string Origin { get; init; } = "";

    /// <summary>Full paths of all shards in order; one path where it is one file.</summary>
    public IReadOnlyList<string> Shards { get; init; } = [];

    /// <summary>When the file was last written.</summary>
    public DateTimeOffset ModifiedAt { get; init; }

    /// <summary>
    /// Further names that find it where no other model claims them too: the file's own, a tag of the same weights.
    /// </summary>
    public IReadOnlyList<string> OtherNames { get; init; } = [];

    /// <summary>
    /// LoRA adapters found that fit it. Requests may choose them; <see cref="ModelSettings.Loras"/> are applied without being asked for.
    /// </summary>
    public IReadOnlyList<string> Adapters { get; init; } = [];

    /// <summary>The file that turns images or sound into its embeddings; null where none was found.</summary>
    public string? Projector { get; init; }

    /// <summary>Why it is known and cannot be loaded all the same; null where it can.</summary>
    public string? WhyUnloadable { get; init; }

    /// <summary>How it wants to be loaded and used.</summary>
    public ModelSettings Settings { get; init; } = ModelSettings.None;
}

/// <summary>How a model came to be known.</summary>
internal enum ModelSource
{
    /// <summary>By hand: on the command line, in the environment or in the config file.</summary>
    Registered,

    /// <summary>By a scan.</summary>
    Discovered,
}
