namespace Shimmy.Models;

/// <summary>The facts that discovery takes from the header of one GGUF file. Plain data, kept in the scan cache.</summary>
internal sealed record GgufFacts
{
    /// <summary>The kind of content, by metadata.</summary>
    public required GgufContent Content { get; init; }

    /// <summary>Error text where the file cannot be used; null where it can.</summary>
    public string? Fault { get; init; }

    /// <summary>The fault can vanish although the file does not change, since the file could not be read. Not cached.</summary>
    public bool IsTransient { get; init; }

    /// <summary><c>general.architecture</c>.</summary>
    public string? Architecture { get; init; }

    /// <summary>Number of parameters in this file's tensors; a shard counts only its own.</summary>
    public long ParameterCount { get; init; }

    /// <summary><c>general.size_label</c>, for example <c>8B</c>; null where it is missing or malformed.</summary>
    public string? SizeLabel { get; init; }

    /// <summary>Name of the quantization, for example <c>Q4_K_M</c>; null where the header does not tell.</summary>
    public string? Quantization { get; init; }

    /// <summary>Context length of the training, in tokens (<c>ARCH.context_length</c>); 0 where the file does not say.</summary>
    public int ContextLength { get; init; }

    /// <summary>Whether the file has a classification head, without which nothing can be ranked.</summary>
    public bool HasRankingHead { get; init; }

    /// <summary>
    /// Type of the model; null where the metadata does not tell. <see cref="ModelType.Reranker"/> is what it claims: whether it can rank,
    /// <see cref="HasRankingHead"/> says, which of a model in shards may be in another file.
    /// </summary>
    public ModelType? Type { get; init; }

    /// <summary>
    /// The sign, as the beginning of an error text, that the file is in Ollama's own variant of the architecture, which llama.cpp does not
    /// load; null where there is none.
    /// </summary>
    public string? OllamaVariant { get; init; }

    /// <summary>The file was written by llama.cpp's converter, which sets <c>general.type</c>.</summary>
    public bool FromLlamaCpp { get; init; }

    /// <summary>Number of shards of the model (<c>split.count</c>); 0 or 1 for a whole file.</summary>
    public int ShardCount { get; init; }

    /// <summary>
    /// Embedding length (<c>ARCH.embedding_length</c>). For an adapter or projector: the width that its models have. 0 where unknown.
    /// </summary>
    public int EmbeddingLength { get; init; }

    /// <summary>Number of layers (<c>ARCH.block_count</c>). For an adapter: the least that a fitting model has. 0 where unknown.</summary>
    public int Layers { get; init; }

    /// <summary>For a projector: whether it takes pictures.</summary>
    public bool Sees { get; init; }

    /// <summary>For a projector: whether it takes sounds.</summary>
    public bool Hears { get; init; }

    /// <summary>For an adapter: the model it was made for (<c>general.base_model.0.name</c>); null where the file does not say.</summary>
    public string? BaseModel { get; init; }

    /// <summary>Whether its chat template speaks of tools.</summary>
    public bool CallsTools { get; init; }

    /// <summary>Whether its chat template speaks of thinking.</summary>
    public bool Thinks { get; init; }

    /// <summary>Whether its header names tokens for filling in the middle.</summary>
    public bool Inserts { get; init; }

    /// <summary>
    /// Serializes the facts for the scan cache. A changed layout needs a new version in <see cref="Discovery.ScanCache"/>.
    /// </summary>
    public void Write(BinaryWriter writer)
    {
        writer.Write((byte)Content);
        writer.Write((sbyte)(Type is { } type ? (int)type : -1));
        writer.Write(FromLlamaCpp);
        writer.Write(HasRankingHead);
        writer.Write(ParameterCount);
        writer.Write(ContextLength);
        writer.Write(ShardCount);
        writer.Write(EmbeddingLength);
        writer.Write(Layers);
        writer.Write(Sees);
        writer.Write(Hears);
        foreach (var text in (ReadOnlySpan<string?>)[Fault, Architecture, SizeLabel, Quantization, OllamaVariant, BaseModel])
            writer.Write(text ?? "");
        writer.Write(CallsTools);
        writer.Write(Thinks);
        writer.Write(Inserts);
    }

    /// <summary>
    /// Deserializes what <see cref="Write"/> wrote. Throws <see cref="IOException"/> or <see cref="FormatException"/> for damaged data.
    /// </summary>
    public static GgufFacts Read(BinaryReader reader)
    {
        var content = (GgufContent)reader.ReadByte();
        int type = reader.ReadSByte();
        if (!Enum.IsDefined(content) || (type != -1 && !Enum.IsDefined((ModelType)type)))
            throw new FormatException("damaged scan cache: unknown content or model type");

        return new GgufFacts
        {
            Content = content,
            Type = type < 0 ? null : (ModelType)type,
            FromLlamaCpp = reader.ReadBoolean(),
            HasRankingHead = reader.ReadBoolean(),
            ParameterCount = reader.ReadInt64(),
            ContextLength = reader.ReadInt32(),
            ShardCount = reader.ReadInt32(),
            EmbeddingLength = reader.ReadInt32(),
            Layers = reader.ReadInt32(),
            Sees = reader.ReadBoolean(),
            Hears = reader.ReadBoolean(),
            Fault = Text(),
            Architecture = Text(),
            SizeLabel = Text(),
            Quantization = Text(),
            OllamaVariant = Text(),
            BaseModel = Text(),
            CallsTools = reader.ReadBoolean(),
            Thinks = reader.ReadBoolean(),
            Inserts = reader.ReadBoolean(),
        };

        string? Text() => reader.ReadString() is { Length: > 0 } text ? text : null;
    }
}

/// <summary>Kinds of content of a GGUF file.</summary>
internal enum GgufContent
{
    /// <summary>A model, or a shard of one.</summary>
    Model,

    /// <summary>A LoRA adapter or control vector.</summary>
    Adapter,

    /// <summary>The part of a multimodal model that turns images or sound into embeddings (mmproj).</summary>
    Projector,

    /// <summary>An importance matrix for quantizing.</summary>
    ImportanceMatrix,

    /// <summary>A vocabulary without weights.</summary>
    Vocabulary,

    /// <summary>A draft model that works only together with its target model (EAGLE-3, DFlash).</summary>
    Draft,
}
