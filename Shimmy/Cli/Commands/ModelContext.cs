using Microsoft.Extensions.Logging;
using Shimmy.Cli.Options;
using Shimmy.Cli.Terminal;
using Shimmy.Engine;
using Shimmy.Engine.Memory;
using Shimmy.Engine.Runtimes;
using Shimmy.Engine.Workers;
using Shimmy.Gguf;
using Shimmy.Models;
using Shimmy.Models.Configuration;
using Shimmy.Models.Discovery;
using Shimmy.Models.Pull;
using Shimmy.Models.Registry;
using Shimmy.SafeTensors;

namespace Shimmy.Cli.Commands;

/// <summary>The models that a command can reach by name, and how it loads one.</summary>
internal sealed class ModelContext
{
    private readonly CommandOptions _options;

    private ModelContext(CommandOptions options, HostEnvironment host)
    {
        _options = options;
        Host = host;
        ConfigFile = host.Value(ModelConfigWatch.Variable);
        // llama-server knows the model that it is given, and no other.
        Discovery =
            new ModelDiscovery(options.Given is { Path: not null }
                ? []
                : SearchOrder.Sources(host, options.ModelDirs), new ScanCache(ScanCache.DefaultPath(host)),
            options.Projector);
        Registry = new ModelRegistry(Discovery, RegisteredModels.Again,
            entry => SpecAlone(entry) is { Projector: not null } spec && RuntimeChoice.ReadsMedia(spec));
        Conversions =
            new ConversionCache(options.ConvertCache ?? Host.Join(Host.CacheFolder(), "shimmy", "converted"),
                options.ConvertType)
            { Quantizer = QuantizingWorker.Start };
        MemoryBudget = BudgetOf(null);
    }

    /// <summary>The models that are registered by hand and, after a scan, those found.</summary>
    public ModelRegistry Registry { get; }

    /// <summary>The search for models.</summary>
    public ModelDiscovery Discovery { get; }

    /// <summary>Folders and variables that the search begins at.</summary>
    public HostEnvironment Host { get; }

    /// <summary>The configuration file that SHIMMY_CONFIG names; null where it is not set.</summary>
    public string? ConfigFile { get; }

    /// <summary>The cache of converted Hugging Face folders.</summary>
    public ConversionCache Conversions { get; }

    /// <summary>Bytes that all loaded models together may need of the machine's memory.</summary>
    public long MemoryBudget { get; private set; }

    /// <summary>
    /// Registers the models of SHIMMY_BASE_GGUF, of the configuration file and of <c>--model-path</c>; scans nothing yet. Throws
    /// <see cref="CommandException"/> where such a file is missing or wrong.
    /// </summary>
    public static ModelContext Create(CommandOptions options)
    {
        CheckRuntime(options);
        var models = new ModelContext(options, HostEnvironment.Current());
        models.ReadConfig();
        if (options.Given is { } given)
        {
            if (given.Path is { } only)
                models.Give(Open("--model", only));
            return models;
        }
        if (models.Host.Value(SearchOrder.BaseGguf) is { } file)
        {
            Open(SearchOrder.BaseGguf, file);
            var based = RegisteredModels.FromEnvironment(models.Host)!;
            models.Registry.Register(based.WhyUnloadable is { } reason
                ? throw new CommandException(ExitCode.Failed, $"{RegisteredModels.LoraGguf}: {reason}")
                : models.WithProjector(based));
        }
        if (options.ModelPath is { } path)
            models.Registry.Register(models.WithProjector(Open("--model-path", path)));
        foreach (var alias in options.Aliases)
            models.Registry.AddAlias(alias);
        return models;
    }

