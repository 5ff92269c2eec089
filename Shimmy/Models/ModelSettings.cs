using System.Globalization;
using Shimmy.Engine;

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

    /// <summary>Devices, caches, positions: what else llama.cpp is told.</summary>
    public LoadTuning Tuning { get; init; } = LoadTuning.None;

    /// <summary>How long it stays when idle; negative for ever, zero not at all.</summary>
    public TimeSpan? KeepAlive { get; init; }

    /// <summary>Whether it is never unloaded to make room or for being idle.</summary>
    public bool Pinned { get; init; }

    /// <summary>System prompt, stops and sampling for requests that bring none.</summary>
    public RequestDefaults Defaults { get; init; } = RequestDefaults.None;
}

/// <summary>An adapter as <c>--lora</c> and the config file write it: FILE or FILE:SCALE.</summary>
internal static class LoraText
{
    /// <summary>
    /// Reads it. A colon that no number follows belongs to the path, which <paramref name="absolute"/> completes. Throws
    /// <see cref="FormatException"/> for a scale that is no finite number.
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
            : throw new FormatException($"the scale {text[(colon + 1)..]} is not a finite number");
    }
}
