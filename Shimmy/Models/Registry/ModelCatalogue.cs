using Shimmy.Models.Discovery;

namespace Shimmy.Models.Registry;

/// <summary>An immutable snapshot of the registry: all models, with the names and aliases that find them.</summary>
internal sealed class ModelCatalogue
{
    /// <summary>The model that the program brings along: none that a user has put here.</summary>
    public const string DemoModel = "shimmy-demo";

    private readonly Dictionary<string, ModelEntry> _byName = new(StringComparer.OrdinalIgnoreCase);

    // The models that claim a name and were there first. Where several came at once it finds none, rather than perhaps the wrong one.
    private readonly Dictionary<string, List<ModelEntry>> _byOtherName = new(StringComparer.OrdinalIgnoreCase);
    private readonly IReadOnlyList<ModelAlias> _aliases;

    /// <param name="registered">Models registered by the user; of two with the same name the first counts.</param>
    /// <param name="aliases">Aliases; of two that match the first counts.</param>
    /// <param name="scan">The scan that found the discovered models.</param>
    public ModelCatalogue(IEnumerable<ModelEntry> registered, IReadOnlyList<ModelAlias> aliases, ScanResult scan)
    {
        _aliases = aliases;
        Scan = scan;
        var entries = registered.Where(entry => _byName.TryAdd(UnicodeComposition.Of(entry.Name), entry)).ToList();
        RegisteredCount = entries.Count;
        var files = entries.Select(entry => entry.Path).ToHashSet(StringComparer.Ordinal);
        foreach (var entry in scan.Models.Where(entry => !files.Contains(entry.Path)))
        {
            var name = entry.LongNames.Prepend(entry.Name).Concat(ModelNames.Possible(entry)).First(name => !_byName.ContainsKey(name));
            var named = name == entry.Name ? entry : entry with { Name = name };
            _byName.Add(name, named);
            entries.Add(named);
        }

        foreach (var entry in entries.OrderBy(entry => entry.Since))
        {
            foreach (var name in entry.OtherNames)
            {
                if (!_byOtherName.TryGetValue(name, out var claimants))
                    _byOtherName.Add(name, [entry]);
                else if (claimants[0].Since == entry.Since && !claimants.Contains(entry))
                    claimants.Add(entry);
            }
        }

        Entries = entries;
    }

    /// <summary>The scan that found the discovered models.</summary>
    public ScanResult Scan { get; }

    /// <summary>All models, registered ones first. A discovered model whose file is registered is left out.</summary>
    public IReadOnlyList<ModelEntry> Entries { get; }

    /// <summary>Number of registered models among <see cref="Entries"/>.</summary>
    public int RegisteredCount { get; }

    /// <summary>
    /// Finds a model; case is ignored, and so are differences of Unicode that nobody sees. The name is looked up, in this order, among the
    /// models' names, the aliases without wildcards, the further names that only one model has, each of these in other spellings
    /// (<see cref="NameSpelling"/>), and the aliases with wildcards, of which the first match counts. Null where nothing matches.
    /// </summary>
    public ModelEntry? Find(string name)
    {
        var spellings = NameSpelling.Of(name).ToList();
        return spellings.Select(ByName).FirstOrDefault(entry => entry is not null)
            ?? ByAlias(alias => Wildcard.Is(alias.Pattern) && Wildcard.Matches(UnicodeComposition.Of(alias.Pattern), spellings[0]));
    }

    /// <summary>The models that a name means at once, where they are several; else none.</summary>
    public IReadOnlyList<ModelEntry> Ambiguous(string name) =>
        NameSpelling.Of(name).Select(one => _byOtherName.GetValueOrDefault(one)).FirstOrDefault(found => found is { Count: > 1 }) ?? [];

    private ModelEntry? ByName(string name) =>
        _byName.GetValueOrDefault(name)
        ?? ByAlias(alias => string.Equals(UnicodeComposition.Of(alias.Pattern), name, StringComparison.OrdinalIgnoreCase))
        ?? ByOtherName(name);

    private ModelEntry? ByOtherName(string name) => _byOtherName.GetValueOrDefault(name) is [var only] ? only : null;

    // An alias leads to a model, never to another alias, so aliases cannot loop. An alias whose model does not exist is skipped.
    private ModelEntry? ByAlias(Func<ModelAlias, bool> matches)
    {
        foreach (var alias in _aliases)
        {
            if (matches(alias) && Target(alias) is { } entry)
                return entry;
        }

        return null;
    }

    /// <summary>The aliases without wildcards that lead to a model, unless a model has their name.</summary>
    public IReadOnlyList<(string Name, ModelEntry Entry)> PlainAliases =>
    [
        .. _aliases.Where(alias => !Wildcard.Is(alias.Pattern) && !_byName.ContainsKey(UnicodeComposition.Of(alias.Pattern)))
            .DistinctBy(alias => alias.Pattern, StringComparer.OrdinalIgnoreCase)
            .Select(alias => (alias.Pattern, Target(alias)!)).Where(pair => pair.Item2 is not null),
    ];

    /// <summary>The aliases that lead to no model.</summary>
    public IReadOnlyList<ModelAlias> LostAliases => [.. _aliases.Where(alias => Target(alias) is null)];

    /// <summary>The first alias of this name that is for the only model that matches, where several do, with those; else null.</summary>
    public (ModelAlias Alias, IReadOnlyList<ModelEntry> Models)? AmbiguousAlias(string name)
    {
        foreach (var alias in _aliases.Where(alias => alias.IsForTheOnlyOne))
        {
            if (Wildcard.Matches(UnicodeComposition.Of(alias.Pattern), UnicodeComposition.Of(name))
                && MatchesOf(alias) is { Count: > 1 } several)
            {
                return (alias, several);
            }
        }
        return null;
    }

    // Which one is the only one is known after a scan. Where nobody has put one here, none answers.
    private List<ModelEntry> MatchesOf(ModelAlias alias) => ReferenceEquals(Scan, ScanResult.Empty)
        ? []
        : [.. Entries.Where(entry => entry.WhyUnloadable is null && entry.Name != DemoModel
            && Wildcard.Matches(UnicodeComposition.Of(alias.Target), UnicodeComposition.Of(entry.Name)))];

    private ModelEntry? Target(ModelAlias alias) => alias.IsForTheOnlyOne ? MatchesOf(alias) is [var only] ? only : null
        : NameSpelling.Of(alias.Target).Select(name => _byName.GetValueOrDefault(name) ?? ByOtherName(name))
            .FirstOrDefault(entry => entry is not null)
        ?? Entries.FirstOrDefault(entry => entry.Path == alias.Target);
}
