using Shimmy.Models.Discovery;

namespace Shimmy.Models;

/// <summary>The models known at one moment, with the names that find them. Never changes.</summary>
internal sealed class ModelCatalogue
{
    private readonly Dictionary<string, ModelEntry> _byName = new(StringComparer.OrdinalIgnoreCase);

    public ModelCatalogue(IReadOnlyList<ModelEntry> registered, ScanResult scan)
    {
        Registered = registered;
        Scan = scan;
        var files = registered.Select(entry => entry.Path).ToHashSet(StringComparer.Ordinal);
        var entries = new List<ModelEntry>(registered);
        foreach (var entry in registered)
        {
            _byName.TryAdd(entry.Name, entry);
        }

        foreach (var entry in scan.Models.Where(entry => !files.Contains(entry.Path)))
        {
            var named = _byName.ContainsKey(entry.Name) ? entry with { Name = $"{entry.Origin}/{entry.Name}" } : entry;
            if (_byName.TryAdd(named.Name, named))
            {
                entries.Add(named);
            }
        }

        foreach (var entry in entries)
        {
            foreach (string name in entry.OtherNames)
            {
                _byName.TryAdd(name, entry);
            }
        }

        Entries = entries;
    }

    /// <summary>Models registered by hand.</summary>
    public IReadOnlyList<ModelEntry> Registered { get; }

    /// <summary>The scan that found the others.</summary>
    public ScanResult Scan { get; }

    /// <summary>All models: registered ones first. A discovered model whose file is registered is not listed again.</summary>
    public IReadOnlyList<ModelEntry> Entries { get; }

    /// <summary>The model of this name, whatever its case; null where there is none.</summary>
    public ModelEntry? Find(string name) => _byName.GetValueOrDefault(name);
}
