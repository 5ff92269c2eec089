using System.Globalization;
using Shimmy.Engine;

namespace Shimmy.Models;

/// <summary>An adapter as <c>--lora</c> and the config file write it: FILE or FILE:SCALE.</summary>
internal static class LoraText
{
    /// <summary>
    /// Reads it. A colon that no number follows belongs to the path, which <paramref name="absolute"/> completes. Throws
    /// <see cref="FormatException"/> for a scale that is no finite number.
    /// </summary>
    public static LoraSetting Read(string text, Func<string, string> absolute)
    {
        int colon = text.LastIndexOf(':');
        if (colon <= 0
            || !float.TryParse(text.AsSpan(colon + 1), NumberStyles.Float, CultureInfo.InvariantCulture, out float scale))
        {
            return new LoraSetting(absolute(text));
        }

        return float.IsFinite(scale)
            ? new LoraSetting(absolute(text[..colon]), scale)
            : throw new FormatException($"the scale {text[(colon + 1)..]} is not a finite number");
    }
}
