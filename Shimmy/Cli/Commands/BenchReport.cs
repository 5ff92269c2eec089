namespace Shimmy.Cli.Commands;

/// <summary>The measurements of <c>bench</c>.</summary>
internal sealed record BenchReport
{
    /// <summary>The model's name.</summary>
    public required string Model { get; init; }

    /// <summary>Bytes of its tensors.</summary>
    public required long SizeBytes { get; init; }

    /// <summary>Devices it may use.</summary>
    public required IReadOnlyList<string> Devices { get; init; }

    /// <summary>Threads that decode.</summary>
    public required int Threads { get; init; }

    /// <summary>Threads that prefill.</summary>
    public required int BatchThreads { get; init; }

    /// <summary>Milliseconds to load it.</summary>
    public required double LoadMilliseconds { get; init; }

    /// <summary>Tokens of each prompt, all of them computed in each run.</summary>
    public required int PromptTokens { get; init; }

    /// <summary>Tokens generated in each generation.</summary>
    public required int GeneratedTokens { get; init; }

    /// <summary>Generations at once.</summary>
    public required int Parallel { get; init; }

    /// <summary>Runs measured, after one to warm up.</summary>
    public required int Runs { get; init; }

    /// <summary>Prompt tokens computed in a second, all generations of a run together.</summary>
    public required Spread PromptTokensPerSecond { get; init; }

    /// <summary>Tokens generated in a second after the first, all generations of a run together.</summary>
    public required Spread GenerationTokensPerSecond { get; init; }

    /// <summary>
    /// Milliseconds from the request to its first token, as the client sees it; with several at once the slowest of the run.
    /// </summary>
    public required Spread TimeToFirstTokenMilliseconds { get; init; }
}

/// <summary>A number over several runs: median, minimum, maximum.</summary>
/// <param name="Median">Its median.</param>
/// <param name="Min">Its least.</param>
/// <param name="Max">Its greatest.</param>
internal sealed record Spread(double Median, double Min, double Max)
{
    /// <summary>Summarises values, of which there must be one at least.</summary>
    public static Spread Of(IReadOnlyCollection<double> values)
    {
        var sorted = values.Order().ToArray();
        var middle = sorted.Length / 2;
        var median = sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
        return new Spread(Math.Round(median, 2), Math.Round(sorted[0], 2), Math.Round(sorted[^1], 2));
    }
}
