namespace Shimmy.Models;

/// <summary>
/// How a model wants to be loaded and used, by the config file or by the tool that it comes from. Null leaves it to the
/// program's options.
/// </summary>
internal sealed record ModelSettings
{
    /// <summary>No wishes.</summary>
    public static ModelSettings None { get; } = new();

    /// <summary>LoRA adapters to apply.</summary>
    public IReadOnlyList<LoraSetting> Loras { get; init; } = [];

    /// <summary>Name of a template family or path of a template file, in place of the model's own.</summary>
    public string? Template { get; init; }

    /// <summary>Tokens of context; 0 takes the model's own.</summary>
    public int? ContextLength { get; init; }

    /// <summary>Threads for decoding.</summary>
    public int? Threads { get; init; }

    /// <summary>Layers on the GPU.</summary>
    public int? GpuLayers { get; init; }

    /// <summary>How long it stays when idle; negative for ever, zero not at all.</summary>
    public TimeSpan? KeepAlive { get; init; }

    /// <summary>Whether it is never unloaded to make room or for being idle.</summary>
    public bool Pinned { get; init; }

    /// <summary>System prompt where a conversation brings none.</summary>
    public string? System { get; init; }

    /// <summary>Texts that end an answer.</summary>
    public IReadOnlyList<string> Stop { get; init; } = [];

    /// <summary>
    /// Sampling defaults by the names of llama.cpp's <c>general.sampling.*</c> metadata (<c>temp</c>, <c>top_k</c>,
    /// <c>penalty_repeat</c> …), as text, so that they go the way of those; and <c>max_tokens</c> and <c>seed</c>.
    /// </summary>
    public IReadOnlyDictionary<string, string> Sampling { get; init; } = new Dictionary<string, string>();
}

/// <summary>A LoRA adapter to apply.</summary>
/// <param name="Path">Full path of the GGUF file.</param>
/// <param name="Scale">Strength; 1 is the adapter as trained.</param>
internal sealed record LoraSetting(string Path, float Scale = 1f);
