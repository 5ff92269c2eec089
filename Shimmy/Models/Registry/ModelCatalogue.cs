using Shimmy.Models.Discovery;

namespace Shimmy.Models.Registry;

/// <summary>The models known at one moment, with the names and aliases that find them. Never changes.</summary>
internal sealed class ModelCatalogue
{
    private readonly Dictionary<string, ModelEntry> _byName = new(StringComparer.OrdinalIgnoreCase);

    // A name that two models claim finds neither: nothing is answered by another model than the one that was meant.
    private readonly Dictionary<string, ModelEntry?> _byOtherName = new(StringComparer.OrdinalIgnoreCase);
    private readonly IReadOnlyList<ModelAlias> _aliases;

    /// <param name="registered">Models registered by hand; of two with one name the first counts.</param>
    /// <param name="aliases">Aliases; of two that match the first counts.</param>
    /// <param name="scan">The scan that found the others.</param>
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
                {
                    _byOtherName[name] = null;
                }
            }
        }

        Entries = entries;
    }

    /// <summary>The scan that found the discovered models.</summary>
    public ScanResult Scan { get; }

    /// <summary>All models: registered ones first. A discovered model whose file is registered is not listed again.</summary>
    public IReadOnlyList<ModelEntry> Entries { get; }

    /// <summary>How many of them are registered by hand.</summary>
    public int RegisteredCount { get; }

    /// <summary>
    /// The model of this name, whatever its case: by its own name, then by an alias without wildcards, then by another name
    /// that is no other model's too, then by the first alias with wildcards that matches. Null where there is none.
    /// </summary>
    public ModelEntry? Find(string name) =>
        _byName.GetValueOrDefault(name)
        ?? ByAlias(alias => string.Equals(alias.Pattern, name, StringComparison.OrdinalIgnoreCase))
        ?? _byOtherName.GetValueOrDefault(name)
        ?? ByAlias(alias => Wildcard.Is(alias.Pattern) && Wildcard.Matches(alias.Pattern, name));

    // An alias leads to a model, never to another alias, so that no chain of them can loop. One without its model is passed by.
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
