using Shimmy.Models.Discovery;

namespace Shimmy.Models.Registry;

/// <summary>An immutable snapshot of the registry: all models, with the names and aliases that find them.</summary>
internal sealed class ModelCatalogue
{
    private readonly Dictionary<string, ModelEntry> _byName = new(StringComparer.OrdinalIgnoreCase);

    // Null: two models claim the name, so it finds neither, rather than perhaps the wrong one.
    private readonly Dictionary<string, ModelEntry?> _byOtherName = new(StringComparer.OrdinalIgnoreCase);
    private readonly IReadOnlyList<ModelAlias> _aliases;

    /// <param name="registered">Models registered by the user; of two with the same name the first counts.</param>
    /// <param name="aliases">Aliases; of two that match the first counts.</param>
    /// <param name="scan">The scan that found the discovered models.</param>
    public ModelCatalogue(IEnumerable<ModelEntry> registered, IReadOnlyList<ModelAlias> aliases, ScanResult scan)
    {
        _aliases = aliases;
        Scan = scan;
        var entries = registered.Where(entry => _byName.TryAdd(entry.Name, entry)).ToList();
        RegisteredCount = entries.Count;
        var files = entries.Select(entry => entry.Path).ToHashSet(StringComparer.Ordinal);
        foreach (var entry in scan.Models.Where(entry => !files.Contains(entry.Path)))
        {
            var name = ModelNames.Possible(entry).First(name => !_byName.ContainsKey(name));
            var named = name == entry.Name ? entry : entry with { Name = name };
            _byName.Add(name, named);
            entries.Add(named);
        }

        foreach (var entry in entries)
        {
            foreach (var name in entry.OtherNames)
            {
                if (!_byOtherName.TryAdd(name, entry) && _byOtherName[name] != entry)
                    _byOtherName[name] = null;
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
    /// Finds a model; case is ignored. The name is looked up, in this order, among the models' names, the aliases without wildcards, the
    /// further names that only one model has, and the aliases with wildcards, of which the first match counts. Null where nothing matches.
    /// </summary>
    public ModelEntry? Find(string name) =>
        _byName.GetValueOrDefault(name)
        ?? ByAlias(alias => string.Equals(alias.Pattern, name, StringComparison.OrdinalIgnoreCase))
        ?? _byOtherName.GetValueOrDefault(name)
        ?? ByAlias(alias => Wildcard.Is(alias.Pattern) && Wildcard.Matches(alias.Pattern, name));

    // An alias leads to a model, never to another alias, so aliases cannot loop. An alias whose model does not exist is skipped.
    private ModelEntry? ByAlias(Func<ModelAlias, bool> matches)
    {
        foreach (var alias in _aliases)
        {
            if (matches(alias)
                && (_byName.GetValueOrDefault(alias.Target) ?? _byOtherName.GetValueOrDefault(alias.Target)) is { } entry)
            {
                return entry;
            }
        }

        return null;
    }
}
