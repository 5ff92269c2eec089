namespace Shimmy.Models;

/// <summary>What discovery wants to know of one GGUF file. Plain data, kept in the scan cache.</summary>
internal sealed record GgufFacts
{
    /// <summary>What the file holds.</summary>
    public required GgufContent Content { get; init; }

    /// <summary>Why it cannot be used; null where it can.</summary>
    public string? Fault { get; init; }

    /// <summary>Whether the fault may go without the file being changed: it could not be read.</summary>
    public bool IsTransient { get; init; }

    /// <summary><c>general.architecture</c>.</summary>
    public string? Architecture { get; init; }

    /// <summary>Parameters of this file's tensors.</summary>
    public long ParameterCount { get; init; }

    /// <summary><c>general.size_label</c> where it is one.</summary>
    public string? SizeLabel { get; init; }

    /// <summary>Name of the quantization.</summary>
    public string? Quantization { get; init; }

    /// <summary>Tokens of context the model was trained with; 0 where the file does not say.</summary>
    public int ContextLength { get; init; }

    /// <summary>What the model is for; null where metadata does not tell.</summary>
    public ModelType? Type { get; init; }

    /// <summary>
    /// What tells that Ollama made the file in its own variant of the architecture, which llama.cpp does not load; null where
    /// nothing does.
    /// </summary>
    public string? OllamaVariant { get; init; }

    /// <summary>Whether the metadata bear a mark of llama.cpp's own converter.</summary>
    public bool FromLlamaCpp { get; init; }

    /// <summary>Shards that belong together (<c>split.count</c>); 0 or 1 where it is a whole file.</summary>
    public int ShardCount { get; init; }

    /// <summary>
    /// Width of the embeddings; of an adapter or projector, of the model that it was made for. 0 where unknown.
    /// </summary>
    public int EmbeddingLength { get; init; }

    /// <summary>Layers; of an adapter, the least that a model must have. 0 where unknown.</summary>
    public int Layers { get; init; }

    /// <summary>Of an adapter: the name of the model that it was made for, where it says so.</summary>
    public string? BaseModel { get; init; }

    /// <summary>Writes all facts for the scan cache, in the order in which <see cref="Read"/> reads them.</summary>
    public void Write(BinaryWriter writer)
    {
        writer.Write((byte)Content);
        writer.Write((sbyte)(Type is { } type ? (int)type : -1));
        writer.Write(FromLlamaCpp);
        writer.Write(ParameterCount);
        writer.Write(ContextLength);
        writer.Write(ShardCount);
        writer.Write(EmbeddingLength);
        writer.Write(Layers);
        foreach (var text in (ReadOnlySpan<string?>)[Fault, Architecture, SizeLabel, Quantization, OllamaVariant, BaseModel])
        {
            writer.Write(text ?? "");
        }
    }

    /// <summary>
    /// Reads what <see cref="Write"/> wrote. Throws <see cref="IOException"/> or <see cref="FormatException"/> for anything
    /// else.
    /// </summary>
    public static GgufFacts Read(BinaryReader reader)
    {
        var content = (GgufContent)reader.ReadByte();
        int type = reader.ReadSByte();
        if (!Enum.IsDefined(content) || (type != -1 && !Enum.IsDefined((ModelType)type)))
        {
            throw new FormatException("unknown kind of file or model");
        }

        return new GgufFacts
        {
            Content = content,
            Type = type < 0 ? null : (ModelType)type,
            FromLlamaCpp = reader.ReadBoolean(),
            ParameterCount = reader.ReadInt64(),
            ContextLength = reader.ReadInt32(),
            ShardCount = reader.ReadInt32(),
            EmbeddingLength = reader.ReadInt32(),
            Layers = reader.ReadInt32(),
            Fault = Text(),
            Architecture = Text(),
            SizeLabel = Text(),
            Quantization = Text(),
            OllamaVariant = Text(),
            BaseModel = Text(),
        };

        string? Text() => reader.ReadString() is { Length: > 0 } text ? text : null;
    }
}

/// <summary>What a GGUF file holds.</summary>
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

    /// <summary>A small model that guesses ahead for another and is nothing without it.</summary>
    Draft,
}
