using System.Diagnostics;

namespace Shimmy.Models.Discovery;

/// <summary>
/// One scan, in steps: the sources name files; a file reached twice counts once; headers are read; what is no model goes; shards
/// become one model; names are made unique. The order of the sources decides who comes first at every step.
/// </summary>
internal sealed class ModelDiscovery(IReadOnlyList<IModelSource> sources)
{
    /// <summary>The places that are searched, first match first.</summary>
    public IReadOnlyList<IModelSource> Sources => sources;

    /// <summary>Scans all sources. Blocks; never throws for what it finds.</summary>
    public ScanResult Scan(CancellationToken cancellation = default)
    {
        long started = Stopwatch.GetTimestamp();
        var skipped = new List<SkippedFile>();
        var candidates = Candidates(skipped, cancellation);
        var facts = Inspect(candidates, cancellation);
        var models = ShardGroups.Join(Usable(candidates, facts, skipped), skipped);
        return new ScanResult(ModelNames.MakeUnique(models), skipped, Stopwatch.GetElapsedTime(started));
    }

    private List<ModelCandidate> Candidates(List<SkippedFile> skipped, CancellationToken cancellation)
    {
        var found = new List<ModelCandidate>();
        var known = new HashSet<string>(OperatingSystem.IsWindows() ? StringComparer.OrdinalIgnoreCase : StringComparer.Ordinal);
        foreach (var source in sources)
        {
            foreach (var candidate in source.Find(skipped.Add, cancellation))
            {
                if (known.Add(candidate.RealPath))
                {
                    found.Add(candidate);
                }
            }
        }

        return found;
    }

    private static GgufFacts[] Inspect(List<ModelCandidate> candidates, CancellationToken cancellation)
    {
        var facts = new GgufFacts[candidates.Count];
        Parallel.For(0, facts.Length, new ParallelOptions { CancellationToken = cancellation, MaxDegreeOfParallelism = 8 },
            index => facts[index] = GgufInspection.Inspect(candidates[index].Path));
        return facts;
    }

    private static List<InspectedFile> Usable(List<ModelCandidate> candidates, GgufFacts[] facts, List<SkippedFile> skipped)
    {
        var usable = new List<InspectedFile>(candidates.Count);
        for (int i = 0; i < facts.Length; i++)
        {
            var file = new InspectedFile(candidates[i], ModelFileName.Parse(Path.GetFileName(candidates[i].Path)), facts[i]);
            if (file.WhyNoModel() is { } reason)
            {
                skipped.Add(new SkippedFile(file.Candidate.Path, file.Candidate.Origin, reason));
            }
            else
            {
                usable.Add(file);
            }
        }

        return usable;
    }
}
