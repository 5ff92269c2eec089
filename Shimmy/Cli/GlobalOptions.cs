namespace Shimmy.Cli;

/// <summary>What the options that all commands share were given as, before defaults and environment; null where not given.</summary>
internal sealed record GlobalOptions(string? ModelDirs, string? Ctx, string? Threads, string? GpuLayers, string? Template, string? Lora, string? Draft, string? LogLevel, string? LogFormat);
