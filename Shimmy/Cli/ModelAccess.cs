using Microsoft.Extensions.Logging;
using Shimmy.Engine;
using Shimmy.Engine.Workers;
using Shimmy.Models;
using Shimmy.Models.Discovery;
using Shimmy.Models.Gguf;

namespace Shimmy.Cli;

/// <summary>The models that a command can reach by name, and how it loads one.</summary>
internal sealed class ModelAccess
{
    private readonly Options _options;

    private ModelAccess(Options options, ModelRegistry registry)
    {
        _options = options;
        Registry = registry;
    }

    /// <summary>What is registered by hand and, after a scan, what was found.</summary>
    public ModelRegistry Registry { get; }

    /// <summary>
    /// Registers what the environment and the options name by hand; scans nothing yet. Throws <see cref="CommandException"/> where such a
    /// file is missing or no model.
    /// </summary>
    public static ModelAccess Create(Options options, OptionReader reader)
    {
        var host = HostEnvironment.Current();
        var registry = new ModelRegistry(new ModelDiscovery(SearchOrder.Sources(host, options.ModelDirs)));
        if (reader.Variable(SearchOrder.BaseGguf) is { } file)
            registry.Register(Open(SearchOrder.BaseGguf, file));
        if (options.ModelPath is { } path)
            registry.Register(Open("--model-path", path));
        return new ModelAccess(options, registry);
    }

    /// <summary>How a model is to be loaded.</summary>
    public ModelSpec SpecOf(ModelEntry entry) => new()
    {
        Name = entry.Name,
        Path = entry.Path,
        ContextLength = _options.ContextLength,
        Parallel = _options.Parallel,
        Threads = _options.Threads,
        GpuLayers = _options.GpuLayers,
        Template = _options.Template ?? entry.Settings.Template,
    };

    /// <summary>Scans for models, showing that it does.</summary>
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
    /// Loads the model that <paramref name="name"/> means, a path or a name, showing progress. Throws <see cref="CommandException"/> where
    /// there is none, <see cref="EngineException"/> where it cannot be loaded.
    /// </summary>
    public async Task<ILoadedModel> LoadAsync(string? name, ILoggerFactory loggers, CancellationToken cancellation)
    {
        if (string.IsNullOrEmpty(name))
            throw new UsageException("NAME is missing: a model's name, or the path of its file");
        var entry = await FindAsync(name, cancellation);
        try
        {
            return await new WorkerEngine(loggers).LoadAsync(SpecOf(entry), new LoadProgress(entry.Name), cancellation);
        }
        finally
        {
            Printer.ClearProgress();
        }
    }

    private async Task<ModelEntry> FindAsync(string name, CancellationToken cancellation)
    {
        if (SingleFile.IsPath(name))
            return Open(name, name);
        if (Registry.Find(name) is { } registered)
            return registered;
        await ScanAsync(cancellation);
        if (Registry.Find(name) is { } found)
            return found;
        if (File.Exists(name))
            throw new CommandException(ExitCode.CannotLoad, $"'{name}' is not a .gguf file");
        throw new CommandException(ExitCode.Failed, $"unknown model '{name}'; {Registry.ExplainUnknown(name)}"
            + (Registry.Entries.Count == 0 ? " (shimmy list --help says where models are looked for)" : ""));
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

    // Reported where it happens; Progress<T> would report later, after the answer began.
    private sealed class LoadProgress(string name) : IProgress<float>
    {
        public void Report(float value) => Printer.Progress($"loading {name}: {value:P0}");
    }
}
