using Microsoft.Extensions.Logging;
using Shimmy.Engine;
using Shimmy.Engine.Workers;

namespace Shimmy.Cli;

/// <summary>Finds and loads the one model of a command.</summary>
internal sealed class ModelAccess(Options options, ILoggerFactory loggers)
{
    /// <summary>
    /// Loads the model that <paramref name="name"/> means, showing progress. Throws <see cref="CommandException"/> for a name that no
    /// model has, <see cref="EngineException"/> where it cannot be loaded.
    /// </summary>
    public async Task<ILoadedModel> LoadAsync(string? name, int parallel, CancellationToken cancellation)
    {
        if (string.IsNullOrEmpty(name))
            throw new UsageException("NAME is missing: a model's name, or the path of its file");
        var spec = new ModelSpec
        {
            Name = Path.GetFileNameWithoutExtension(name),
            Path = Find(name),
            ContextLength = options.ContextLength,
            Threads = options.Threads,
            GpuLayers = options.GpuLayers,
            Parallel = parallel,
        };
        try
        {
            return await new WorkerEngine(loggers).LoadAsync(spec, new LoadProgress(spec.Name), cancellation);
        }
        finally
        {
            Printer.ClearProgress();
        }
    }

    private static string Find(string name) => File.Exists(name)
        ? Path.GetFullPath(name)
        : throw new CommandException(ExitCode.Failed, $"unknown model '{name}'");

    // Reported where it happens; Progress<T> would report later, after the answer began.
    private sealed class LoadProgress(string name) : IProgress<float>
    {
        public void Report(float value) => Printer.Progress($"loading {name}: {value:P0}");
    }
}
