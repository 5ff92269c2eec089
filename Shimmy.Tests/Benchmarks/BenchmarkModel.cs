using Microsoft.Extensions.Logging.Abstractions;
using Shimmy.Engine;
using Shimmy.Engine.Workers;
using Shimmy.Tests.Fixtures.Models;

namespace Shimmy.Tests.Benchmarks;

/// <summary>What the benchmarks run on: a given model, or one of random weights of more than 100 MB.</summary>
internal static class BenchmarkModel
{
    /// <summary>Path of the model; where none is given, of a random one of more than 100 MB.</summary>
    public static string PathOf(string? given) => given is not null ? Path.GetFullPath(given) : PathOf("large", RandomModelShape.Large);

    /// <summary>Path of a random model, written to the temporary folder once and kept.</summary>
    public static string PathOf(string name, RandomModelShape shape)
    {
        var path = Path.Combine(Path.GetTempPath(), $"shimmy-benchmark-{name}-v1.gguf");
        if (!File.Exists(path))
        {
            RandomModel.Write(path + ".part", shape);
            File.Move(path + ".part", path);
        }
        return path;
    }

    /// <summary>The executable that is measured.</summary>
    public static string Executable { get; } = Environment.GetEnvironmentVariable("SHIMMY_EXECUTABLE")
        ?? Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "shimmy.exe" : "shimmy");

    /// <summary>The worker engine that is measured.</summary>
    public static WorkerEngine Engine() => new(NullLoggerFactory.Instance, Executable);

    /// <summary>Generates and returns how many tokens came, calling back at each.</summary>
    public static async Task<int> GenerateAsync(ILoadedModel model, IReadOnlyList<int> prompt, int maxTokens, Action? onToken = null)
    {
        var tokens = 0;
        var request = new GenerationRequest
        {
            Prompt = Prompt.FromTokens(prompt),
            Options = new GenerationOptions { Temperature = 0, MaxTokens = maxTokens, IgnoreEos = true },
        };
        await foreach (var engineEvent in model.GenerateAsync(request, CancellationToken.None))
        {
            if (!engineEvent.IsToken)
                continue;
            tokens++;
            onToken?.Invoke();
        }
        return tokens;
    }

    /// <summary>The middle of the values.</summary>
    public static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2;
    }
}