    /// <summary>
    /// Registers the model of <c>llama-server</c> that a repository names, once the caches were searched. Throws
    /// <see cref="CommandException"/> where they have no such file.
    /// </summary>
    public void RegisterFromCaches()
    {
        if (_options.Given is not { Repository: { } repository } given)
            return;
        var wanted = given.File is null ? repository : repository.Split(':')[0] + "/" + given.File;
        var found = Registry.Find(repository) ?? Registry.Entries.FirstOrDefault(entry => given.File is not null
            && entry.Path.EndsWith(given.File.Replace('/', Path.DirectorySeparatorChar), StringComparison.Ordinal)
            && IsOf(entry.Path, repository.Split(':')[0]))
            ?? (given.File is null ? Registry.Entries.FirstOrDefault(entry => IsOf(entry.Path, repository.Split(':')[0])) : null);
        Give(found ?? throw new CommandException(ExitCode.Failed,
            $"--hf-repo: no cache on this machine has {wanted}; nothing is downloaded here: bring the file, or name it with --model"));

        // Of Hugging Face's cache and of llama.cpp's.
        static bool IsOf(string path, string repository) =>
            path.Contains("models--" + repository.Replace("/", "--", StringComparison.Ordinal), StringComparison.OrdinalIgnoreCase)
            || Path.GetFileName(path).StartsWith(repository.Replace('/', '_') + "_", StringComparison.OrdinalIgnoreCase);
    }

    private void Give(ModelEntry entry) =>
        Registry.Register(WithProjector(entry with { Name = _options.Given!.Name ?? Path.GetFileName(entry.Path) }));

    private static void CheckRuntime(CommandOptions options)
    {
        try
        {
            if (options.Tuning.Runtime is { } runtime)
                RuntimeChoice.Named(runtime);
        }
        catch (EngineException e)
        {
            throw new UsageException($"--runtime: {e.Message}");
        }
    }

    /// <summary>How to load a model: the command line wins over the environment, which wins over the config file.</summary>
    public ModelSpec SpecOf(ModelEntry entry) => _options.Given is { } given ? SpecOf(entry, given) : SpecAlone(entry);

    // As llama-server splits its context: of a number of slots that is asked for each has its share.
    private ModelSpec SpecOf(ModelEntry entry, GivenModel given)
    {
        var alone = SpecAlone(entry);
        // What the configuration file says of a model is said of one of several.
        var all = given.Context > 0 ? given.Context
            : given.IsNone && alone.ContextLength > 0 ? alone.ContextLength : entry.ContextLength;
        var one = given.Splits ? Math.Max(1, all / _options.Parallel) : all;
        return alone with
        {
            ContextLength = one,
            Cells = given.Splits ? one * _options.Parallel : all,
            BatchSize = given.BatchSize,
            Defaults = given.IsNone ? given.Defaults.Over(alone.Defaults) : given.Defaults,
        };
    }

    private ModelSpec SpecAlone(ModelEntry entry) => new()
    {
        Name = entry.Name,
        Path = entry.Path,
        ContextLength = _options.ContextLength ?? entry.Settings.ContextLength ?? 0,
        Parallel = _options.Parallel,
        Queue = _options.Queue,
        Threads = _options.Threads ?? entry.Settings.Threads ?? 0,
        Tuning = _options.Tuning.Over(entry.Settings.Tuning),
        Template = _options.Template ?? entry.Settings.Template,
        Loras = Loras(entry),
        Draft = _options.Draft,
        Projector = _options.Projector == ModelSettings.NoProjector ? null : entry.Projector,
        // One that was chosen for all models leaves those it does not fit with what was found.
        ProjectorIsFound = entry.Projector != _options.Projector && entry.Projector != entry.Settings.Projector,
        MediaCacheBytes = _options.MediaCacheBytes,
        PrefixMemoryBytes = _options.PrefixMemoryBytes,
        ShareAmongClients = _options.ShareAmongClients,
        PrefixStore = _options.PrefixStore,
        PrefixStoreBytes = _options.PrefixStoreBytes,
        Speculate = _options.Speculate,
        ReportsCells = _options.KvEvents is not null,
        Defaults = entry.Settings.Defaults,
    };

    // Where one model is loaded or named, a projector that does not fit it is an error of the load; where many are served, it is for those
    // it fits.
    private string? ProjectorOf(ModelEntry entry) => _options.Projector switch
    {
        null => entry.Projector,
        ModelSettings.NoProjector => null,
        var path => path,
    };

    // Adapters found beside a model have strength 0: they act only where a request chooses them.
    private LoraSetting[] Loras(ModelEntry entry)
    {
        var chosen = _options.Loras.Count > 0 ? _options.Loras : entry.Settings.Loras;
        var found = entry.Adapters.Except(chosen.Select(lora => lora.Path)).Select(path => new LoraSetting(path, 0, Found: true));
        return [.. chosen, .. found];
    }

