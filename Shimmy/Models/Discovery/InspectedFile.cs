using Shimmy.Gguf;

namespace Shimmy.Models.Discovery;

/// <summary>A candidate with its parsed name and the facts of its header.</summary>
internal sealed record InspectedFile(ModelCandidate Candidate, ModelFileName FileName, GgufFacts Facts)
{
    /// <summary>
    /// Reason why the file is not listed as a model; null where it is one. A word in the file's name counts only where the header says
    /// nothing: names of good models hold all kinds of words.
    /// </summary>
    /// <param name="byName">Judge by the file name too; false where the user named the file.</param>
    public string? WhyNoModel(bool byName = true) => Facts switch
    {
        { Fault: { } fault } => fault,
        { Content: GgufContent.Projector } => AdapterPairing.ProjectorReason,
        { Content: GgufContent.ImportanceMatrix } => "importance matrix, not a model",
        { Content: GgufContent.Adapter } => AdapterPairing.AdapterReason,
        { Content: GgufContent.Vocabulary } => "vocabulary without weights, not a model",
        { Content: GgufContent.Draft } => "draft model, used together with another model",
        _ when !byName || SaysModel => null,
        _ when FileName.HasWord("mmproj") => "multimodal projector by its name, not a model",
        _ when FileName.HasWord("imatrix") => "importance matrix by its name, not a model",
        _ when FileName.HasWord("draft") => "draft model by its name, used together with another model",
        _ => null,
    };

    // The header describes a network: it has layers, or takes tokens.
    private bool SaysModel => Facts.Architecture is not null && (Facts.Layers > 0 || Facts.EmbeddingLength > 0 || Facts.ContextLength > 0);

    /// <summary>The model in this file, or whose first shard it is.</summary>
    /// <param name="shards">All files of the model, this one first.</param>
    public ModelEntry ToEntry(IReadOnlyList<InspectedFile> shards)
    {
        var parameters = shards.Sum(shard => shard.Facts.ParameterCount);
        return new ModelEntry
        {
            Name = Printable(Candidate.Name ?? NameInRepository() ?? FileName.Name),
            Path = Candidate.Path,
            SizeBytes = shards.Sum(shard => shard.Candidate.SizeBytes),
            Architecture = Facts.Architecture ?? ModelEntry.Unknown,
            ParameterCount = parameters > 0 ? parameters : null,
            ParameterLabel = Facts.SizeLabel
                ?? (parameters > 0 ? ModelLabels.OfParameters(parameters) : FileName.ParameterLabel)
                ?? ModelEntry.Unknown,
            Quantization = Facts.Quantization ?? FileName.Quantization ?? ModelEntry.Unknown,
            ContextLength = Facts.ContextLength,
            EmbeddingLength = Facts.EmbeddingLength,
            Layers = Facts.Layers,
            Type = TypeOf(shards),
            Origin = Candidate.Origin,
            Shards = [.. shards.Select(shard => shard.Candidate.Path)],
            Manifest = Candidate.Manifest,
            ModifiedAt = Candidate.ModifiedUtc,
            OtherNames = [.. Candidate.OtherNames.Select(Printable), .. NamesOfFile(), .. LongNames()],
            LongNames = LongNames(),
            Projector = Candidate.Projector,
            Settings = Candidate.Settings,
            WhyUnloadable = WhyUnloadable(),
            CallsTools = Facts.CallsTools,
            Thinks = Facts.Thinks,
            Inserts = Facts.Inserts,
        };
    }

    private string? NameInRepository() =>
        Candidate.Repository is not { } repository ? null
        : Quantization is { } quantization ? $"{repository}:{quantization}"
        : repository;

    private string? Quantization => FileName.Quantization ?? Facts.Quantization;

    // The file name without extension, and NAME:QUANTIZATION as Hugging Face and Ollama write it. Not for Ollama's blobs, which are named
    // by their digest.
    private string[] NamesOfFile() =>
        Candidate.Name is not null ? []
        : Candidate.Repository is { } repository ? [Printable(repository), Printable(FileName.Stem)]
        : Quantization is { } quantization ? [Printable(FileName.Stem), Printable($"{FileName.Name}:{quantization}")]
        : [Printable(FileName.Stem)];

    private string[] LongNames()
    {
        if (Candidate.Name is { } name)
            return [Printable($"{Candidate.Origin}/{name}")];
        if (Candidate.Repository is { } repository)
            return [Printable($"{repository}/{FileName.Stem}"), Printable($"{Candidate.Origin}/{NameInRepository()}")];
        if (Candidate.Folder is not { } folder)
            return [Printable($"{Candidate.Origin}/{FileName.Name}")];
        List<string> names = folder.Length == 0
            ? [$"{Candidate.Origin}/{FileName.Name}", $"{Candidate.RootName}/{FileName.Name}"]
            :
            [
                $"{folder[(folder.LastIndexOf('/') + 1)..]}/{FileName.Name}", $"{folder}/{FileName.Name}",
                $"{Candidate.RootName}/{folder}/{FileName.Name}",
            ];
        if (Candidate.IsNamedByFolder)
            names.Insert(0, folder);
        // With the quantization, too: files of one folder differ in nothing else.
        return [.. names.SelectMany(name => Quantization is { } quantization
            ? (string[])[name, $"{name}:{quantization}"]
            : [name]).Select(Printable).Distinct(StringComparer.OrdinalIgnoreCase)];
    }

    private string? WhyUnloadable()
    {
        var variant = Facts.OllamaVariant
            ?? (Candidate.FromOllama && !Facts.FromLlamaCpp && OllamaArchitectures.Differs(Facts.Architecture)
                ? $"Ollama converts '{Facts.Architecture}' models to a variant of its own" : null);
        return variant is null
            ? null
            : $"{variant}; llama.cpp cannot load it. Download a GGUF of the same model that was made for llama.cpp";
    }

    // What only claims to rank is listed as the model that is left of it.
    private ModelType TypeOf(IReadOnlyList<InspectedFile> shards) =>
        Facts.Type != ModelType.Reranker || shards.Any(shard => shard.Facts.HasRankingHead) ? Facts.Type ?? TypeByName()
        : Facts.Architecture?.Contains("bert", StringComparison.Ordinal) == true ? ModelType.Embedding
        : ModelType.Completion;

    private ModelType TypeByName() =>
        FileName.HasWord("embed") || FileName.HasWord("embedding") || FileName.HasWord("embeddings") ? ModelType.Embedding
        : FileName.HasWord("instruct") || FileName.HasWord("chat") || FileName.HasWord("it") ? ModelType.Chat
        : SaysModel ? ModelType.Completion
        : FileName.HasWord("vae") ? ModelType.Vae
        : FileName.HasWord("whisper") ? ModelType.Speech
        : FileName.HasWord("clip") ? ModelType.Clip
        : FileName.HasWord("diffusion") ? ModelType.Diffusion
        : FileName.HasWord("encoder") ? ModelType.Encoder
        : ModelType.Completion;

    // Names go to terminals and HTTP headers; file names may contain line feeds and escape sequences.
    private static string Printable(string name) =>
        UnicodeComposition.Of(name.Any(char.IsControl) ? string.Concat(name.Select(c => char.IsControl(c) ? '_' : c)) : name);
}
