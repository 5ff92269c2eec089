using System.Globalization;
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

/// <summary>Parses a LoRA adapter as <c>--lora</c> and the configuration file take it: FILE or FILE:SCALE.</summary>
internal static class LoraText
{
    /// <summary>
    /// Parses the text. A colon that no number follows belongs to the path (<c>C:\lora.gguf</c>), which <paramref name="absolute"/> makes
    /// absolute. Throws <see cref="FormatException"/> for a scale that is infinite or NaN.
    /// </summary>
    public static LoraSetting Read(string text, Func<string, string> absolute)
    {
        var colon = text.LastIndexOf(':');
        if (colon <= 0
            || !float.TryParse(text.AsSpan(colon + 1), NumberStyles.Float, CultureInfo.InvariantCulture, out var scale))
        {
            return new LoraSetting(absolute(text));
        }

        return float.IsFinite(scale)
            ? new LoraSetting(absolute(text[..colon]), scale)
            : throw new FormatException($"the LoRA scale {text[(colon + 1)..]} is not a finite number");
    }
}
