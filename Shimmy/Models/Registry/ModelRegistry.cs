using Shimmy.Models.Discovery;

namespace Shimmy.Models.Registry;

/// <summary>
/// The models that requests can name: registered by the user, and discovered by scans. A registered model hides a discovered one of the
/// same name or file. Thread-safe; reading takes no lock, since each change replaces the immutable catalogue.
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

    /// <summary>Number of registered models.</summary>
    public int RegisteredCount => _catalogue.RegisteredCount;

    /// <summary>The model that answers where a request names none: the first one that the user registered; null where none is.</summary>
    public ModelEntry? Default => _catalogue is { RegisteredCount: > 0 } catalogue ? catalogue.Entries[0] : null;

    /// <summary>Number of discovered models, without those whose file is registered.</summary>
    public int DiscoveredCount
    {
        get
        {
            var catalogue = _catalogue;
            return catalogue.Entries.Count - catalogue.RegisteredCount;
        }
    }

    /// <summary>The result of the last scan, with the files it skipped.</summary>
    public ScanResult LastScan => _catalogue.Scan;

    /// <summary>Finds a model by name or alias, without waiting for a scan; null where there is none.</summary>
    public ModelEntry? Find(string name) => _catalogue.Find(name);

    /// <summary>
    /// Finds a model by name or alias. If the name is unknown and a scan is in progress, waits for the scan. Null where there is none.
    /// </summary>
    public async ValueTask<ModelEntry?> FindAsync(string name, CancellationToken cancellation = default)
    {
        if (Find(name) is { } known)
            return known;

        Task<int>? scan;
        lock (_lock)
        {
            scan = _running;
        }

        if (scan is not null)
        {
            // RefreshAsync reports a failed scan to its caller; here it only means that no new model was found.
            await ((Task)scan).WaitAsync(cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            cancellation.ThrowIfCancellationRequested();
        }

        return Find(name);
    }

    /// <summary>Up to <paramref name="count"/> names of models that resemble an unknown name, the closest first, for error texts.</summary>
    public IReadOnlyList<string> ClosestNames(string name, int count = 3) =>
        NameSuggestions.Of(name, Entries.Select(entry => entry.Name), count);

    /// <summary>
    /// The end of an error text for an unknown name: why its file was skipped, if a scan saw one, or else the closest names.
    /// </summary>
    public string ExplainUnknown(string name)
    {
        if (LastScan.Skipped.FirstOrDefault(file => IsCalled(file, name)) is { } file)
            return $"{Path.GetFileName(file.Path)} was skipped: {file.Reason}";
        var close = ClosestNames(name);
        return close.Count == 0 ? "no models were found" : $"the closest names are {string.Join(", ", close)}";

        static bool IsCalled(SkippedFile file, string name) =>
            string.Equals(Path.GetFileNameWithoutExtension(file.Path), name, StringComparison.OrdinalIgnoreCase)
            || string.Equals(Path.GetFileName(file.Path), name, StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>
    /// Registers a model, or replaces the one registered before with the same name. Takes precedence over the configuration file.
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

    /// <summary>Adds an alias, which takes precedence over those of the configuration file.</summary>
    public void AddAlias(ModelAlias alias)
    {
        lock (_lock)
        {
            _aliases = [.. _aliases, alias];
            Renew(_catalogue.Scan);
        }
    }

    /// <summary>Replaces the models and aliases of the configuration file.</summary>
    public void SetConfigured(IReadOnlyList<ModelEntry> models, IReadOnlyList<ModelAlias> aliases)
    {
        lock (_lock)
        {
            _configured = ([.. models.Select(entry => entry with { Source = ModelSource.Registered })], aliases);
            Renew(_catalogue.Scan);
        }
    }

    /// <summary>
    /// Scans all sources on a pool thread and returns the number of discovered models. A call during a scan waits for one more scan, which
    /// all such calls share, so that it finds every file that was on disk before the call.
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
