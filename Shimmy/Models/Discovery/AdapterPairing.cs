using Shimmy.Gguf;

namespace Shimmy.Models.Discovery;

/// <summary>
/// Pairs LoRA adapters and multimodal projectors with the models that they fit, by shape, architecture and folder.
/// </summary>
internal sealed class AdapterPairing
{
    /// <summary>Reason why a projector is not listed as a model.</summary>
    public const string ProjectorReason = "multimodal projector, not a model";

    /// <summary>Reason why an adapter is not listed as a model.</summary>
    public const string AdapterReason = "adapter, not a model";

    // Where a model may lie whose projector a file is: beside it; in Hugging Face's cache also below, since a repository with a folder for
    // each quantization has its projector at the root, or else anywhere in the repository.
    private enum Reach
    {
        Folder,
        Above,
        Repository,
    }

    private const string Fits = "; fits ";
    private const string FitsNone = Fits + "none of the models found";

    private readonly List<InspectedFile> _adapters = [];
    private readonly List<InspectedFile> _projectors = [];

    /// <summary>Whether a file is no model but belongs to one that was found, so that nothing is amiss.</summary>
    public static bool IsPart(SkippedFile file) =>
        file.Reason.Contains(Fits, StringComparison.Ordinal) && !file.Reason.EndsWith(FitsNone, StringComparison.Ordinal);

    /// <summary>Collects the file if it is an adapter or projector; false otherwise.</summary>
    public bool Take(InspectedFile file)
    {
        var kind = file.Facts switch
        {
            { Fault: not null } => null,
            { Content: GgufContent.Adapter } => _adapters,
            { Content: GgufContent.Projector } => _projectors,
            _ => null,
        };
        kind?.Add(file);
        return kind is not null;
    }

    /// <summary>
    /// Returns the models with the collected files that fit; reports each such file, with the names of its models, to
    /// <paramref name="skipped"/>.
    /// </summary>
    public IReadOnlyList<ModelEntry> PairWith(IReadOnlyList<ModelEntry> models, List<SkippedFile> skipped)
    {
        if (_adapters.Count == 0 && _projectors.Count == 0 && !models.Any(IsNamedOnly))
            return models;

        // A projector that the source itself names (Ollama's layer) is not among the files.
        var paired = models.Select(model => IsNamedOnly(model) ? WithProjector(model, model.Projector) : model).ToArray();
        foreach (var adapter in _adapters)
        {
            var fitting = FittingAdapter(adapter, paired);
            fitting.ForEach(index =>
                paired[index] = paired[index] with { Adapters = [.. paired[index].Adapters, adapter.Candidate.Path] });
            Report(adapter, AdapterReason, NamesOf(fitting));
        }

        // The nearest; of several in one place (f32, f16, bf16 …) the one that a CPU computes fastest, of those that can be loaded.
        var projectors = _projectors.OrderBy(projector => !IsRead(projector.Facts))
            .ThenBy(projector => projector.Facts.Quantization is not ("F16" or "Q8_0")).ToArray();
        var fits = new string[projectors.Length];
        for (var reach = Reach.Folder; reach <= Reach.Repository; reach++)
        {
            var before = paired.ToArray();
            for (var i = 0; i < projectors.Length; i++)
            {
                var (path, facts) = (projectors[i].Candidate.Path, projectors[i].Facts);
                var fitting = FittingProjector(projectors[i], before, reach);
                fitting.ForEach(index => paired[index] = paired[index].Projector is null
                    ? paired[index] with { Projector = path, Sees = facts.Sees, Hears = facts.Hears }
                    : paired[index]);
                if (fitting.Count > 0)
                    fits[i] = fits[i] is { } nearer ? $"{nearer}, {NamesOf(fitting)}" : NamesOf(fitting);
            }
        }
        for (var i = 0; i < projectors.Length; i++)
            Report(projectors[i], ProjectorReason + (IsRead(projectors[i].Facts) ? "" : ", of a kind that is not read here"), fits[i]);

        return paired;

        static bool IsRead(GgufFacts facts) => facts.Sees || facts.Hears;

        static bool IsNamedOnly(ModelEntry model) => model is { Projector: not null, Sees: false, Hears: false };

        string NamesOf(List<int> fitting) => string.Join(", ", fitting.Select(index => paired[index].Name));

        void Report(InspectedFile file, string reason, string? models) => skipped.Add(new SkippedFile(
            file.Candidate.Path, file.Candidate.Origin, string.IsNullOrEmpty(models) ? reason + FitsNone : $"{reason}{Fits}{models}"));
    }

