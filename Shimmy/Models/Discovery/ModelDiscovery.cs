using System.Diagnostics;
using Shimmy.Gguf;

namespace Shimmy.Models.Discovery;

/// <summary>
/// Scans the sources for models, in steps: collect the files of all sources; drop duplicates; read the headers, or take them from the
/// cache; drop files that are not models; join shards; make names unique; pair adapters and projectors with models. All steps keep the
/// order of the sources.
/// </summary>
/// <param name="sources">The sources, in order of precedence.</param>
/// <param name="cache">What is known from earlier scans; null: from those of this object alone.</param>
/// <param name="projector">The projector that the user chose, as in <see cref="ModelSettings.Projector"/>; null pairs those found.</param>
internal sealed class ModelDiscovery(IReadOnlyList<IModelSource> sources, ScanCache? cache = null, string? projector = null)
{
    private const int InspectedAtOnce = 8;

    private readonly ScanCache _cache = cache ?? new ScanCache(null);

    private readonly Lock _scanning = new();

    /// <summary>The sources, in order of precedence.</summary>
    public IReadOnlyList<IModelSource> Sources => sources;

    /// <summary>
    /// Scans all sources. Blocking. Throws only <see cref="OperationCanceledException"/>: bad files are reported as skipped.
    /// </summary>
    public ScanResult Scan(CancellationToken cancellation = default)
    {
        var started = Stopwatch.GetTimestamp();
        var skipped = new List<SkippedFile>();
        var candidates = Candidates(skipped, cancellation);
        GgufFacts[] facts;
        lock (_scanning)
        {
            facts = Inspect(candidates, cancellation);
        }

        var adapterPairing = new AdapterPairing();
        var found = ShardGroups.Join(Usable(candidates, facts, adapterPairing, skipped), skipped);
        IReadOnlyList<ModelEntry> models;
        lock (_scanning)
            models = ModelNames.MakeUnique(_cache.WithSince(found));
        var paired = adapterPairing.PairWith(models, skipped);
        if (projector is not null)
            paired = AdapterPairing.WithProjector(paired, projector);
        return new ScanResult(paired, skipped, Stopwatch.GetElapsedTime(started));
    }

    // A duplicate adds its names to the first candidate: several tags of Ollama can have the same weights.
    private List<ModelCandidate> Candidates(List<SkippedFile> skipped, CancellationToken cancellation)
    {
        var found = new List<ModelCandidate>();
        var known = new Dictionary<(string RealPath, string Variant), int>(FileComparer.Instance);
        foreach (var source in sources)
        {
            foreach (var candidate in source.Find(skipped.Add, cancellation))
            {
                var key = (candidate.RealPath, candidate.Variant);
                if (known.TryGetValue(key, out var index))
                {
                    // A file is called by its own name, and by those of the links to it.
                    var first = found[index];
                    var (main, other) = first is { Name: null, Repository: null } && first.Path != first.RealPath
                        && candidate.Path == candidate.RealPath ? (candidate, first) : (first, candidate);
                    found[index] = main with { OtherNames = [.. main.OtherNames, .. NamesOf(other), .. other.OtherNames] };
                }
                else
                {
                    known.Add(key, found.Count);
                    found.Add(candidate);
                }
            }
        }

        return found;
    }

    private static string[] NamesOf(ModelCandidate link)
    {
        if (link.Name is { } given)
            return [given];
        var file = ModelFileName.Parse(Path.GetFileName(link.Path));
        var name = link.Repository ?? file.Name;
        return file.Quantization is { } quantization ? [name, file.Stem, $"{name}:{quantization}"] : [name, file.Stem];
    }

    private GgufFacts[] Inspect(List<ModelCandidate> candidates, CancellationToken cancellation)
    {
        _cache.Open();
        var facts = new GgufFacts[candidates.Count];
        var unknown = new List<int>();
        for (var i = 0; i < facts.Length; i++)
        {
            if (_cache.Find(candidates[i]) is { } known)
                facts[i] = known;
            else
                unknown.Add(i);
        }

        InspectAll(unknown, candidates, facts, cancellation);
        if (unknown.Count > 0 || _cache.Count != facts.Length)
            _cache.Replace(candidates, facts);

        return facts;
    }