    /// <summary>
    /// Follows the config file from now on, where there is one; <paramref name="budget"/> gets the memory budget at each change. Dispose
    /// the answer to end it.
    /// </summary>
    public ModelConfigWatch? WatchConfig(Action<string> report, Action<long> budget) => ConfigFile is null ? null : ModelConfigWatch.Start(
        ConfigFile, Registry, Host, TimeProvider.System, report, config => budget(BudgetOf(config)));

    // The option wins over the configuration file.
    private long BudgetOf(ModelConfig? config) => _options.MemoryBudget ?? config?.MemoryBudget ?? MemoryEstimate.DefaultBudget;

    /// <summary>
    /// What cannot be used of what the user has set up, and how many files were skipped: a line each, for the log.
    /// </summary>
    public IEnumerable<string> SetupWarnings()
    {
        var skipped = Registry.LastScan.Skipped;
        foreach (var folder in skipped.Where(file => file.IsFolder))
            yield return $"folder {folder.Path}: {folder.Reason}";
        foreach (var entry in Registry.Entries.Where(entry => entry is { Source: ModelSource.Registered, WhyUnloadable: not null }))
            yield return $"model '{entry.Name}' cannot be used: {entry.WhyUnloadable}";
        foreach (var alias in Registry.LostAliases)
        {
            yield return $"alias '{alias.Pattern}' leads to '{alias.Target}', which is no model here; "
                + Registry.ExplainUnknown(alias.IsForTheOnlyOne ? alias.Pattern : alias.Target);
        }

        var files = skipped.Where(file => !file.IsFolder && !AdapterPairing.IsPart(file)).ToList();
        if (files.Count > 0)
        {
            yield return $"{files.Count} {(files.Count == 1 ? "file was" : "files were")} skipped, such as {files[0].Path}: {files[0].Reason}; "
                + "shimmy discover shows all";
        }
    }

    /// <summary>The puller of models, as the options say.</summary>
    public Puller PullerOf(CommandOptions options) => new(new PullOptions
    {
        Host = Host,
        Offline = options.Offline,
        To = options.PullTo,
        MemoryBudget = MemoryBudget,
    });

    /// <summary>Scans for models, with a line of progress.</summary>
    public async Task ScanAsync(CancellationToken cancellation)
    {
        Printer.Progress("looking for models");
        try
        {
            await Registry.RefreshAsync(cancellation);
        }
        finally
        {
            Printer.ClearProgress();
        }
    }

    /// <summary>
    /// Loads the model of this name or path, with a line of progress. Throws <see cref="CommandException"/> where
    /// there is none, <see cref="EngineException"/> where it cannot be loaded.
    /// </summary>
    public async Task<ILoadedModel> LoadAsync(string? name, ILoggerFactory loggers, CancellationToken cancellation)
    {
        var entry = string.IsNullOrEmpty(name) ? await OnlyAsync("NAME", cancellation) : await FindAsync(name, cancellation);
        entry.CheckLoadable();
        entry = entry with { Projector = ProjectorOf(entry) };
        var spec = SpecOf(entry);
        var headers = new HeaderCache();
        // Before a folder is converted or a worker reads gigabytes of weights.
        if (spec.WhyUnfit(headers.Read) is { } unfit)
            throw new EngineException(EngineFailure.LoadFailed, unfit);
        var engine = new WorkerEngine(loggers, conversions: Conversions);
        // Finding out which GPUs there are starts a process: only where GPUs decide whether the model fits.
        if (MemoryEstimate.Of(spec, entry.SizeBytes, headers: headers).Total > MemoryBudget)
        {
            var memory = new HostMemory(new BackendProbe(engine.ReportBackendsAsync));
            var need = await memory.NeedOfAsync(spec, entry.SizeBytes, MemoryBudget, cancellation);
            if (need.Bytes > MemoryBudget)
                throw new EngineException(EngineFailure.LoadFailed, need.WhyTooLarge(entry.Name, MemoryBudget));
            spec = need.Spec;
        }

        try
        {
            return await engine.LoadAsync(spec, new LoadProgress(entry.Name, Conversions.StateOf(entry.Path) is { Done: false }),
                cancellation);
        }
        finally
        {
            Printer.ClearProgress();
        }
    }