    // Architecture, width and layers must fit. Of the fitting models: those that the adapter names as its base, else those in its folder,
    // else all.
    private static List<int> FittingAdapter(InspectedFile adapter, ModelEntry[] models)
    {
        var facts = adapter.Facts;
        if (facts is { EmbeddingLength: 0, Layers: 0 })
            return [];

        var fitting = Where(models, model =>
            (facts.Architecture is null || model.Architecture == facts.Architecture)
            && Agree(model.EmbeddingLength, facts.EmbeddingLength)
            && (facts.Layers == 0 || model.Layers == 0 || model.Layers >= facts.Layers));
        var named = facts.BaseModel is { } name
            ? fitting.FindAll(index => Letters(models[index].Name).Contains(Letters(name), StringComparison.Ordinal))
            : [];
        var near = named.Count > 0 ? named : fitting.FindAll(index => InOneFolder(models[index], adapter));
        return near.Count > 0 ? near : fitting;
    }

    /// <summary>
    /// A model with a projector that the user chose for all models, or that its source names: where the widths agree, or one is not known.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="path">The file; <see cref="ModelSettings.NoProjector"/> takes none; null leaves the model as it is.</param>
    public static ModelEntry WithProjector(ModelEntry model, string? path) =>
        WithChosen(model, path, out var whyUnfit) is var chosen && whyUnfit is null ? chosen : model;

    /// <summary>A model with the projector that the user chose for it alone, which it has even where it does not fit.</summary>
    /// <param name="model">The model.</param>
    /// <param name="path">As in <see cref="WithProjector"/>.</param>
    /// <param name="whyUnfit">Why the model cannot be loaded with it; null where nothing is known against it.</param>
    public static ModelEntry WithChosen(ModelEntry model, string? path, out string? whyUnfit)
    {
        whyUnfit = null;
        if (path is null)
            return model;
        if (path == ModelSettings.NoProjector)
            return model with { Projector = null, Sees = false, Hears = false };
        var facts = GgufInspection.Inspect(path);
        if (Agree(model.EmbeddingLength, facts.EmbeddingLength))
            return model with { Projector = path, Sees = facts.Sees, Hears = facts.Hears };
        whyUnfit = $"its projector (mmproj) '{path}' is for models of the embedding length {facts.EmbeddingLength}, "
            + $"not {model.EmbeddingLength}";
        return model with { Projector = path, Sees = false, Hears = false };
    }

    // Of the fitting models in reach those that it names, else all: it is named after its model as a rule, and a folder may hold a model of
    // the same width that is blind.
    private static List<int> FittingProjector(InspectedFile projector, ModelEntry[] models, Reach reach)
    {
        var path = projector.Candidate.Path;
        // One that lies beside a model is that model's.
        if (reach == Reach.Repository && models.Any(model => InOneFolder(model, projector)))
            return [];
        var fitting = Where(models, model => FitsProjector(model, projector) && (reach == Reach.Folder
            ? InOneFolder(model, projector)
            : model.Projector is null && HuggingFaceSource.AreOfOneRepository(model.Path, path, isAbove: reach == Reach.Above)));
        var own = Letters(projector.FileName.Name.Replace("mmproj", "", StringComparison.OrdinalIgnoreCase));
        var named = fitting.FindAll(index =>
            Letters(models[index].Name) is var name && own.Length > 3 && (name.Contains(own, StringComparison.Ordinal)
                || own.Contains(Letters(ModelFileName.Parse(Path.GetFileName(models[index].Path)).Name), StringComparison.Ordinal)));
        return named.Count > 0 ? named : fitting;
    }

    // The files of a repository belong together, whatever is known of their widths; in other folders the width must be known.
    private static bool FitsProjector(ModelEntry model, InspectedFile projector) =>
        Agree(model.EmbeddingLength, projector.Facts.EmbeddingLength)
        && (projector.Facts.EmbeddingLength > 0 || HuggingFaceSource.SnapshotOf(projector.Candidate.Path) is not null);

    private static List<int> Where(ModelEntry[] models, Func<ModelEntry, bool> condition) =>
        [.. Enumerable.Range(0, models.Length).Where(index => condition(models[index]))];

    private static bool InOneFolder(ModelEntry model, InspectedFile file) =>
        Path.GetDirectoryName(model.Path) == Path.GetDirectoryName(file.Candidate.Path);

    // 0 is unknown.
    private static bool Agree(int a, int b) => a == 0 || b == 0 || a == b;

    // Makes "Llama 3.2 1B Instruct" and "llama-3.2-1b-instruct" equal.
    private static string Letters(string name) => string.Concat(name.Where(char.IsLetterOrDigit)).ToLowerInvariant();
}