    // In parallel, since reading headers is mostly waiting for the disk.
    private static void InspectAll(List<int> unknown, List<ModelCandidate> candidates, GgufFacts[] facts, CancellationToken cancellation)
    {
        var taken = -1;
        var readers = new Task[Math.Min(InspectedAtOnce, unknown.Count)];
        for (var i = 0; i < readers.Length; i++)
            readers[i] = Task.Run(InspectNext, cancellation);
        Task.WhenAll(readers).GetAwaiter().GetResult();

        void InspectNext()
        {
            for (int next; (next = Interlocked.Increment(ref taken)) < unknown.Count;)
            {
                cancellation.ThrowIfCancellationRequested();
                facts[unknown[next]] = GgufInspection.Inspect(candidates[unknown[next]].Path);
            }
        }
    }

    private static List<InspectedFile> Usable(
        List<ModelCandidate> candidates, GgufFacts[] facts, AdapterPairing adapterPairing, List<SkippedFile> skipped)
    {
        var usable = new List<InspectedFile>(candidates.Count);
        for (var i = 0; i < facts.Length; i++)
        {
            var file = new InspectedFile(candidates[i], ModelFileName.Parse(Path.GetFileName(candidates[i].Path)), facts[i]);
            if (file.WhyNoModel() is not { } reason)
                usable.Add(file);
            else if (!adapterPairing.Take(file))
                skipped.Add(new SkippedFile(file.Candidate.Path, file.Candidate.Origin, reason));
        }

        return usable;
    }

    private sealed class FileComparer : IEqualityComparer<(string RealPath, string Variant)>
    {
        public static FileComparer Instance { get; } = new();

        private static StringComparer Paths { get; } = OperatingSystem.IsWindows()
            ? StringComparer.OrdinalIgnoreCase
            : StringComparer.Ordinal;

        public bool Equals((string RealPath, string Variant) x, (string RealPath, string Variant) y) =>
            Paths.Equals(x.RealPath, y.RealPath) && x.Variant == y.Variant;

        public int GetHashCode((string RealPath, string Variant) file) => Paths.GetHashCode(file.RealPath);
    }
}

/// <summary>Makes names of models unique; case is ignored.</summary>
internal static class ModelNames
{
    /// <summary>
    /// Gives each model a name of its own. Models that were there in earlier scans (<see cref="ModelEntry.Since"/>) have theirs first, so
    /// that a new file never changes what a name means. Of models that came at once, the one of the earlier source keeps the plain name;
    /// where that source has several, none does: they take their quantization or their folder into the name.
    /// </summary>
    public static IReadOnlyList<ModelEntry> MakeUnique(IReadOnlyList<ModelEntry> models)
    {
        var taken = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        var named = models.ToArray();
        foreach (var generation in Enumerable.Range(0, named.Length).GroupBy(index => models[index].Since).OrderBy(group => group.Key))
        {
            var groups = generation.GroupBy(index => models[index].Name, StringComparer.OrdinalIgnoreCase).ToList();
            var left = new List<(int Index, List<ModelEntry> Rivals)>();
            foreach (var group in groups)
            {
                var rivals = group.Select(index => models[index]).ToList();
                var first = rivals.TakeWhile(model => model.Origin == rivals[0].Origin).Count() == 1 && taken.Add(group.Key) ? 1 : 0;
                left.AddRange(group.Skip(first).Select(index => (index, rivals)));
            }

            foreach (var (index, rivals) in left)
            {
                var model = models[index];
                var name = Possible(model).Skip(1).First(name => !taken.Contains(name) && !rivals.Exists(other =>
                    !ReferenceEquals(other, model) && IsCalled(other, name)));
                taken.Add(name);
                named[index] = model with { Name = name, OtherNames = [model.Name, .. model.OtherNames] };
            }

            // What these are called besides stays theirs as well.
            taken.UnionWith(generation.SelectMany(index => models[index].OtherNames));
        }

        return named;
    }

    /// <summary>The candidate names of a model, the best first; an infinite sequence.</summary>
    public static IEnumerable<string> Possible(ModelEntry model)
    {
        yield return model.Name;
        if (model.Quantization != ModelEntry.Unknown && !model.Name.Contains(':', StringComparison.Ordinal))
            yield return $"{model.Name}:{model.Quantization}";
        foreach (var name in model.LongNames)
            yield return name;
        for (var number = 2; ; number++)
            yield return $"{(model.LongNames is [.., var last] ? last : $"{model.Origin}/{model.Name}")}-{number}";
    }

    private static bool IsCalled(ModelEntry model, string name) =>
        model.OtherNames.Contains(name, StringComparer.OrdinalIgnoreCase)
        || string.Equals(name, $"{model.Name}:{model.Quantization}", StringComparison.OrdinalIgnoreCase);
}
