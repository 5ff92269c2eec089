using Shimmy.Models.Discovery;

namespace Shimmy.Models.Registry;

/// <summary>
/// All models that can be asked for: registered by hand, and found by scans. What was registered by hand beats what was found.
/// Reading takes no lock: each change puts a new catalogue in place of the old one.
/// </summary>
internal sealed class ModelRegistry(ModelDiscovery discovery)
{
    private readonly Lock _lock = new();
    private ModelEntry[] _byHand = [];
    private ModelAlias[] _aliases = [];
    private (IReadOnlyList<ModelEntry> Models, IReadOnlyList<ModelAlias> Aliases) _configured = ([], []);
    private volatile ModelCatalogue _catalogue = new([], [], ScanResult.Empty);
    private Task<int>? _running;
    private Task<int>? _next;

    /// <summary>Registered models in the order of registration, then discovered ones in the order of the search.</summary>
    public IReadOnlyList<ModelEntry> Entries => _catalogue.Entries;

    /// <summary>Number of models registered by hand.</summary>
    public int RegisteredCount => _catalogue.RegisteredCount;

    /// <summary>Number of models found by the last scan, those hidden by a registered one of the same file left out.</summary>
    public int DiscoveredCount
    {
        get
        {
            var catalogue = _catalogue;
            return catalogue.Entries.Count - catalogue.RegisteredCount;
        }
    }

    /// <summary>What the last scan gave, with what it skipped.</summary>
    public ScanResult LastScan => _catalogue.Scan;

    /// <summary>The model of this name among those known now; null where there is none.</summary>
    public ModelEntry? Find(string name) => _catalogue.Find(name);

    /// <summary>
    /// The model of this name; where it is not known and a scan is under way, the answer waits for the scan. Null where there
    /// is none.
    /// </summary>
    public async ValueTask<ModelEntry?> FindAsync(string name, CancellationToken cancellation = default)
    {
        if (Find(name) is { } known)
        {
            return known;
        }

        Task<int>? scan;
        lock (_lock)
        {
            scan = _running;
        }

        if (scan is not null)
        {
            // Its failure belongs to who asked for the scan; here it only means that nothing new is known.
            await ((Task)scan).WaitAsync(cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            cancellation.ThrowIfCancellationRequested();
        }

        return Find(name);
    }

    /// <summary>The names most like this one, nearest first: for messages about a name that is unknown.</summary>
    public IReadOnlyList<string> ClosestNames(string name, int count = 3) =>
        NameSuggestions.Of(name, Entries.Select(entry => entry.Name), count);

    /// <summary>
    /// Why a name is unknown, as the end of a sentence: its file was passed by and for what reason, or else what it may have been meant to be.
    /// </summary>
    public string ExplainUnknown(string name)
    {
        if (LastScan.Skipped.FirstOrDefault(file => IsCalled(file, name)) is { } file)
            return $"{Path.GetFileName(file.Path)} was passed by: {file.Reason}";
        var close = ClosestNames(name);
        return close.Count == 0 ? "no models were found" : $"the closest names are {string.Join(", ", close)}";

        static bool IsCalled(SkippedFile file, string name) =>
            string.Equals(Path.GetFileNameWithoutExtension(file.Path), name, StringComparison.OrdinalIgnoreCase)
            || string.Equals(Path.GetFileName(file.Path), name, StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>
    /// Adds a model by hand, or replaces the one of the same name that was added before. Beats the config file.
    /// </summary>
    public void Register(ModelEntry entry)
    {
        lock (_lock)
        {
            var others = _byHand.Where(other => !string.Equals(other.Name, entry.Name, StringComparison.OrdinalIgnoreCase));
            _byHand = [.. others, entry with { Source = ModelSource.Registered }];
            Renew(_catalogue.Scan);
        }
    }

    /// <summary>Adds an alias by hand. Comes before those of the config file.</summary>
    public void AddAlias(ModelAlias alias)
    {
        lock (_lock)
        {
            _aliases = [.. _aliases, alias];
            Renew(_catalogue.Scan);
        }
    }

    /// <summary>Puts the models and aliases of the config file in place of those that it brought before.</summary>
    public void SetConfigured(IReadOnlyList<ModelEntry> models, IReadOnlyList<ModelAlias> aliases)
    {
        lock (_lock)
        {
            _configured = ([.. models.Select(entry => entry with { Source = ModelSource.Registered })], aliases);
            Renew(_catalogue.Scan);
        }
    }

    /// <summary>
    /// Scans all places again, off this thread, and gives the number of discovered models. A call during a scan waits for that
    /// one and then for a new one, which all such calls share, so that what was on disk before the call is found.
    /// </summary>
    public Task<int> RefreshAsync(CancellationToken cancellation = default)
    {
        Task<int> scan;
        lock (_lock)
        {
            scan = _running is null ? _running = Task.Run(Scan, CancellationToken.None) : _next ??= ScanAfter(_running);
        }

        return scan.WaitAsync(cancellation);
    }

    private async Task<int> ScanAfter(Task<int> running)
    {
        await ((Task)running).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ForceYielding);
        return await Task.Run(Scan, CancellationToken.None).ConfigureAwait(false);
    }

    private int Scan()
    {
        try
        {
            var result = discovery.Scan(CancellationToken.None);
            lock (_lock)
            {
                Renew(result);
                return DiscoveredCount;
            }
        }
        finally
        {
            lock (_lock)
            {
                (_running, _next) = (_next, null);
            }
        }
    }

    private void Renew(ScanResult scan) =>
        _catalogue = new ModelCatalogue(_byHand.Concat(_configured.Models), [.. _aliases, .. _configured.Aliases], scan);
}
