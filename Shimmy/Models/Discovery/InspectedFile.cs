using Shimmy.Gguf;

namespace Shimmy.Models.Discovery;

/// <summary>A candidate with what its name and its header say.</summary>
internal sealed record InspectedFile(ModelCandidate Candidate, ModelFileName FileName, GgufFacts Facts)
{
    /// <summary>Why it is not listed as a model; null where it is one. Metadata are asked first, the name second.</summary>
    /// <param name="byName">Whether the name is asked; not where a user pointed at the file.</param>
    public string? WhyNoModel(bool byName = true) => Facts switch
    {
        { Fault: { } fault } => fault,
        { Content: GgufContent.Projector } => AdapterPairing.ProjectorReason,
        { Content: GgufContent.ImportanceMatrix } => "importance matrix, not a model",
        { Content: GgufContent.Adapter } => AdapterPairing.AdapterReason,
        { Content: GgufContent.Vocabulary } => "vocabulary without weights, not a model",
        { Content: GgufContent.Draft } => "draft model, used beside another",
        _ when !byName => null,
        _ when FileName.HasWord("mmproj") => "multimodal projector by its name, not a model",
        _ when FileName.HasWord("imatrix") => "importance matrix by its name, not a model",
        _ when FileName.HasWord("draft") => "draft model by its name, used beside another",
        _ => null,
    };

    /// <summary>The model that this file is, or begins.</summary>
    /// <param name="shards">All files of the model, this one first.</param>
    public ModelEntry ToEntry(IReadOnlyList<InspectedFile> shards)
    {
        var parameters = shards.Sum(shard => shard.Facts.ParameterCount);
        return new ModelEntry
        {
            Name = Candidate.Name ?? NameInRepository() ?? Printable(FileName.Name),
            Path = Candidate.Path,
            SizeBytes = shards.Sum(shard => shard.Candidate.SizeBytes),
            Architecture = Facts.Architecture ?? ModelEntry.Unknown,
            ParameterCount = parameters > 0 ? parameters : null,
            ParameterLabel = Facts.SizeLabel
                ?? (parameters > 0 ? ParameterLabels.Of(parameters) : FileName.ParameterLabel)
                ?? ModelEntry.Unknown,
            Quantization = Facts.Quantization ?? FileName.Quantization ?? ModelEntry.Unknown,
            ContextLength = Facts.ContextLength,
            EmbeddingLength = Facts.EmbeddingLength,
            Layers = Facts.Layers,
            Type = Facts.Type ?? TypeByName(),
            Origin = Candidate.Origin,
            Shards = [.. shards.Select(shard => shard.Candidate.Path)],
            ModifiedAt = Candidate.ModifiedUtc,
            OtherNames = [.. Candidate.OtherNames, .. NamesOfFile()],
            Projector = Candidate.Projector,
            Settings = Candidate.Settings,
            WhyUnloadable = WhyUnloadable(),
        };
    }

    private string? NameInRepository() =>
        Candidate.Repository is not { } repository ? null
        : (FileName.Quantization ?? Facts.Quantization) is { } quantization ? Printable($"{repository}:{quantization}")
        : Printable(repository);

    // The file's own name always finds it, and the name with the quantization behind it as Hugging Face and Ollama write it. A
    // file named by its digest has no name of its own.
    private string[] NamesOfFile() =>
        Candidate.Name is not null ? []
        : Candidate.Repository is { } repository ? [Printable(repository), Printable(FileName.Stem)]
        : FileName.Quantization is { } quantization ? [Printable(FileName.Stem), Printable($"{FileName.Name}:{quantization}")]
        : [Printable(FileName.Stem)];

    private string? WhyUnloadable()
    {
        var variant = Facts.OllamaVariant
            ?? (Candidate.FromOllama && !Facts.FromLlamaCpp && OllamaArchitectures.Differs(Facts.Architecture)
                ? $"Ollama keeps '{Facts.Architecture}' models in a variant of its own" : null);
        return variant is null ? null : $"{variant}; llama.cpp cannot load it. The same model as published for llama.cpp will do";
    }

    private ModelType TypeByName() =>
        FileName.HasWord("rerank") || FileName.HasWord("reranker") ? ModelType.Reranker
        : FileName.HasWord("embed") || FileName.HasWord("embedding") || FileName.HasWord("embeddings") ? ModelType.Embedding
        : FileName.HasWord("instruct") || FileName.HasWord("chat") || FileName.HasWord("it") ? ModelType.Chat
        : FileName.HasWord("vae") ? ModelType.Vae
        : FileName.HasWord("whisper") ? ModelType.Speech
        : FileName.HasWord("clip") ? ModelType.Clip
        : FileName.HasWord("diffusion") ? ModelType.Diffusion
        : FileName.HasWord("encoder") ? ModelType.Encoder
        : ModelType.Completion;

    // File names may hold line feeds and escapes; names are printed to terminals and travel in headers.
    private static string Printable(string name) =>
        name.Any(char.IsControl) ? string.Concat(name.Select(c => char.IsControl(c) ? '_' : c)) : name;
}
