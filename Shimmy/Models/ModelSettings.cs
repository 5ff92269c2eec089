using Shimmy.Engine;

namespace Shimmy.Models;

/// <summary>
/// Settings of one model, by the configuration file or by the tool that it comes from (Ollama's parameters). Null: the server's options
/// decide.
/// </summary>
internal sealed record ModelSettings
{
    /// <summary>No settings.</summary>
    public static ModelSettings None { get; } = new();

    /// <summary>LoRA adapters that are applied unless a request chooses others.</summary>
    public IReadOnlyList<LoraSetting> Loras { get; init; } = [];

    /// <summary>Chat template in place of the model's own: a template family's name or the path of a template file.</summary>
    public string? Template { get; init; }

    /// <summary>Full path of the projector (mmproj); <see cref="NoProjector"/> for none; null takes the one that was found.</summary>
    public string? Projector { get; init; }

    /// <summary>For <see cref="Projector"/>: no projector, whatever was found.</summary>
    public const string NoProjector = "none";

    /// <summary>Context length in tokens; 0: the model's own.</summary>
    public int? ContextLength { get; init; }

    /// <summary>Number of CPU threads for decoding.</summary>
    public int? Threads { get; init; }

    /// <summary>Devices, types of the KV cache, RoPE scaling: the further parameters of a load.</summary>
    public LoadTuning Tuning { get; init; } = LoadTuning.None;

    /// <summary>How long the model stays when idle; negative: for ever; zero: unloaded at once.</summary>
    public TimeSpan? KeepAlive { get; init; }

    /// <summary>Never evicted, and never unloaded for being idle.</summary>
    public bool Pinned { get; init; }

    /// <summary>System prompt, stop sequences and sampling for requests that set none.</summary>
    public RequestDefaults Defaults { get; init; } = RequestDefaults.None;
}
