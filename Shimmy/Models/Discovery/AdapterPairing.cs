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

    // Where a model may lie whose projector a file is, the nearest first: beside it; in Hugging Face's cache also below, since a repository
    // with a folder for each quantization has its projector at the root, or else anywhere in the repository; of its own snapshot before
    // those of others.
    private enum Reach
    {
        Folder,
        Above,
        Repository,
        AboveInOther,
        RepositoryOfOther,
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
        var paired = models.Select(model => IsNamedOnly(model) ? WithProjector([model], model.Projector!)[0] : model).ToArray();
        var map = new FolderMap(paired);
        foreach (var adapter in _adapters)
        {
            var fitting = FittingAdapter(adapter, paired, map);
            fitting.ForEach(index =>
                paired[index] = paired[index] with { Adapters = [.. paired[index].Adapters, adapter.Candidate.Path] });
            Report(adapter, AdapterReason, NamesOf(fitting));
        }

        // The nearest; of several in one place (f32, f16, bf16 …) the one that a CPU computes fastest, of those that can be loaded.
        var projectors = _projectors.OrderBy(projector => !IsRead(projector.Facts))
            .ThenBy(projector => projector.Facts.Quantization is not ("F16" or "Q8_0")).ToArray();
        var places = projectors.Select(projector => new Place(projector.Candidate.Path,
            projector.FileName.Name.Replace("mmproj", "", StringComparison.OrdinalIgnoreCase))).ToArray();
        var fits = new string[projectors.Length];
        for (var reach = Reach.Folder; reach <= Reach.RepositoryOfOther; reach++)
        {
            var before = paired.ToArray();
            for (var i = 0; i < projectors.Length; i++)
            {
                var (path, facts) = (projectors[i].Candidate.Path, projectors[i].Facts);
                var fitting = FittingProjector(projectors[i], places[i], before, map, reach);
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
    private static List<int> FittingAdapter(InspectedFile adapter, ModelEntry[] models, FolderMap map)
    {
        var facts = adapter.Facts;
        if (facts is { EmbeddingLength: 0, Layers: 0 })
            return [];

        var fitting = Enumerable.Range(0, models.Length).Where(index => models[index] is var model
            && (facts.Architecture is null || model.Architecture == facts.Architecture)
            && Agree(model.EmbeddingLength, facts.EmbeddingLength)
            && (facts.Layers == 0 || model.Layers == 0 || model.Layers >= facts.Layers)).ToList();
        var named = facts.BaseModel is { } name && Letters(name) is var own
            ? fitting.FindAll(index => map.Models[index].Letters.Contains(own, StringComparison.Ordinal))
            : [];
        var folder = Path.GetDirectoryName(adapter.Candidate.Path) ?? "";
        var near = named.Count > 0 ? named : fitting.FindAll(index => map.Models[index].Folder == folder);
        return near.Count > 0 ? near : fitting;
    }

    /// <summary>
    /// Models with a projector that the user chose for all, or that their source names: where the widths agree, or one is not known.
    /// </summary>
    /// <param name="models">The models.</param>
    /// <param name="path">The file; <see cref="ModelSettings.NoProjector"/> takes none.</param>
    public static IReadOnlyList<ModelEntry> WithProjector(IReadOnlyList<ModelEntry> models, string path)
    {
        var facts = FactsOf(path);
        return [.. models.Select(model =>
            WithChosen(model, path, facts, out var whyUnfit) is var chosen && whyUnfit is null ? chosen : model)];
    }

    /// <summary>A model with the projector that the user chose for it alone, which it has even where it does not fit.</summary>
    /// <param name="model">The model.</param>
    /// <param name="path">
    /// The file; <see cref="ModelSettings.NoProjector"/> takes none; null leaves the model as it is.
    /// </param>
    /// <param name="whyUnfit">Why the model cannot be loaded with it; null where nothing is known against it.</param>
    public static ModelEntry WithChosen(ModelEntry model, string? path, out string? whyUnfit)
    {
        whyUnfit = null;
        return path is null ? model : WithChosen(model, path, FactsOf(path), out whyUnfit);
    }

    // Null for none.
    private static GgufFacts? FactsOf(string path) => path == ModelSettings.NoProjector ? null : GgufInspection.Inspect(path);

    private static ModelEntry WithChosen(ModelEntry model, string path, GgufFacts? facts, out string? whyUnfit)
    {
        whyUnfit = null;
        if (facts is null)
            return model with { Projector = null, Sees = false, Hears = false };
        if (Agree(model.EmbeddingLength, facts.EmbeddingLength))
            return model with { Projector = path, Sees = facts.Sees, Hears = facts.Hears };
        whyUnfit = $"its projector (mmproj) '{path}' is for models of the embedding length {facts.EmbeddingLength}, "
            + $"not {model.EmbeddingLength}";
        return model with { Projector = path, Sees = false, Hears = false };
    }

    // Of the fitting models in reach those that it names, else all: it is named after its model as a rule, and a folder may hold a model of
    // the same width that is blind.
    private static List<int> FittingProjector(InspectedFile projector, Place place, ModelEntry[] models, FolderMap map, Reach reach)
    {
        // The files of a repository belong together, whatever is known of their widths; in other folders the width must be known.
        var width = projector.Facts.EmbeddingLength;
        if (width == 0 && place.Snapshot is null)
            return [];
        var fitting = map.InReach(place, reach).Where(index =>
            Agree(models[index].EmbeddingLength, width) && (reach == Reach.Folder || models[index].Projector is null)).ToList();
        var own = place.Letters;
        var named = own.Length <= 3 ? [] : fitting.FindAll(index => map.Models[index].Letters.Contains(own, StringComparison.Ordinal)
            || own.Contains(map.Models[index].LettersOfFile, StringComparison.Ordinal));
        return named.Count > 0 ? named : fitting;
    }

    // 0 is unknown.
    private static bool Agree(int a, int b) => a == 0 || b == 0 || a == b;

    // Makes "Llama 3.2 1B Instruct" and "llama-3.2-1b-instruct" equal.
    private static string Letters(string name) => string.Concat(name.Where(char.IsLetterOrDigit)).ToLowerInvariant();

    // A file by the places that it is in, found out once a scan: to take paths apart for each model and each projector would take seconds
    // where there are thousands.
    private sealed class Place(string path, string name)
    {
        private string? _letters;
        private string? _lettersOfFile;

        public string Folder { get; } = Path.GetDirectoryName(path) ?? "";

        // In Hugging Face's cache; null elsewhere.
        public string? Snapshot { get; } = HuggingFaceSource.SnapshotOf(path);

        public string? Repository => Path.GetDirectoryName(Snapshot);

        public string Letters => _letters ??= AdapterPairing.Letters(name);

        public string LettersOfFile => _lettersOfFile ??= AdapterPairing.Letters(ModelFileName.Parse(Path.GetFileName(path)).Name);

        // Whether it lies in the same folder of its snapshot as the other in its own, or in one below.
        public bool IsBelow(Place other) =>
            PathInSnapshot.StartsWith(other.PathInSnapshot[..(other.PathInSnapshot.LastIndexOf(Path.DirectorySeparatorChar) + 1)]);

        private ReadOnlySpan<char> PathInSnapshot => path.AsSpan(Snapshot?.Length ?? path.Length);
    }

    // The models by their folders and repositories.
    private sealed class FolderMap
    {
        private readonly Dictionary<string, List<int>> _byFolder = new(StringComparer.Ordinal);
        private readonly Dictionary<string, List<int>> _byRepository = new(StringComparer.Ordinal);

        public FolderMap(ModelEntry[] models)
        {
            Models = [.. models.Select(model => new Place(model.Path, model.Name))];
            for (var i = 0; i < Models.Length; i++)
            {
                Add(_byFolder, Models[i].Folder, i);
                if (Models[i].Repository is { } repository)
                    Add(_byRepository, repository, i);
            }

            static void Add(Dictionary<string, List<int>> map, string key, int index)
            {
                if (!map.TryGetValue(key, out var list))
                    map.Add(key, list = []);
                list.Add(index);
            }
        }

        public Place[] Models { get; }

        // The models for which a projector is in reach.
        public IEnumerable<int> InReach(Place projector, Reach reach)
        {
            var isBeside = _byFolder.TryGetValue(projector.Folder, out var beside);
            if (reach == Reach.Folder)
                return beside ?? [];
            var isAnywhere = reach is Reach.Repository or Reach.RepositoryOfOther;
            // One that lies beside a model is that model's.
            if (projector.Repository is not { } repository || (isBeside && isAnywhere)
                || !_byRepository.TryGetValue(repository, out var all))
            {
                return [];
            }
            var isOfOther = reach is Reach.AboveInOther or Reach.RepositoryOfOther;
            return all.Where(index => (Models[index].Snapshot != projector.Snapshot) == isOfOther
                && (isAnywhere || Models[index].IsBelow(projector)));
        }
    }
}
