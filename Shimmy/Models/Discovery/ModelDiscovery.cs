using System.Diagnostics;
using Shimmy.Gguf;

namespace Shimmy.Models.Discovery;

/// <summary>
/// Scans the sources for models, in steps: collect the files of all sources; drop duplicates; read the headers, or take them from the
/// cache; drop files that are not models; join shards; make names unique; pair adapters and projectors with models. All steps keep the
/// order of the sources.
/// </summary>
/// <param name="sources">The sources, in order of precedence.</param>
/// <param name="cache">Facts from earlier scans; null: every scan reads all headers.</param>
/// <param name="projector">The projector that the user chose, as in <see cref="ModelSettings.Projector"/>; null pairs those found.</param>
internal sealed class ModelDiscovery(IReadOnlyList<IModelSource> sources, ScanCache? cache = null, string? projector = null)
{
    private const int InspectedAtOnce = 8;

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
        var models = ModelNames.MakeUnique(ShardGroups.Join(Usable(candidates, facts, adapterPairing, skipped), skipped));
        var paired = adapterPairing.PairWith(models, skipped);
        return new ScanResult(projector is null ? paired : [.. paired.Select(model => AdapterPairing.WithProjector(model, projector))],
            skipped, Stopwatch.GetElapsedTime(started));
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
                    var first = found[index];
                    found[index] = first with
                    {
                        OtherNames = [.. first.OtherNames, .. candidate.Name is { } name
                        ? [name]
                        : (string[])[], .. candidate.OtherNames]
                    };
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

    private GgufFacts[] Inspect(List<ModelCandidate> candidates, CancellationToken cancellation)
    {
        cache?.Open();
        var facts = new GgufFacts[candidates.Count];
        var unknown = new List<int>();
        for (var i = 0; i < facts.Length; i++)
        {
            if (cache?.Find(candidates[i]) is { } known)
                facts[i] = known;
            else
                unknown.Add(i);
        }

        InspectAll(unknown, candidates, facts, cancellation);
        if (cache is not null && (unknown.Count > 0 || cache.Count != facts.Length))
            cache.Replace(candidates, facts);

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
    /// The first model with a name keeps it; the next gets <c>origin/name</c>, then <c>origin/name:QUANTIZATION</c>, then
    /// <c>origin/name-2</c> …
    /// </summary>
    public static IReadOnlyList<ModelEntry> MakeUnique(IReadOnlyList<ModelEntry> models)
    {
        var taken = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        return [.. models.Select(model => model with { Name = Possible(model).First(taken.Add) })];
    }

    /// <summary>The candidate names of a model, the best first; an infinite sequence.</summary>
    public static IEnumerable<string> Possible(ModelEntry model)
    {
        yield return model.Name;
        var qualified = $"{model.Origin}/{model.Name}";
        yield return qualified;
        yield return $"{qualified}:{model.Quantization}";
        for (var number = 2; ; number++)
            yield return $"{qualified}-{number}";
    }
}
