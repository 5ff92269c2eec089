using Shimmy.Engine;

namespace Shimmy.Models;

/// <summary>A model of the registry, with the facts that are known without loading it.</summary>
internal sealed record ModelEntry
{
    /// <summary>Placeholder for a text that neither the metadata nor the file name gives.</summary>
    public const string Unknown = "unknown";

    /// <summary>The name that requests use; unique in the registry, whatever its case.</summary>
    public required string Name { get; init; }

    /// <summary>Full path of the file, or of the first shard.</summary>
    public required string Path { get; init; }

    /// <summary>Size of the file in bytes, all shards together.</summary>
    public long SizeBytes { get; init; }

    /// <summary><c>general.architecture</c>, or <see cref="Unknown"/>.</summary>
    public string Architecture { get; init; } = Unknown;

    /// <summary>Number of parameters in all tensors; null where they were not counted.</summary>
    public long? ParameterCount { get; init; }

    /// <summary>The number of parameters as a label, for example <c>8B</c> or <c>30B-A3B</c>, or <see cref="Unknown"/>.</summary>
    public string ParameterLabel { get; init; } = Unknown;

    /// <summary>The quantization by llama.cpp's name, for example <c>Q4_K_M</c>, or <see cref="Unknown"/>.</summary>
    public string Quantization { get; init; } = Unknown;

    /// <summary>Context length of the training, in tokens; 0 where the file does not say.</summary>
    public int ContextLength { get; init; }

    /// <summary>Embedding length: the width of the hidden state. 0 where the file does not say.</summary>
    public int EmbeddingLength { get; init; }

    /// <summary>Number of layers; 0 where the file does not say.</summary>
    public int Layers { get; init; }

    /// <summary>Type of the model, by metadata or else by its name.</summary>
    public ModelType Type { get; init; }

    /// <summary>Registered by the user, or discovered by a scan.</summary>
    public ModelSource Source { get; init; } = ModelSource.Discovered;

    /// <summary>
    /// The source that found it, for example <c>models</c>, <c>ollama</c> or <c>huggingface</c>; prefixed to a name that is taken already.
    /// </summary>
    public string Origin { get; init; } = "";

    /// <summary>Full paths of all shards in order; one path for a whole file.</summary>
    public IReadOnlyList<string> Shards { get; init; } = [];

    /// <summary>Full path of Ollama's manifest of it; null where Ollama does not have it.</summary>
    public string? Manifest { get; init; }

    /// <summary>When the file was last written.</summary>
    public DateTimeOffset ModifiedAt { get; init; }

    /// <summary>
    /// Further names of the model: the file's own, other tags of the same weights. A name that two models claim finds neither.
    /// </summary>
    public IReadOnlyList<string> OtherNames { get; init; } = [];

    /// <summary>
    /// Names that tell it from others of its name, the shortest first: by its folder, by its source. <see cref="OtherNames"/> has them too.
    /// </summary>
    public IReadOnlyList<string> LongNames { get; init; } = [];

    /// <summary>Whether a name is one of its own, in any spelling; that of an alias is not.</summary>
    public bool IsCalled(string name) => NameSpelling.Of(name).Any(spelling =>
        string.Equals(spelling, UnicodeComposition.Of(Name), StringComparison.OrdinalIgnoreCase)
        || OtherNames.Contains(spelling, StringComparer.OrdinalIgnoreCase));

    /// <summary>
    /// When it was first seen, in scans: a name that two models claim belongs to the one that was there first, and to neither where both
    /// came at once.
    /// </summary>
    public int Since { get; init; }

    /// <summary>
    /// Full paths of discovered LoRA adapters that fit. Requests can choose among them; <see cref="ModelSettings.Loras"/> are applied by
    /// default.
    /// </summary>
    public IReadOnlyList<string> Adapters { get; init; } = [];

    /// <summary>Full path of the multimodal projector (mmproj) that was found or chosen for it; null where there is none.</summary>
    public string? Projector { get; init; }

    /// <summary>Whether the chat template in its file speaks of tools; others get them in plain words.</summary>
    public bool CallsTools { get; init; }

    /// <summary>Whether the chat template in its file speaks of thinking.</summary>
    public bool Thinks { get; init; }

    /// <summary>Whether its header names tokens for filling in the middle.</summary>
    public bool Inserts { get; init; }

    /// <summary>Whether the projector takes pictures.</summary>
    public bool Sees { get; init; }

    /// <summary>Whether the projector takes sounds.</summary>
    public bool Hears { get; init; }

    /// <summary>
    /// Its capabilities, in Ollama's words: <c>completion</c>, <c>embedding</c> or <c>rerank</c>, then <c>tools</c>, <c>thinking</c>,
    /// <c>vision</c> and <c>audio</c>.
    /// </summary>
    public IEnumerable<string> Capabilities =>
    [
        Type switch { ModelType.Embedding => "embedding", ModelType.Reranker => "rerank", _ => "completion" },
        .. CallsTools ? ["tools"] : (string[])[],
        .. Thinks ? ["thinking"] : (string[])[],
        .. Sees ? ["vision"] : (string[])[],
        .. Hears ? ["audio"] : (string[])[],
    ];

    /// <summary>Error text where the model is listed but cannot be loaded; null where it can.</summary>
    public string? WhyUnloadable { get; init; }

    /// <summary>Throws <see cref="EngineException"/> (<see cref="EngineFailure.LoadFailed"/>) where it cannot be loaded.</summary>
    public void CheckLoadable()
    {
        if (WhyUnloadable is { } reason)
            throw new EngineException(EngineFailure.LoadFailed, $"model '{Name}' cannot be loaded: {reason}") { IsLasting = true };
    }

    /// <summary>Settings for loading and using it, by the configuration or by the tool that it comes from.</summary>
    public ModelSettings Settings { get; init; } = ModelSettings.None;
}

/// <summary>The two ways in which a model gets into the registry.</summary>
internal enum ModelSource
{
    /// <summary>By the user: on the command line, in the environment or in the configuration file.</summary>
    Registered,

    /// <summary>By a scan.</summary>
    Discovered,
}