    /// <summary>
    /// The model that is meant where none is named: the first that the user registered, else the only one that can be loaded; the demo
    /// model counts where there is no other. Throws <see cref="UsageException"/>, naming <paramref name="source"/>, where there are
    /// several.
    /// </summary>
    public async Task<ModelEntry> OnlyAsync(string source, CancellationToken cancellation)
    {
        if (Registry.Default is { } registered)
            return registered;
        await ScanAsync(cancellation);
        var entries = Choice(Registry.Entries);
        return entries switch
        {
            [var only] => only,
            [] => throw new CommandException(ExitCode.Failed,
                $"{source} is missing, and no models were found (shimmy discover says where they are looked for)"),
            _ => throw new UsageException($"{source} is missing, and there are several models: {ModelRegistry.NamesOf(entries)}"),
        };
    }

    /// <summary>The models among which a user chooses: those that can be loaded, the demo model only where there is no other.</summary>
    public static IReadOnlyList<ModelEntry> Choice(IReadOnlyList<ModelEntry> entries) =>
        Choice([.. entries.Where(entry => entry.WhyUnloadable is null)], entry => entry.Name);

    /// <summary>The same of models that are known by another server's answer.</summary>
    public static IReadOnlyList<T> Choice<T>(IReadOnlyList<T> loadable, Func<T, string> nameOf)
    {
        var own = loadable.Where(model => nameOf(model) != ModelCatalogue.DemoModel).ToList();
        return own.Count > 0 ? own : loadable;
    }

    /// <summary>The model of this name or path. Throws <see cref="CommandException"/> where there is none.</summary>
    public async Task<ModelEntry> FindAsync(string name, CancellationToken cancellation)
    {
        if (SingleFile.IsPath(name))
            return WithProjector(Open(name, name));
        if (Registry.Find(name) is { } registered)
            return registered;
        await ScanAsync(cancellation);
        if (Registry.Find(name) is { } found)
            return found;
        if (File.Exists(name))
            throw new CommandException(ExitCode.CannotLoad, $"'{name}' is not a .gguf file");
        throw new CommandException(ExitCode.Failed, $"unknown model '{name}'; {Registry.ExplainUnknown(name)}{PullName.Hint(name)}"
            + (Registry.Entries.Count == 0 ? " (shimmy discover says where models are looked for)" : ""));
    }

    // One that does not fit is refused by the load: a model that is marked as unloadable would give its name to what discovery has found.
    private ModelEntry WithProjector(ModelEntry entry) => AdapterPairing.WithChosen(entry, _options.Projector, out _);

    private void ReadConfig()
    {
        if (ConfigFile is null)
            return;
        try
        {
            var config = ModelConfigReader.ReadFile(ConfigFile, Host);
            RegisteredModels.Put(Registry, config);
            MemoryBudget = BudgetOf(config);
        }
        catch (FileNotFoundException e)
        {
            throw new CommandException(ExitCode.Failed, $"{ModelConfigWatch.Variable}: {e.Message}");
        }
        catch (ConfigException e)
        {
            throw new UsageException($"{ModelConfigWatch.Variable}: {e.Message}");
        }
    }

    private static ModelEntry Open(string source, string path)
    {
        try
        {
            return SingleFile.Open(path);
        }
        catch (FileNotFoundException e)
        {
            throw new CommandException(ExitCode.Failed, $"{source}: {e.Message}");
        }
        catch (GgufException e)
        {
            throw new CommandException(ExitCode.CannotLoad, source == path ? $"{path}: {e.Message}" : $"{source}: {path}: {e.Message}");
        }
    }

    // Reported where it happens; Progress<T> would report later, after the answer began. A conversion comes before the load, so that what
    // begins again is the load.
    private sealed class LoadProgress(string name, bool converts) : IProgress<float>
    {
        private bool _converts = converts;
        private float _last;

        public void Report(float value)
        {
            _converts &= value >= _last;
            _last = value;
            Printer.Progress($"{(_converts ? "converting" : "loading")} {name}", value);
        }
    }
}
