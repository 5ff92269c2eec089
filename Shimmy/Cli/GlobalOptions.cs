namespace Shimmy.Cli;

/// <summary>What the options that all commands share were given as, before defaults and environment; null where not given.</summary>
internal sealed record GlobalOptions(string? ModelDirs, string? Ctx, string? Threads, string? Template, string? Lora, string? Draft, string? LogLevel, string? LogFormat)
{
    /// <summary>The options of <see cref="Engine.TuningOption"/> by their names, a switch as <c>true</c>.</summary>
    public IReadOnlyDictionary<string, string?> Tuning { get; init; } = new Dictionary<string, string?>();
}
