using System.Diagnostics;
using Shimmy.Models.Discovery;

namespace Shimmy.Models.Registry;

/// <summary>
/// The models that requests can name: registered by the user, and discovered by scans. A registered model hides a discovered one of the
/// same name or file. Thread-safe; reading takes no lock, since each change replaces the immutable catalogue.
/// </summary>
/// <param name="discovery">Finds models.</param>
/// <param name="again">Looks again at a registered model that could not be used; null leaves it as it is.</param>
/// <param name="readsMedia">
/// Whether the runtime that a model would be loaded with reads media, so that it sees and hears as its projector says; null: each does.
/// </param>
internal sealed class ModelRegistry(
    ModelDiscovery discovery, Func<ModelEntry, ModelEntry>? again = null, Func<ModelEntry, bool>? readsMedia = null)
{
    private const int ScansAtOnce = 10;
    private const int ScanShare = 10;
    private const int MostCopies = 1000;
    private const int ShownNames = 8;

    private readonly Lock _lock = new();
    private ModelEntry[] _byHand = [];
    private ModelAlias[] _aliases = [];
    private ModelAlias[] _copies = [];
    private (IReadOnlyList<ModelEntry> Models, IReadOnlyList<ModelAlias> Aliases) _configured = ([], []);
    private volatile ModelCatalogue _catalogue = new([], [], ScanResult.Empty);
    private double _spent;
    private long _spentAt = Stopwatch.GetTimestamp();
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

    /// <summary>The aliases without wildcards, with their models.</summary>
    public IReadOnlyList<(string Name, ModelEntry Entry)> PlainAliases => _catalogue.PlainAliases;

    /// <summary>The aliases that lead to no model.</summary>
    public IReadOnlyList<ModelAlias> LostAliases => _catalogue.LostAliases;

    /// <summary>The result of the last scan, with the files it skipped.</summary>
    public ScanResult LastScan => _catalogue.Scan;

    /// <summary>Finds a model by name or alias, without waiting for a scan; null where there is none.</summary>
    public ModelEntry? Find(string name) => _catalogue.Find(name);

    /// <summary>Whether the first scan is under way, so that the models are not all known.</summary>
    public bool IsFirstScan => _running is not null && ReferenceEquals(LastScan, ScanResult.Empty);

    /// <summary>Waits for the first scan, where that is under way: for listings, which would be empty before.</summary>
    /// <param name="cancellation">Ends the wait.</param>
    public async Task ScannedAsync(CancellationToken cancellation)
    {
        if (IsFirstScan && _running is { } scan)
            await ((Task)scan).WaitAsync(cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        cancellation.ThrowIfCancellationRequested();
    }

    /// <summary>
    /// Finds a model by name or alias. If the name is unknown, waits for the scan that is in progress, and scans again: the file may have
    /// been copied since. Null where there is none.
    /// </summary>
    public async ValueTask<ModelEntry?> FindAsync(string name, CancellationToken cancellation = default)
    {
        if (Find(name) is { WhyUnloadable: null } known)
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

        if (Find(name) is var found && (found is { WhyUnloadable: null } || ReferenceEquals(LastScan, ScanResult.Empty) || !MayScanAgain()))
            return found;
        await ((Task)RefreshAsync(cancellation)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        cancellation.ThrowIfCancellationRequested();
        return Find(name);
    }

    /// <summary>Looks at the disks again, unless that was asked for too often: then nothing is done.</summary>
    public Task RefreshIfRareAsync(CancellationToken cancellation) => MayScanAgain() ? RefreshAsync(cancellation) : Task.CompletedTask;

    // Some scans at once, and in the long run a tenth of the time: who asks for names that do not exist shall not keep the disk busy.
    private bool MayScanAgain()
    {
        lock (_lock)
        {
            var cost = Math.Max(1, LastScan.Elapsed.TotalMilliseconds) * ScanShare;
            _spent = Math.Max(0, _spent - Stopwatch.GetElapsedTime(_spentAt).TotalMilliseconds);
            _spentAt = Stopwatch.GetTimestamp();
            if (_spent > cost * (ScansAtOnce - 1))
                return false;
            _spent += cost;
            return true;
        }
    }

    /// <summary>Up to <paramref name="count"/> names of models that resemble an unknown name, the closest first, for error texts.</summary>
    public IReadOnlyList<string> ClosestNames(string name, int count = 3) =>
        NameSuggestions.Of(name, Entries.Select(entry => entry.Name), count);

    /// <summary>The names of models for a message: the first few, and how many there are beside them.</summary>
    public static string NamesOf(IReadOnlyList<ModelEntry> models) => string.Join(", ", models.Take(ShownNames).Select(entry => entry.Name))
        + (models.Count > ShownNames ? $" and {models.Count - ShownNames} more" : "");

    /// <summary>
    /// The end of an error text for an unknown name: why its file was skipped, if a scan saw one, or else the closest names.
    /// </summary>
    public string ExplainUnknown(string name)
    {
        if (_catalogue.Ambiguous(name) is [_, ..] several)
            return $"several models have that name: {string.Join(", ", several.Select(entry => entry.Name))}";
        if (_catalogue.AmbiguousAlias(name) is (var alias, var models))
        {
            return $"the alias '{alias.Pattern}={alias.Target}' is for one model, and there are {models.Count}: "
                + NamesOf(models);
        }
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

    /// <summary>Registers a model that was named by its path, unless its name leads to that file already.</summary>
    public void RegisterIfNew(ModelEntry entry)
    {
        if (Find(entry.Name)?.Path != entry.Path)
            Register(entry);
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

    /// <summary>
    /// Gives a model a further name until the server ends: Ollama's copy, which costs nothing here. It takes precedence over other aliases;
    /// false where a model or an alias has the name itself, and for the thousandth.
    /// </summary>
    public bool AddCopy(string name, ModelEntry entry)
    {
        lock (_lock)
        {
            // What a client copies never changes what a name of the server's own means.
            if (Entries.Any(other => string.Equals(other.Name, name, StringComparison.OrdinalIgnoreCase))
                || _aliases.Concat(_configured.Aliases).Any(alias => Wildcard.Matches(alias.Pattern, name)) || _copies.Length >= MostCopies)
            {
                return false;
            }
            _copies = [new ModelAlias(name, entry.Name), .. _copies.Where(copy => !IsCopy(copy, name))];
            Renew(_catalogue.Scan);
            return true;
        }
    }

    /// <summary>Takes back a name of <see cref="AddCopy"/>; false where there is none.</summary>
    public bool RemoveCopy(string name)
    {
        lock (_lock)
        {
            var rest = Array.FindAll(_copies, copy => !IsCopy(copy, name));
            if (rest.Length == _copies.Length)
                return false;
            _copies = rest;
            Renew(_catalogue.Scan);
            return true;
        }
    }

    private static bool IsCopy(ModelAlias copy, string name) => string.Equals(copy.Pattern, name, StringComparison.OrdinalIgnoreCase);

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
            result = result with { Models = [.. result.Models.Select(AsLoaded)] };
            lock (_lock)
            {
                if (again is not null)
                {
                    _byHand = [.. _byHand.Select(LookAgain)];
                    _configured = ([.. _configured.Models.Select(LookAgain)], _configured.Aliases);
                }

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

    private ModelEntry LookAgain(ModelEntry entry) => entry.WhyUnloadable is null ? entry : again!(entry);

    private void Renew(ScanResult scan) => _catalogue = new ModelCatalogue(_byHand.Concat(_configured.Models).Select(AsLoaded),
        [.. _copies, .. _aliases, .. _configured.Aliases], scan);

    // What a model can do is what it will do once it is loaded.
    private ModelEntry AsLoaded(ModelEntry entry) => (entry.Sees || entry.Hears) && readsMedia?.Invoke(entry) == false
        ? entry with { Sees = false, Hears = false }
        : entry;
}
